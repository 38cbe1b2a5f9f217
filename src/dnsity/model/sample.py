"""Digests of weights: of sampled values in every row, or of all.

Values are compared in bfloat16, so that the compute type does not matter. Places are drawn by
integer arithmetic seeded with a tensor's name and shape: they are the same on every machine and in
every version, and differ from tensor to tensor.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import torch
from torch import Tensor

PER_ROW = 8
"""Values read of each row of a large tensor."""
SMALL = 65_536
"""A tensor of at most so many values is read whole."""
_FLAT = 1024
"""Values to a row of a tensor that has no rows worth the name (vectors, packed 4-bit weights)."""
_NARROW = 32
_AT_ONCE = 2**22
Named: TypeAlias = Iterable[tuple[str, Tensor]]


def sampled(named: Named) -> str:
    """Return a digest of up to `PER_ROW` pseudo-random values of every row of every tensor."""
    return _digest(named, lambda name, tensor: [_bytes(_rows_sampled(name, tensor))])


def strided(named: Named) -> str:
    """Return the digest that files of earlier versions hold: every n-th value."""

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
    """Draw `PER_ROW` columns for every row."""
    seed = hashlib.sha256(f"{name}{list(rows.shape)}".encode()).digest()[:7]
    count = rows.shape[0] * PER_ROW
    mixed = torch.arange(count, device=rows.device) + int.from_bytes(seed, "big")
    for factor in (-0x61C8864680B583EB, -0x4B47D0C5A9F0A6B3):  # wraps round, as wanted
        mixed = mixed * factor
        mixed = mixed ^ (mixed >> 29)
    return (mixed % rows.shape[1]).view(-1, PER_ROW)
