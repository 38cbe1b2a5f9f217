"""A gist file is what was written, or it is refused: at once, and with little memory."""

from __future__ import annotations

import json
import os
import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from dnsity.errors import BadInputError, DamagedFileError, UnsupportedModelError
from dnsity.evaluation.memory import Peak
from dnsity.inference import gist_file
from dnsity.inference.gist_cache import GistCache
from dnsity.inference.gist_model import GistModel
from dnsity.inference.methods.select import Select
from tiny import DOCUMENT, LONG_DOCUMENT
from tried import Tried

PROMISE = "the file"
SECONDS, BYTES = 1.0, 200 * 2**20
"""What a bad file may cost at most: processor time, and memory beyond what was in use."""


@pytest.fixture(scope="module", params=["even", "uneven"])
def gist(model: GistModel, request: pytest.FixtureRequest) -> GistCache:
    """One of each format: with the same number of slots in every head, and with different ones."""
    if request.param == "even":
        return model.compress(DOCUMENT)
    return model.compress(LONG_DOCUMENT, method=Select(gists=12))


@pytest.fixture(scope="module")
def whole(gist: GistCache, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return gist.save(tmp_path_factory.mktemp("whole") / "a.gist.safetensors").read_bytes()


@pytest.fixture
def refused(tmp_path: Path, measured: Callable[[Callable[[], object]], float]) -> Any:
    """Load bytes as a gist file; they must be refused by the one error, cheaply."""
    path = tmp_path / "a.gist.safetensors"

    def load() -> None:
        with pytest.raises(DamagedFileError):
            gist_file.load(path)

    def check(data: bytes) -> None:
        path.write_bytes(data)
        peak = Peak(torch.device("cpu"))
        assert measured(load) < SECONDS
        assert peak.bytes() < BYTES

    return check


def _parts(whole: bytes) -> tuple[dict[str, Any], dict[str, Any], bytes]:
    """Take a file apart: header, description, tensors."""
    (length,) = struct.unpack("<Q", whole[:8])
    header = json.loads(whole[8 : 8 + length])
    return header, json.loads(header["__metadata__"]["gist"]), whole[8 + length :]


def _joined(header: str | bytes, tensors: bytes) -> bytes:
    text = header.encode() if isinstance(header, str) else header
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + tensors


# Changes of bytes


def _flip(rng: random.Random, data: bytearray) -> None:
    for _ in range(rng.choice((1, 1, 1, 2, 8))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _overwrite(rng: random.Random, data: bytearray) -> None:
    start, length = rng.randrange(len(data)), rng.randint(1, 64)
    data[start : start + length] = rng.randbytes(length)


def _remove(rng: random.Random, data: bytearray) -> None:
    start = rng.randrange(len(data))
    del data[start : start + rng.randint(1, 64)]


def _insert(rng: random.Random, data: bytearray) -> None:
    start = rng.randrange(len(data) + 1)
    data[start:start] = rng.randbytes(rng.randint(1, 64))


def _swap(rng: random.Random, data: bytearray) -> None:
    length = rng.randint(1, 32)
    one, other = (rng.randrange(len(data) - length) for _ in range(2))
    data[one : one + length], data[other : other + length] = (
        data[other : other + length],
        data[one : one + length],
    )


def _truncate(rng: random.Random, data: bytearray) -> None:
    del data[rng.randrange(len(data)) :]


BYTE_CHANGES = (_flip, _flip, _flip, _overwrite, _remove, _insert, _swap, _truncate)


def test_no_change_of_bytes_is_taken(tried: Tried, tmp_path: Path, whole: bytes) -> None:
    """Every region gets its share: half of all changes hit the short header."""
    rng = random.Random(0)
    (length,) = struct.unpack("<Q", whole[:8])
    path = tmp_path / "a.gist.safetensors"
    peak = Peak(torch.device("cpu"))
    for number in tried.times(short=700, long=18_000):
        region = slice(0, 8 + length) if number % 2 else slice(8 + length, len(whole))
        part = bytearray(whole[region])
        while part == whole[region]:
            rng.choice(BYTE_CHANGES)(rng, part)
        path.write_bytes(whole[: region.start] + part + whole[region.stop :])
        with pytest.raises(DamagedFileError):
            gist_file.load(path)
    assert peak.bytes() < BYTES  # of all of them together


def test_every_percent_of_a_file_is_too_little(tried: Tried, refused: Any, whole: bytes) -> None:
    for percent in range(100):
        refused(whole[: len(whole) * percent // 100])
        tried()
    path_size = len(whole)
    for missing in range(1, 9):
        refused(whole[: path_size - missing])
        tried()


# Changes of meaning: the header stays JSON, its lengths stay right


def _values(rng: random.Random) -> Any:
    return rng.choice(
        [None, True, -1, 0, 1, 2, 3.5, 1e400, 2**63, 10**400, "", "F16", "k.00", "\ud800",
         "x" * 999, [], [0], [0, 1], [1, 0], [0, 2**64], {}, {"gist": {}}]
    )  # fmt: skip


def _places(value: Any) -> list[tuple[Any, Any]]:
    """List every container of a JSON value with each of its keys."""
    keys = list(value) if isinstance(value, dict) else range(len(value))
    found = [(value, key) for key in keys]
    for key in keys:
        if isinstance(value[key], (dict, list)):
            found += _places(value[key])
    return found


def test_no_change_of_the_header_is_taken(tried: Tried, tmp_path: Path, whole: bytes) -> None:
    """Any value of header or description is replaced, dropped or doubled under another name."""
    rng = random.Random(1)
    path = tmp_path / "a.gist.safetensors"
    for _ in tried.times(short=200, long=3_000):
        header, description, tensors = _parts(whole)
        before = json.dumps([header, description])
        while json.dumps([header, description]) == before:
            inside = rng.random() < 0.5
            container, key = rng.choice(_places(description if inside else header))
            if rng.random() < 0.2 and isinstance(container, dict):
                container[rng.choice(("k.00", "k.99", "sha256", "note"))] = container[key]
            if rng.random() < 0.2:
                del container[key]
            else:
                container[key] = _values(rng)
        if inside:
            header["__metadata__"]["gist"] = gist_file.canonical(description)
        path.write_bytes(_joined(json.dumps(header), tensors))
        with pytest.raises(DamagedFileError):
            gist_file.load(path)


def test_no_description_breaks_what_reads_it(tried: Tried, tmp_path: Path, gist: GistCache) -> None:
    """Who forges the checksum as well gets no further than a typed error, or a number shown."""
    rng = random.Random(2)
    path = gist.save(tmp_path / "a.gist.safetensors")
    for _ in tried.times(short=100, long=1_000):
        header, description, tensors = _parts(path.read_bytes())
        container, key = rng.choice(_places(description))
        container[key] = _values(rng)
        del description["sha256"]
        description["sha256"] = gist_file.checksum(description, gist_file.parse(path.read_bytes()))
        header["__metadata__"]["gist"] = gist_file.canonical(description)
        forged = tmp_path / "forged.gist.safetensors"
        forged.write_bytes(_joined(json.dumps(header), tensors))
        try:
            loaded = GistCache.load(forged)
        except DamagedFileError:
            continue
        assert 0 < loaded.compression_ratio < float("inf")


def _doubled_metadata(whole: bytes) -> bytes:
    header, description, tensors = _parts(whole)
    text = json.dumps(header)
    own = json.dumps({"gist": gist_file.canonical(description)})[1:-1]
    return _joined(text.replace(own, '"gist":"{}",' + own, 1), tensors)


def _doubled_tensor(whole: bytes) -> bytes:
    header, _, tensors = _parts(whole)
    text = json.dumps(header)[:-1] + ', "k.00": ' + json.dumps(header["k.01"]) + "}"
    return _joined(text, tensors)


def _doubled_description(whole: bytes) -> bytes:
    header, description, tensors = _parts(whole)
    text = gist_file.canonical(description)
    header["__metadata__"]["gist"] = '{"n_context":1,' + text[1:]
    return _joined(json.dumps(header), tensors)


def _empty_tensors(count: int) -> Callable[[bytes], bytes]:
    def make(whole: bytes) -> bytes:
        header, _, tensors = _parts(whole)
        end = len(tensors)
        empty = {"dtype": "F32", "shape": [0], "data_offsets": [end, end]}
        header.update({f"t{number}": empty for number in range(count)})
        return _joined(json.dumps(header), tensors)

    return make


def _endless_shape(whole: bytes) -> bytes:
    header, _, tensors = _parts(whole)
    header["k.00"]["shape"] = [2**31, 2**31, 2**31]
    return _joined(json.dumps(header), tensors)


ODD: dict[str, Callable[[bytes], bytes]] = {
    "a metadata key twice": _doubled_metadata,
    "a tensor twice": _doubled_tensor,
    "a key of the description twice": _doubled_description,
    "1,000 empty tensors": _empty_tensors(1_000),
    "100,000 empty tensors": _empty_tensors(100_000),
    "a shape that overflows": _endless_shape,
    "a header of 90 MB": lambda whole: _joined(b"{" + b" " * (90 * 2**20), b""),
    "a header of 2^64 bytes": lambda whole: b"\xff" * 8 + whole[8:],
    "a header nested 100,000 deep": lambda whole: _joined(b'{"a":' * 50_000, b""),
    "a number of 100,000 digits": lambda whole: _joined(b'{"a":' + b"9" * 100_000 + b"}", b""),
    "two files in one": lambda whole: whole + whole,
    "a file in a file": lambda whole: _joined(whole, b""),
    "nothing": lambda whole: b"",
    "zeros": lambda whole: bytes(len(whole)),
}


@pytest.mark.parametrize("case", ODD)
def test_odd_files_are_refused(tried: Tried, refused: Any, whole: bytes, case: str) -> None:
    refused(ODD[case](whole))
    tried()


def test_a_file_that_only_claims_to_be_large_is_not_read(
    tried: Tried, tmp_path: Path, whole: bytes
) -> None:
    """Four gigabytes of nothing behind an intact file: refused by its header."""
    path = tmp_path / "a.gist.safetensors"
    path.write_bytes(whole)
    os.truncate(path, 4 * 2**30)
    peak = Peak(torch.device("cpu"))
    with pytest.raises(DamagedFileError, match="size"):
        gist_file.load(path)
    assert peak.bytes() < BYTES
    tried()


def test_what_never_ends_is_not_opened(tried: Tried, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), Path("/dev/null")):
        with pytest.raises(BadInputError, match="pipe or a device"):
            gist_file.load(path)
        tried()


def test_numbers_that_are_none_are_refused(
    tried: Tried, tmp_path: Path, gist: GistCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a right checksum, by a program that did not look: ours writes no such file."""
    rng = random.Random(3)
    for _ in tried.times(short=20, long=300):
        layers = tuple((k.clone(), v.clone()) for k, v in gist.layers)
        tensor = rng.choice(rng.choice(layers))
        head, width = rng.randrange(tensor.shape[1]), rng.randrange(tensor.shape[3])
        # The last slot of a head is never empty.
        tensor[0, head, -1, width] = rng.choice((torch.nan, torch.inf, -torch.inf))
        broken = GistCache(layers, gist.info)
        with pytest.raises(UnsupportedModelError, match="not finite"):
            broken.save(tmp_path / "a.gist.safetensors")
        with monkeypatch.context() as patch:
            patch.setattr(gist_file, "require_finite", lambda *_: None)
            path = broken.save(tmp_path / "a.gist.safetensors")
        with pytest.raises(DamagedFileError, match="NaN or infinite"):
            gist_file.load(path)
