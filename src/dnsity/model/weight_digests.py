"""Digests of weights: of sampled values in every row, or of all values.

Values are converted to bfloat16, so that digests do not depend on the compute type. Columns are
sampled with integer arithmetic, seeded with the name and shape of a tensor. They are therefore the
same on every machine and in every version, and differ between tensors.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import torch
from torch import Tensor

PER_ROW = 8
"""Values sampled from each row of a large tensor."""
SMALL = 65_536
"""Tensors of at most this many values are used in full."""
_FLAT = 1024
"""Row width for tensors without proper rows (vectors, packed 4-bit weights)."""
_NARROW = 32
_AT_ONCE = 2**22
Named: TypeAlias = Iterable[tuple[str, Tensor]]


def sampled(named: Named) -> str:
    """Return a digest of up to `PER_ROW` pseudo-random values of every row of every tensor."""
    return _digest(named, lambda name, tensor: [_bytes(_rows_sampled(name, tensor))])


def strided(named: Named) -> str:
    """Return the digest that earlier versions stored, of every n-th value."""

    def every(_: str, tensor: Tensor) -> list[Any]:
        flat = tensor.flatten()
        return [_bytes(flat[:: max(1, flat.numel() // 1024)])]

    return _digest(named, every)


def complete(named: Named) -> str:
    """Return a digest of all values of every tensor."""
    return _digest(named, lambda _, tensor: map(_bytes, torch.split(tensor.reshape(-1), _AT_ONCE)))


def _digest(named: Named, read: Callable[[str, Tensor], Iterable[Any]]) -> str:
    found = hashlib.sha256()
    for name, tensor in named:
        found.update(f"{name}{list(tensor.shape)}".encode())
        for part in read(name, tensor.detach()):
            found.update(part)
    return found.hexdigest()


def _bytes(tensor: Tensor) -> Any:
    values = tensor.to(torch.bfloat16).cpu().contiguous()
    return values.view(-1).view(torch.uint8).numpy()


def _rows_sampled(name: str, tensor: Tensor) -> Tensor:
    if tensor.numel() <= SMALL:
        return tensor
    wide = tensor.ndim > 1 and tensor.shape[-1] >= _NARROW
    flat = tensor.reshape(-1)
    width = int(tensor.shape[-1]) if wide else _FLAT
    whole = flat.numel() // width * width
    rows = flat[:whole].view(-1, width)
    return torch.cat([rows.gather(1, _places(name, rows)).flatten(), flat[whole:]])


def _places(name: str, rows: Tensor) -> Tensor:
    """Sample `PER_ROW` columns for every row."""
    seed = hashlib.sha256(f"{name}{list(rows.shape)}".encode()).digest()[:7]
    count = rows.shape[0] * PER_ROW
    mixed = torch.arange(count, device=rows.device) + int.from_bytes(seed, "big")
    for factor in (-0x61C8864680B583EB, -0x4B47D0C5A9F0A6B3):  # overflow is intended
        mixed = mixed * factor
        mixed = mixed ^ (mixed >> 29)
    return (mixed % rows.shape[1]).view(-1, PER_ROW)
