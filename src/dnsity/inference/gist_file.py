"""The gist file: a safetensors file with a checksum, refused if it is not exactly as written.

    k.00 v.00 k.01 v.01 ...   [K, G, D], one pair per layer (k and v may differ in D);
                              [N, D] if heads have different numbers of slots (version 2):
                              one head after the other, with the counts in `slots`
    metadata "gist"           canonical JSON: format version, GistInfo, SHA-256 of everything

There is exactly one metadata entry: the library writes several entries in varying order, so that
equal contents would get different bytes. The library has no checksum; the description contains one.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load as parse
from safetensors.torch import save as serialise
from torch import Tensor

from dnsity.errors import BadInputError, DamagedFileError
from dnsity.inference.gist_cache import GistCache, GistInfo
from dnsity.io.atomic import write_private_bytes
from dnsity.io.formats import GIST_SUFFIX
from dnsity.model.finite import require_finite
from dnsity.model.uneven import packed, unpacked

FORMAT_VERSION = 2
"""Version 1 has the same number of slots in every head; such gists are still written as 1."""
MAX_HEADER_BYTES = 256 * 1024
MAX_FILE_BYTES = 8 * 1024**3
LARGEST_SPREAD = 64
"""Maximum ratio of the slots' size in memory, empty slots included, to their size in the file."""
DTYPES = frozenset({torch.float32, torch.float16, torch.bfloat16})


def save(gist: GistCache, path: Path) -> Path:
    """Write a gist file atomically: a temporary file next to it, then a rename.

    Args:
        gist: The gist.
        path: Target; its directory must exist.

    Returns:
        The path.

    Raises:
        BadInputError: If the target cannot be written, or the gist holds numbers that are not
            finite; an existing file is then unchanged.
    """
    require_finite(gist.layers, f"{path} is not written, the gist cannot be used")
    uneven = gist.info.slots is not None
    pairs = packed(gist.layers)[1] if uneven else [(k[0], v[0]) for k, v in gist.layers]
    tensors: dict[str, Tensor] = {}
    for index, (keys, values) in enumerate(pairs):
        tensors[f"k.{index:02d}"] = keys.detach().cpu().contiguous()
        tensors[f"v.{index:02d}"] = values.detach().cpu().contiguous()
    description: dict[str, Any] = {
        "format_version": FORMAT_VERSION if uneven else 1,
        "kind": "gist",
        "position_scheme": "negative_origin",
        "truncated": False,
        # Defaults are left out, so that new fields do not change the bytes of old descriptions.
        **gist.info.model_dump(mode="json", exclude_defaults=True),
    }
    description["sha256"] = checksum(description, tensors)
    write_atomically(path, serialise(tensors, metadata={"gist": canonical(description)}))
    return path


def load(path: Path) -> GistCache:
    """Read a gist file and verify everything that does not need the model.

    Raises:
        BadInputError: If it is missing or unreadable, or not a file.
        DamagedFileError: If it is not a gist file, is truncated or altered, or is newer than this
            version.
    """
    data, description = _read(path)
    try:
        tensors = parse(data)
    except (SafetensorError, ValueError, KeyError, RuntimeError) as error:
        raise _damaged(path, str(error)) from error
    expected = description.pop("sha256", None)
    own = ("format_version", "kind", "position_scheme", "truncated")
    try:
        info = GistInfo.model_validate({k: v for k, v in description.items() if k not in own})
    except ValidationError as error:
        raise _damaged(path, "its description is incomplete") from error
    if checksum(description, tensors) != expected:
        raise _damaged(path, "its checksum does not match")
    layers = _layers(path, tensors, info, description["format_version"])
    if not all(bool(torch.isfinite(t).all()) for layer in layers for t in layer):
        raise _damaged(path, "it holds NaN or infinite values")
    return GistCache(layers, info)


def canonical(description: Mapping[str, Any]) -> str:
    """Return a description as JSON in the only form that a gist file may contain."""
    return json.dumps(description, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def checksum(description: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    """Return a hash of the description and of all tensors: names, types, shapes and bytes."""
    digest = hashlib.sha256(canonical(description).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name}|{tensor.dtype}|{list(tensor.shape)}|".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _read(path: Path) -> tuple[bytes, dict[str, Any]]:
    """Return the bytes of a file and its description, if its header is that of a gist.

    Pipes and devices are refused, because they may never end. The header is checked before the
    rest is read, so that a file with a false size does not fill the memory.
    """
    if os.path.isdir(path):
        raise BadInputError(f"{path} is a directory; give a *{GIST_SUFFIX} file")
    try:
        if os.path.exists(path) and not os.path.isfile(path):
            raise BadInputError(f"{path} is a pipe or a device; give a *{GIST_SUFFIX} file")
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > MAX_FILE_BYTES:
                raise _damaged(path, f"it has {size} bytes, more than any gist")
            start = file.read(8)
            header = file.read(_header_bytes(path, start, size))
            parsed = _header(path, header)
            description = _description(path, header, parsed)
            tensors = _tensor_bytes(path, parsed)
            if size != 8 + len(header) + tensors:
                raise _damaged(path, "its size is not that of its tensors")
            return start + header + file.read(tensors), description
    except OSError as error:
        raise BadInputError(f"cannot read {path}: {error.strerror}") from error


def _header_bytes(path: Path, start: bytes, size: int) -> int:
    """Return the length of the header, at most 256 kB; the library allows 100 MB."""
    if len(start) < 8:
        raise _damaged(path, "it is too short")
    (length,) = struct.unpack("<Q", start)
    if length > MAX_HEADER_BYTES or 8 + length > size:
        raise _damaged(path, "its header is truncated or too long")
    return int(length)


def _header(path: Path, header: bytes) -> Any:
    """Parse the header before the library does."""
    try:
        return _object(header.rstrip(b" "))
    except (ValueError, RecursionError) as error:
        raise _damaged(path, "it has no gist description") from error


def _tensor_bytes(path: Path, header: Any) -> int:
    """Return the number of bytes of the tensors that a header lists."""
    try:
        tensors = [each for name, each in header.items() if name != "__metadata__"]
        return max((int(tensor["data_offsets"][1]) for tensor in tensors), default=0)
    except (ValueError, KeyError, TypeError, IndexError, OverflowError) as error:
        raise _damaged(path, "its header does not say where its tensors are") from error


def _object(text: bytes | str) -> Any:
    """Parse JSON and refuse repeated keys, of which Python would silently use the last."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError("a key occurs twice")
        return found

    return json.loads(text, object_pairs_hook=once)


def _description(path: Path, header: bytes, parsed: Any) -> dict[str, Any]:
    """Return the description in a header, after checking it."""
    try:
        metadata = parsed["__metadata__"]
        description = _object(metadata["gist"])
        version = description["format_version"]
        whole = list(metadata) == ["gist"] and description["kind"] == "gist"
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _damaged(path, "it has no gist description") from error
    if not whole or not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise _damaged(path, "its description is not that of a gist")
    if version > FORMAT_VERSION:
        raise DamagedFileError(
            f"{path} has format version {version}, this dnsity reads up to {FORMAT_VERSION}; "
            "upgrade dnsity"
        )
    if not header.rstrip(b" ").endswith(b"}") or metadata["gist"] != canonical(description):
        raise _damaged(path, "its description was altered")
    return dict(description)


def _layers(
    path: Path, tensors: Mapping[str, Tensor], info: GistInfo, version: int
) -> tuple[tuple[Tensor, Tensor], ...]:
    """Return the keys and values of each layer, after checking names, types and shapes."""
    count = len(tensors) // 2
    names = {f"{kind}.{index:02d}" for index in range(count) for kind in "kv"}
    if not count or set(tensors) != names:
        raise _damaged(path, "layers are missing or unknown tensors are in it")
    dtypes = {tensor.dtype for tensor in tensors.values()}
    if len(dtypes) != 1 or not dtypes <= DTYPES:
        raise _damaged(path, "its tensors have mixed or unknown types")
    pairs = [(tensors[f"k.{i:02d}"], tensors[f"v.{i:02d}"]) for i in range(count)]
    if (version == 1) != (info.slots is None) or (info.slots is None) != (info.n_positions is None):
        raise _damaged(path, "its format version is not that of its slots")
    if info.slots is None:
        if any(t.dim() != 3 or t.shape[1] != info.n_gist for t in tensors.values()):
            raise _damaged(path, f"a tensor does not hold {info.n_gist} gists")
        return tuple((keys[None], values[None]) for keys, values in pairs)
    if not _has_counted_slots(info, pairs):
        raise _damaged(path, "its tensors do not hold the slots it counts")
    return unpacked(info.slots, pairs, info.positions)


def _has_counted_slots(info: GistInfo, pairs: Sequence[tuple[Tensor, Tensor]]) -> bool:
    """Return whether tensors `[N, D]` have the slots of the description, and sane sizes."""
    counts = info.slots or []
    heads = len(counts[0]) if counts else 0
    sizes = [sum(each) for each in counts]
    if len(counts) != len(pairs) or not heads or any(len(each) != heads for each in counts):
        return False
    if info.n_gist != -(-sum(sizes) // (heads * len(counts))):
        return False
    if min(map(min, counts)) < 1 or not max(map(max, counts)) <= info.positions <= info.n_context:
        return False
    tensors = [t for pair in pairs for t in pair]
    lengths = [n for n in sizes for _ in "kv"]
    if any(t.dim() != 2 or t.shape[0] != n for t, n in zip(tensors, lengths, strict=True)):
        return False
    # A small file that claims many positions must not fill the memory.
    stored = sum(t.numel() for t in tensors)
    longest = [info.positions, *map(max, counts[1:])]
    whole = sum(
        heads * n * sum(t.shape[1] for t in pair) for n, pair in zip(longest, pairs, strict=True)
    )
    return whole <= LARGEST_SPREAD * stored and not any(
        bool((keys == 0).all(dim=-1).any()) for keys, _ in pairs
    )


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file atomically and durably; only its owner can read it.

    Raises:
        BadInputError: If `path` is not a regular file or cannot be written.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        raise BadInputError(f"{path} is not a file; choose another place with -o")
    try:
        write_private_bytes(path, data)
    except OSError as error:
        raise BadInputError(
            f"cannot write {path}: {error.strerror}; choose another place with -o"
        ) from error


def _damaged(path: Path, why: str) -> DamagedFileError:
    return DamagedFileError(
        f"{path} is not an intact gist file: {why}; compress the document again"
    )
