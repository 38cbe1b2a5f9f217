"""Keys and values of several documents or chunks, put together and taken apart.

Chunks of a document stand one after the other; documents of a batch end together:

    concatenate  [g1 g2] [g3 g4]  ->  [g1 g2 g3 g4]        stacked  [a1 a2 a3] [b1]  ->  [a1 a2 a3]
                                                                                         [ .  . b1]
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

from dnsity.shapes import KeyValues


def concatenate(*parts: KeyValues) -> KeyValues:
    """Join segments along time: the gists of several chunks are one prefix."""
    return tuple(
        (torch.cat([k for k, _ in layers], dim=-2), torch.cat([v for _, v in layers], dim=-2))
        for layers in zip(*parts, strict=True)
    )


def stacked(gists: Sequence[KeyValues]) -> tuple[KeyValues, Tensor]:
    """Put the gists of several documents into one batch, padded on the left.

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
    """Let so many rows see one document's gists, or its text; nothing is copied."""
    return tuple((k.expand(rows, -1, -1, -1), v.expand(rows, -1, -1, -1)) for k, v in gists)


def select(gists: KeyValues, rows: Tensor) -> KeyValues:
    """Take batch rows (with repetition): one compressed document serves many questions."""
    return tuple((k.index_select(0, rows), v.index_select(0, rows)) for k, v in gists)


def unpadded(
    prefix: KeyValues | None, mask: Tensor | None, rows: int
) -> Iterator[KeyValues | None]:
    """Yield the prefix of each question as it is without padding.

    Args:
        prefix: Keys and values `[B, K, G, D]`, or one row for all questions; None: nothing.
        mask: True at real slots, `[B, G]`; None: all are.
        rows: Questions.
    """
    for row in range(rows):
        if prefix is None or prefix[0][0].shape[0] == 1:
            yield prefix
            continue
        real = prefix[0][0].shape[-2] if mask is None else int(mask[row].sum())
        yield tuple((k[row : row + 1, :, -real:], v[row : row + 1, :, -real:]) for k, v in prefix)
