"""Slots that differ in number from head to head, in ordinary tensors.

    one layer    head of the frame | empty | slots        | question
    head 0       h h h               . . .   s s s s        q q
    head 1       h h h               s s s   s s s s        q q

A slot whose key is all zeros is empty, and no query attends to it. The slots of a head are the last
of its row. A layer is as long as its fullest head; the first one is as long as the slots have
positions, because transformers takes the size of the attention mask from there.

Some heads read a text nearly token by token and most hardly look at it, so a budget shared by all
heads keeps far more of what a document says than the same number for every head (KVzip,
2505.23416, section 3.3; docs/log.md for what it measures here).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import pad
from transformers import AttentionInterface, PreTrainedModel
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

from dnsity.model import backbone
from dnsity.model.attention import attend
from dnsity.shapes import KeyValues, PaddingMask

_UNEVEN = "dnsity_uneven"
Counts = list[list[int]]
"""Slots of every head of every layer."""


def is_uneven(prefix: KeyValues | None, mask: PaddingMask | None = None) -> bool:
    """Say whether a prefix has empty slots, so that `twin` has to answer from it.

    Args:
        prefix: Keys and values `[B, K, G, D]` per layer.
        mask: True at real slots where prefixes are padded on the left, `[B, G]`.
    """
    if not prefix:
        return False
    slots = prefix[0][0].shape[2]
    if any(keys.shape[2] != slots for keys, _ in prefix):
        return True
    for keys, _ in prefix:
        empty = keys[..., 0] == 0  # nearly never of a real key: all of it is read then
        if mask is not None:
            empty = empty & mask[:, None].to(keys.device)
        if bool(empty.any()) and bool(_empty(keys)[empty].any()):
            return True
    return False


def _empty(keys: Tensor) -> Tensor:
    return (keys == 0).all(dim=-1)


def aligned(
    heads: Float[Tensor, "K N D"], kept: Bool[Tensor, "K N"], length: int | None = None
) -> tuple[Float[Tensor, "K G D"], Int[Tensor, "K G"]]:
    """Put what each head keeps at the end of its row, in order.

    Args:
        heads: Keys or values `[K, N, D]`.
        kept: Which tokens each head keeps.
        length: Of a row (default: the fullest head's).

    Returns:
        The rows `[K, G, D]`, zero where empty, and for each slot the token it is, `[K, G]`.
    """
    counts = kept.sum(dim=-1)
    longest = int(counts.max())
    # Stable: what is not kept first, then what is, in order.
    tokens = kept.int().argsort(dim=-1, stable=True)[:, kept.shape[1] - longest :]
    rows = heads.gather(1, tokens[..., None].expand(-1, -1, heads.shape[-1]))
    rows = rows * filled(counts, longest)[..., None]
    missing = max(0, (length or 0) - longest)
    return pad(rows, (0, 0, missing, 0)), pad(tokens, (missing, 0))


def filled(counts: Tensor, length: int) -> Bool[Tensor, "K G"]:
    """Say which slots of rows of this length are real, when each head's are the last ones."""
    return torch.arange(length, device=counts.device) >= length - counts[:, None]


def packed(layers: KeyValues) -> tuple[Counts, list[tuple[Tensor, Tensor]]]:
    """Take the empty slots out.

    Args:
        layers: Keys and values `[1, K, G, D]`; empty slots may be anywhere.

    Returns:
        Slots of each head, and per layer keys and values `[N, D]`, one head after the other.
    """
    real = [~_empty(keys[0]) for keys, _ in layers]
    counts = [each.sum(dim=-1).tolist() for each in real]
    return counts, [(k[0][own], v[0][own]) for (k, v), own in zip(layers, real, strict=True)]


def unpacked(counts: Counts, flat: Sequence[tuple[Tensor, Tensor]], positions: int) -> KeyValues:
    """Undo `packed`.

    Args:
        counts: Slots of each head of each layer.
        flat: Per layer keys and values `[N, D]`.
        positions: Positions that the slots take, the length of the first layer.

    Returns:
        Keys and values `[1, K, G, D]` per layer.
    """
    layers = []
    for number, (own, pair) in enumerate(zip(counts, flat, strict=True)):
        length = max(own) if number else positions
        real = filled(torch.tensor(own), length).to(pair[0].device)
        rows = [part.new_zeros(len(own), length, part.shape[-1]) for part in pair]
        for row, part in zip(rows, pair, strict=True):
            row[real] = part
        layers.append((rows[0][None], rows[1][None]))
    return tuple(layers)


_REAL: ContextVar[tuple[Tensor, ...]] = ContextVar("dnsity_real_slots")
"""Which slots of the prefix are real, `[B or 1, K, S]` per layer."""


def twin(base: PreTrainedModel) -> PreTrainedModel:
    """Return a copy of a model, sharing its weights, that runs inside `real_slots` only."""
    return backbone.twin(base, _UNEVEN)


@contextmanager
def real_slots(prefix: KeyValues, head: int) -> Iterator[None]:
    """Let the twin attend to the real slots of a prefix, in this thread.

    Args:
        prefix: Keys and values `[B or 1, K, G, D]` per layer.
        head: Slots of the frame's head before them.
    """
    before = _REAL.set(tuple(pad(~_empty(keys), (head, 0), value=True) for keys, _ in prefix))
    try:
        yield
    finally:
        _REAL.reset(before)


def _attend(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Any, **more: Any
) -> tuple[Tensor, None]:
    """Attend as always, but to no empty slot."""
    tokens, length = query.shape[2], key.shape[2]
    if attention_mask is None:  # all of the prefix, and the question so far
        seen = torch.ones(tokens, length, dtype=torch.bool, device=key.device)
        seen = seen.tril(length - tokens)[None, None]
    else:  # made for the first layer, which is the longest
        seen = attention_mask[..., -length:]
    real = _REAL.get()[module.layer_idx]
    real = pad(real, (0, length - real.shape[-1]), value=True)  # question and answer
    real = real.repeat_interleave(query.shape[1] // key.shape[1], dim=1)
    return attend(module, query, key, value, seen & real[:, :, None], **more)


AttentionInterface.register(_UNEVEN, _attend)
AttentionMaskInterface.register(_UNEVEN, sdpa_mask)
