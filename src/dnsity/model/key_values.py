"""Keys and values of several documents or chunks: joined, padded, repeated and selected.

Chunks of a document follow one another; documents of a batch are padded on the left:

    concatenate  [g1 g2] [g3 g4]  ->  [g1 g2 g3 g4]        stacked  [a1 a2 a3] [b1]  ->  [a1 a2 a3]
                                                                                         [ .  . b1]
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Bool
from torch import Tensor
from torch.nn.functional import pad

from dnsity.shapes import KeyValues


def slots_of(prefix: KeyValues | None) -> int:
    """Return how many slots a prefix has."""
    return 0 if prefix is None else prefix[0][0].shape[-2]


def all_slots(prefix: KeyValues | None, like: Bool[Tensor, "B T"]) -> Bool[Tensor, "B slots"]:
    """Return a mask over a prefix that is True everywhere, for the batch of another mask."""
    return torch.ones(like.shape[0], slots_of(prefix), dtype=torch.bool, device=like.device)


def size_bytes(layers: KeyValues) -> int:
    """Return the size of keys and values in memory."""
    return sum(t.numel() * t.element_size() for layer in layers for t in layer)


def concatenate(*parts: KeyValues) -> KeyValues:
    """Join segments in time: the gists of several chunks become one prefix."""
    return tuple(
        (torch.cat([k for k, _ in layers], dim=-2), torch.cat([v for _, v in layers], dim=-2))
        for layers in zip(*parts, strict=True)
    )


def batched(documents: Sequence[KeyValues]) -> KeyValues:
    """Join documents of equally many slots, `[1, K, G, D]` each, to one batch."""
    if len(documents) == 1:
        return documents[0]
    return tuple(
        (torch.cat([k for k, _ in layers]), torch.cat([v for _, v in layers]))
        for layers in zip(*documents, strict=True)
    )


def first_slots(prefix: KeyValues, slots: int) -> KeyValues:
    """Return the first slots of every layer, without copying."""
    return tuple((keys[:, :, :slots], values[:, :, :slots]) for keys, values in prefix)


def row_of(batch: KeyValues, row: int) -> KeyValues:
    """Return one row of a batch, `[1, K, G, D]`, without copying."""
    return tuple((keys[row : row + 1], values[row : row + 1]) for keys, values in batch)


def stacked(gists: Sequence[KeyValues]) -> tuple[KeyValues, Tensor]:
    """Return the gists of several documents as one batch, padded on the left.

    Args:
        gists: Per document keys and values `[1, K, G, D]` of every layer, with any G.

    Returns:
        Keys and values `[B, K, S, D]`, and the mask `[B, S]` that is True at real slots.
    """
    lengths = [layers[0][0].shape[-2] for layers in gists]

    def joined(tensors: Sequence[Tensor]) -> Tensor:
        longest = max(x.shape[-2] for x in tensors)
        return torch.cat([pad(x, (0, 0, longest - x.shape[-2], 0)) for x in tensors])

    longest = max(lengths)
    mask = torch.arange(longest)[None] >= longest - torch.tensor(lengths)[:, None]
    layers = tuple(
        (joined([k for k, _ in each]), joined([v for _, v in each]))
        for each in zip(*gists, strict=True)
    )
    return layers, mask


def shared(gists: KeyValues, rows: int) -> KeyValues:
    """Repeat the keys and values of one document for a batch of `rows`, without copying."""
    return tuple((k.expand(rows, -1, -1, -1), v.expand(rows, -1, -1, -1)) for k, v in gists)


def select(gists: KeyValues, rows: Tensor) -> KeyValues:
    """Select rows of the batch, with repetition: one document for each of many questions."""
    return tuple((k.index_select(0, rows), v.index_select(0, rows)) for k, v in gists)


def unpadded(
    prefix: KeyValues | None, mask: Tensor | None, rows: int
) -> Iterator[KeyValues | None]:
    """Yield the prefix of each question without its padding.

    Args:
        prefix: Keys and values `[B, K, G, D]`, or `[1, K, G, D]` for all questions; None if there
            is no prefix.
        mask: True at real slots, `[B, G]`; None if there is no padding.
        rows: Number of questions.
    """
    for row in range(rows):
        if prefix is None or prefix[0][0].shape[0] == 1:
            yield prefix
            continue
        real = prefix[0][0].shape[-2] if mask is None else int(mask[row].sum())
        yield tuple((k[row : row + 1, :, -real:], v[row : row + 1, :, -real:]) for k, v in prefix)
