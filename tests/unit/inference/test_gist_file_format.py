"""A gist file is loaded exactly as it was written, or refused."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import struct
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save as serialise
from safetensors.torch import save_file
from torch import Tensor

from dnsity.errors import BadInputError, DamagedFileError
from dnsity.inference import gist_file
from dnsity.inference.gist_cache import GistCache, GistInfo
from dnsity.inference.gist_model import GistModel

LAYERS, HEADS, SLOTS, DIM = 2, 2, 3, 4
INFO: dict[str, Any] = {
    "n_context": 300,
    "n_gist": SLOTS,
    "n_chunks": 1,
    "characters": 1234,
    "full_kv_bytes": 57600,
    "model": "mini",
    "base": {"model_type": "llama", "dtype": "float32", "rope": {"rope_theta": 10000.0}},
    "fingerprints": {"weights": "ab12", "tokenizer": "cd34"},
}


def _cache(dtype: torch.dtype = torch.float32, seed: int = 0) -> GistCache:
    generator = torch.Generator().manual_seed(seed)

    def tensor() -> Tensor:
        return torch.randn(1, HEADS, SLOTS, DIM, generator=generator).to(dtype)

    return GistCache(tuple((tensor(), tensor()) for _ in range(LAYERS)), GistInfo(**INFO))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return _cache().save(tmp_path / "a.gist.safetensors")


def _equal(one: GistCache, other: GistCache) -> bool:
    pairs = zip(_flat(one), _flat(other), strict=True)
    return one.info == other.info and all(
        a.dtype == b.dtype and torch.equal(a, b) for a, b in pairs
    )


def _flat(cache: GistCache) -> list[Tensor]:
    return [tensor for layer in cache.layers for tensor in layer]


def _named(cache: GistCache) -> dict[str, Tensor]:
    return {
        f"{kind}.{index:02d}": tensor[0].clone()
        for index, layer in enumerate(cache.layers)
        for kind, tensor in zip("kv", layer, strict=True)
    }


def _forge(path: Path, tensors: dict[str, Tensor], **changes: Any) -> Path:
    """Write a gist file that is wrong only in `tensors` and `changes`; its checksum is right."""
    description = {
        "format_version": 1,
        "kind": "gist",
        "position_scheme": "negative_origin",
        "truncated": False,
        **INFO,
        **changes,
    }
    description["sha256"] = gist_file.checksum(description, tensors)
    path.write_bytes(serialise(tensors, metadata={"gist": gist_file.canonical(description)}))
    return path


# What is written comes back


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_round_trip_is_bit_identical(tmp_path: Path, dtype: torch.dtype) -> None:
    cache = _cache(dtype)
    loaded = GistCache.load(cache.save(tmp_path / "a.gist.safetensors"))
    assert _equal(loaded, cache)
    assert loaded.layers[0][0].shape == (1, HEADS, SLOTS, DIM)


def test_a_forged_file_without_changes_loads(tmp_path: Path) -> None:
    """The tests below change one thing in this file; it must be that thing which is refused."""
    assert _equal(GistCache.load(_forge(tmp_path / "x", _named(_cache()))), _cache())


def test_keys_and_values_may_differ_in_width_and_name_in_script(tmp_path: Path) -> None:
    layer = (torch.ones(1, HEADS, SLOTS, 6), torch.zeros(1, HEADS, SLOTS, 2))
    cache = GistCache((layer,), GistInfo(**{**INFO, "model": "모델/📚 \\ \" '"}))
    assert _equal(GistCache.load(cache.save(tmp_path / "한글.gist.safetensors")), cache)


def test_same_gist_same_bytes(tmp_path: Path) -> None:
    files = [_cache().save(tmp_path / f"{n}.gist.safetensors") for n in range(8)]
    assert len({hashlib.sha256(path.read_bytes()).hexdigest() for path in files}) == 1


def test_holds_one_metadata_entry_in_canonical_json(file: Path) -> None:
    data = file.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    metadata = json.loads(data[8 : 8 + length])["__metadata__"]
    assert list(metadata) == ["gist"]
    description = json.loads(metadata["gist"])
    assert metadata["gist"] == json.dumps(description, sort_keys=True, separators=(",", ":"))
    assert description["format_version"] == 1
    assert description["truncated"] is False


def test_holds_no_text_of_the_document(tmp_path: Path, model: GistModel) -> None:
    document = "Xylophones in Zaragoza were tuned by Quillfeather. 자라고사의 실로폰 조율사."
    data = model.compress(document).save(tmp_path / "a.gist.safetensors").read_bytes()
    for start in range(len(document) - 3):
        piece = document[start : start + 4]
        assert piece.encode() not in data
        assert json.dumps(piece)[1:-1].encode() not in data


# Files


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_only_the_owner_may_read(tmp_path: Path, umask: int) -> None:
    path = tmp_path / "a.gist.safetensors"
    path.write_bytes(b"older, readable by all")
    path.chmod(0o644)
    before = os.umask(umask)
    try:
        _cache().save(path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failed_write_leaves_the_old_file(
    file: Path, monkeypatch: pytest.MonkeyPatch, call: str, error: BaseException
) -> None:
    before = file.read_bytes()

    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(os, call, fail)
    expected = BadInputError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected):
        _cache(seed=1).save(file)
    monkeypatch.undo()
    assert file.read_bytes() == before
    assert os.listdir(file.parent) == [file.name]


def test_readers_and_writers_never_see_half_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a.gist.safetensors"
    caches = [_cache(seed=0), _cache(seed=1)]
    caches[0].save(path)

    def write(cache: GistCache) -> None:
        for _ in range(20):
            cache.save(path)

    writers = [Thread(target=write, args=(cache,)) for cache in caches]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        loaded = GistCache.load(path)
        assert any(_equal(loaded, cache) for cache in caches)
    for writer in writers:
        writer.join()
    assert os.listdir(tmp_path) == [path.name]


def test_an_open_file_keeps_its_contents(file: Path) -> None:
    before = file.read_bytes()
    with file.open("rb") as reader:
        _cache(seed=1).save(file)
        assert reader.read() == before


@pytest.mark.parametrize("name", ["missing/a.gist.safetensors", ".", "file/a", "x" * 300])
def test_a_target_that_cannot_be_written_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("a file, no directory")
    with pytest.raises(BadInputError, match=r"cannot write|is not a file"):
        _cache().save(tmp_path / name)
    assert os.listdir(tmp_path) == ["file"]


def test_a_pipe_or_device_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BadInputError, match="is not a file"):
        _cache().save(tmp_path / "pipe")
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_long_names_in_any_script_fit(tmp_path: Path) -> None:
    path = tmp_path / ("📚" * 58 + ".gist.safetensors")
    assert _equal(GistCache.load(_cache().save(path)), _cache())


@pytest.mark.parametrize("name", ["missing", ".", "x" * 300, "file/a"])
def test_what_is_no_file_is_bad_input_not_damage(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("a file, no directory")
    with pytest.raises(BadInputError):
        GistCache.load(tmp_path / name)


# Damage


def _refused(path: Path, match: str = ".") -> str:
    with pytest.raises(DamagedFileError, match=match) as caught:
        gist_file.load(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_every_flipped_byte_is_detected(file: Path) -> None:
    """Header length, header and tensors alike: one bit of every single byte."""
    data = file.read_bytes()
    for position in range(len(data)):
        damaged = bytearray(data)
        damaged[position] ^= 1 << position % 8
        file.write_bytes(damaged)
        _refused(file)


@given(data=st.data())
def test_every_change_is_detected(tmp_path_factory: pytest.TempPathFactory, data: Any) -> None:
    path = tmp_path_factory.getbasetemp() / "changed.gist.safetensors"
    whole = _cache().save(path).read_bytes()
    start = data.draw(st.integers(0, len(whole)), label="start")
    stop = data.draw(st.integers(start, min(len(whole), start + 16)), label="stop")
    changed = whole[:start] + data.draw(st.binary(max_size=16), label="instead") + whole[stop:]
    path.write_bytes(changed)
    if changed == whole:
        assert _equal(gist_file.load(path), _cache())
    else:
        _refused(path)


def test_every_truncation_is_detected(file: Path) -> None:
    data = file.read_bytes()
    for percent in range(100):
        file.write_bytes(data[: len(data) * percent // 100])
        _refused(file)
    file.write_bytes(data[:-1])
    _refused(file)


def test_appended_bytes_are_detected(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b"\0")
    _refused(file)


def test_a_dtype_of_equal_size_cannot_be_relabelled(tmp_path: Path) -> None:
    path = _cache(torch.bfloat16).save(tmp_path / "a.gist.safetensors")
    data = path.read_bytes()
    assert b'"BF16"' in data
    changed = data.replace(b'"BF16"', b'"F16"')
    length = struct.unpack("<Q", data[:8])[0] - 2 * LAYERS
    path.write_bytes(struct.pack("<Q", length) + changed[8:])
    _refused(path, "checksum")


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_numbers_must_be_finite(tmp_path: Path, value: float) -> None:
    tensors = _named(_cache())
    tensors["v.01"][1, 2, 3] = value
    _refused(_forge(tmp_path / "x", tensors), "NaN or infinite")


def _without(*names: str) -> Callable[[dict[str, Tensor]], None]:
    return lambda tensors: [tensors.pop(name) for name in names] and None


def _with(**new: Tensor) -> Callable[[dict[str, Tensor]], None]:
    return lambda tensors: tensors.update({k.replace("_", "."): v for k, v in new.items()})


SHAPE = (HEADS, SLOTS, DIM)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        pytest.param(_without("v.01"), "layers", id="half a layer"),
        pytest.param(_without("k.00", "v.00"), "layers", id="first layer"),
        pytest.param(_without("k.00", "v.00", "k.01", "v.01"), "layers", id="all layers"),
        pytest.param(_with(extra=torch.zeros(SHAPE)), "layers", id="extra tensor"),
        pytest.param(_with(k_02=torch.zeros(SHAPE)), "layers", id="half a layer more"),
        pytest.param(
            lambda t: t.update({"../../etc/passwd": t.pop("k.01")}), "layers", id="a path as name"
        ),
        pytest.param(_with(k_00=torch.zeros(HEADS, SLOTS + 1, DIM)), "3 gists", id="more gists"),
        pytest.param(_with(k_00=torch.zeros(1, *SHAPE)), "3 gists", id="four dimensions"),
        pytest.param(_with(k_00=torch.zeros(SLOTS)), "3 gists", id="one dimension"),
        pytest.param(_with(k_00=torch.tensor(1.0)), "3 gists", id="no dimension"),
        pytest.param(_with(k_00=torch.zeros(SHAPE, dtype=torch.float16)), "types", id="mixed"),
        pytest.param(_with(k_00=torch.zeros(SHAPE, dtype=torch.int32)), "types", id="int"),
    ],
)
def test_tensors_must_be_those_of_a_gist(
    tmp_path: Path, change: Callable[[dict[str, Tensor]], None], why: str
) -> None:
    tensors = _named(_cache())
    change(tensors)
    _refused(_forge(tmp_path / "x", tensors), why)


@pytest.mark.parametrize("dtype", [torch.int32, torch.float64, torch.float8_e4m3fn, torch.bool])
def test_only_floating_types_of_models_are_read(tmp_path: Path, dtype: torch.dtype) -> None:
    tensors = {name: tensor.to(dtype) for name, tensor in _named(_cache()).items()}
    _refused(_forge(tmp_path / "x", tensors), "types")


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "model"},
        {"format_version": 0},
        {"format_version": -1},
        {"format_version": True},
        {"format_version": "1"},
        {"format_version": 1.0},
        {"n_gist": SLOTS + 1},
        {"n_gist": -1},
        {"n_gist": "three"},
        {"n_context": 0},
        {"fingerprints": None},
        {"note": "a key this version does not know"},
    ],
    ids=str,
)
def test_the_description_must_be_that_of_a_gist(tmp_path: Path, change: dict[str, Any]) -> None:
    _refused(_forge(tmp_path / "x", _named(_cache()), **change))


def test_a_newer_format_asks_for_an_upgrade(tmp_path: Path) -> None:
    message = _refused(_forge(tmp_path / "x", _named(_cache()), format_version=3, news=1))
    assert "format version 3" in message
    assert "reads up to 2" in message
    assert "upgrade dnsity" in message


def _header(text: bytes, body: bytes = b"") -> bytes:
    return struct.pack("<Q", len(text)) + text + body


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"1234567", id="too short"),
        pytest.param(b"The harbour office opens at nine.\n" * 40, id="text"),
        pytest.param(os.urandom(2000), id="random"),
        pytest.param(struct.pack("<Q", 2**63), id="huge header length"),
        pytest.param(struct.pack("<Q", 2**64 - 1) + b"{}" * 50, id="largest header length"),
        pytest.param(_header(b" " * (gist_file.MAX_HEADER_BYTES + 1)), id="header over the limit"),
        pytest.param(_header(b"[" * 200_000), id="nested header"),
        pytest.param(_header(b"[]"), id="list"),
        pytest.param(_header(b"null"), id="null"),
        pytest.param(_header(b'{"__metadata__":7}'), id="metadata is a number"),
        pytest.param(_header(b'{"__metadata__":{"gist":7}}'), id="description is a number"),
        pytest.param(_header(b'{"__metadata__":{"gist":"[1]"}}'), id="description is a list"),
        pytest.param(_header(b'{"__metadata__":{"gist":"' + b"[" * 99_999 + b'"}}'), id="nested"),
        pytest.param(_header(b"\xff\xfe\x00"), id="not UTF-8"),
    ],
)
def test_what_is_no_gist_file_is_refused_at_once(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.gist.safetensors"
    path.write_bytes(data)
    started = time.process_time()
    _refused(path)
    assert time.process_time() - started < 1


def _with_header_of(size: int, path: Path) -> Path:
    """Write an intact gist file whose header is padded with blanks, as the format allows."""
    data = _cache().save(path).read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    path.write_bytes(_header(data[8 : 8 + length].ljust(size), data[8 + length :]))
    return path


def test_headers_are_read_up_to_256_kilobytes(tmp_path: Path) -> None:
    assert _equal(gist_file.load(_with_header_of(256 * 1024, tmp_path / "x")), _cache())
    _refused(_with_header_of(256 * 1024 + 1, tmp_path / "x"), "header is truncated or too long")


def test_files_are_read_up_to_8_gigabytes(file: Path) -> None:
    """Zeros after an intact file, as a sparse file."""
    os.truncate(file, 8 * 2**30)
    _refused(file, "its size is not that of its tensors")
    os.truncate(file, 8 * 2**30 + 1)
    _refused(file, "8589934593 bytes, more than any gist")


def test_the_message_names_what_is_missing(tmp_path: Path, file: Path) -> None:
    """A file cut within its header, and one that ends with it, are not the same damage."""
    data = file.read_bytes()
    for kept, why in ((7, "too short"), (8, "header is truncated"), (99, "header is truncated")):
        file.write_bytes(data[:kept])
        _refused(file, why)
    _refused(_forge(tmp_path / "x", {}), "layers are missing")


def test_a_header_over_the_limit_is_refused_whatever_it_says(tmp_path: Path) -> None:
    """The library would read up to 100 MB of it."""
    huge = {"weights": "0" * gist_file.MAX_HEADER_BYTES}
    _refused(_forge(tmp_path / "x", _named(_cache()), fingerprints=huge), "header")


def test_a_file_of_model_weights_is_no_gist(tmp_path: Path) -> None:
    save_file({"embed.weight": torch.ones(4, 4)}, tmp_path / "model.safetensors")
    _refused(tmp_path / "model.safetensors", "no gist description")


def test_a_second_metadata_entry_is_refused(tmp_path: Path) -> None:
    tensors = _named(_cache())
    path = _forge(tmp_path / "x", tensors)
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    gist = json.loads(data[8 : 8 + length])["__metadata__"]["gist"]
    path.write_bytes(serialise(tensors, metadata={"gist": gist, "note": "hello"}))
    _refused(path, "not that of a gist")


def test_a_description_in_another_form_is_refused(tmp_path: Path) -> None:
    """Same meaning, other bytes: the file is not what was written."""
    tensors = _named(_cache())
    path = _forge(tmp_path / "x", tensors)
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    description = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["gist"])
    path.write_bytes(serialise(tensors, metadata={"gist": json.dumps(description, indent=1)}))
    _refused(path, "altered")


def test_the_checksum_covers_numbers_of_the_description(file: Path) -> None:
    """An inflated ratio would mislead as much as a wrong tensor."""
    file.write_bytes(file.read_bytes().replace(b'n_context\\":300', b'n_context\\":900'))
    _refused(file, "checksum")
