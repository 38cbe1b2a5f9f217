"""Different numbers of slots per attention head, in ordinary tensors.

    one layer    head of the prompt | empty | slots        | question
    head 0       h h h                . . .   s s s s        q q
    head 1       h h h                s s s   s s s s        q q

A slot whose key is all zeros is empty, and no query attends to it. The slots of a head are at the
end of its row. The length of a layer is that of its longest head. The length of the first layer is
the number of positions, because transformers takes the size of the attention mask from it.

Some heads attend to nearly every token of a document, and most attend to few of them. A budget
shared by all heads therefore preserves more of a document than the same number of slots for every
head (KVzip, 2505.23416, section 3.3; docs/log.md has measurements).
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
from dnsity.model.attention import attend, causal
from dnsity.shapes import KeyValues, PaddingMask

_UNEVEN = "dnsity_uneven"
Counts = list[list[int]]
"""Number of slots of every head, by layer."""


def is_uneven(prefix: KeyValues | None, mask: PaddingMask | None = None) -> bool:
    """Return whether a prefix has empty slots, so that only `twin` can answer from it.

    Args:
        prefix: Keys and values `[B, K, G, D]` per layer.
        mask: True at real slots, for left-padded prefixes, `[B, G]`.
    """
    if not prefix:
        return False
    slots = prefix[0][0].shape[2]
    if any(keys.shape[2] != slots for keys, _ in prefix):
        return True
    for keys, _ in prefix:
        empty = keys[..., 0] == 0  # rare for real keys; the whole key decides
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
    """Move the selected tokens of each head to the end of its row, in order.

    Args:
        heads: Keys or values `[K, N, D]`.
        kept: True at the selected tokens of each head.
        length: Minimum length of a row (default: that of the longest head).

    Returns:
        The rows `[K, G, D]`, zero where empty, and the token of each slot, `[K, G]`.
    """
    counts = kept.sum(dim=-1)
    longest = int(counts.max())
    # Stable: first the tokens that are not selected, then the selected ones, in order.
    tokens = kept.int().argsort(dim=-1, stable=True)[:, kept.shape[1] - longest :]
    rows = heads.gather(1, tokens[..., None].expand(-1, -1, heads.shape[-1]))
    rows = rows * filled(counts, longest)[..., None]
    missing = max(0, (length or 0) - longest)
    return pad(rows, (0, 0, missing, 0)), pad(tokens, (missing, 0))


def filled(counts: Tensor, length: int) -> Bool[Tensor, "K G"]:
    """Return which slots of rows of this length are real: the last `counts` ones."""
    return torch.arange(length, device=counts.device) >= length - counts[:, None]


def packed(layers: KeyValues) -> tuple[Counts, list[tuple[Tensor, Tensor]]]:
    """Remove the empty slots.

    Args:
        layers: Keys and values `[1, K, G, D]`; any slot may be empty.

    Returns:
        The number of slots of each head, and per layer keys and values `[N, D]`, head by head.
    """
    real = [~_empty(keys[0]) for keys, _ in layers]
    counts = [each.sum(dim=-1).tolist() for each in real]
    return counts, [(k[0][own], v[0][own]) for (k, v), own in zip(layers, real, strict=True)]


def unpacked(counts: Counts, flat: Sequence[tuple[Tensor, Tensor]], positions: int) -> KeyValues:
    """Restore the rows from the result of `packed`.

    Args:
        counts: Number of slots of each head, by layer.
        flat: Per layer keys and values `[N, D]`.
        positions: Number of positions of the slots, which is the length of the first layer.

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
"""True at the real slots of the prefix, `[B or 1, K, S]` per layer."""


def twin(base: PreTrainedModel) -> PreTrainedModel:
    """Return a copy of a model that shares its weights and runs inside `real_slots` only."""
    return backbone.twin(base, _UNEVEN)


@contextmanager
def real_slots(prefix: KeyValues, head: int) -> Iterator[None]:
    """Make the twin attend to the real slots of a prefix only, in this thread.

    Args:
        prefix: Keys and values `[B or 1, K, G, D]` per layer.
        head: Slots of the prompt's head, which precede the prefix.
    """
    before = _REAL.set(tuple(pad(~_empty(keys), (head, 0), value=True) for keys, _ in prefix))
    try:
        yield
    finally:
        _REAL.reset(before)


def _attend(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Any, **more: Any
) -> tuple[Tensor, None]:
    """Compute attention without the empty slots."""
    length = key.shape[2]
    if attention_mask is None:
        seen = causal(query, key)[None, None]
    else:  # has the length of the first layer, which is the longest
        seen = attention_mask[..., -length:]
    real = _REAL.get()[module.layer_idx]
    real = pad(real, (0, length - real.shape[-1]), value=True)  # question and answer
    real = real.repeat_interleave(query.shape[1] // key.shape[1], dim=1)
    return attend(module, query, key, value, seen & real[:, :, None], **more)


AttentionInterface.register(_UNEVEN, _attend)
AttentionMaskInterface.register(_UNEVEN, sdpa_mask)
