"""Documents longer than the model's window: cut into chunks, whose slots are then joined.

chunk 1   [head][d1 ...] ──▶ [head][slots 1]
chunk 2   [head][d2 ...] ──▶ [head][slots 2]       keys moved by the slots before them
joined                       [head][slots 1][slots 2]
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import PreTrainedModel

from dnsity.gist.layout import split_evenly
from dnsity.inference.gist_cache import Progress
from dnsity.inference.loaded import LoadedModel
from dnsity.model.attention import moved
from dnsity.model.key_values import concatenate
from dnsity.shapes import KeyOrValue, KeyValues


def chunk_spans(loaded: LoadedModel, tokens: int, extra: int) -> list[tuple[int, int]]:
    """Return the (start, stop) spans of the fewest equal chunks that fit the model's window.

    Args:
        loaded: Model and tokenizer.
        tokens: Tokens of the document.
        extra: Positions needed in addition to head and chunk.
    """
    room = max(1, loaded.max_positions - len(loaded.frame.head) - extra)
    return split_evenly(tokens, max(1, -(-tokens // room)))


def slots_per_chunk(slots: int, chunks: Sequence[tuple[int, int]]) -> list[int]:
    """Return the number of slots of each chunk: equal shares of at least one."""
    return [max(1, stop - start) for start, stop in split_evenly(slots, len(chunks))]


def progress_within(progress: Progress, before: int, total: int) -> Progress:
    """Return a callback that reports one chunk's progress as that of the whole document.

    Args:
        progress: Callback of the document.
        before: Work done when the chunk begins.
        total: Work in total.
    """

    def report(done: int, _: int | None, now: str = "") -> None:
        progress(before + done, total, *([now] if now else []))

    return report


@torch.inference_mode()
def join_chunks(loaded: LoadedModel, parts: Sequence[KeyValues]) -> KeyValues:
    """Concatenate the slots of several chunks, at successive positions.

    Args:
        loaded: Model and tokenizer.
        parts: Slots of each chunk, at positions right after the head.

    Returns:
        Slots at positions right after the head, in order.

    Raises:
        UnsupportedModelError: If the model's keys cannot be moved.
    """
    if len(parts) == 1:
        return parts[0]
    base, rotates = loaded.lm.base, loaded.rotating
    placed: list[KeyValues] = []
    before = 0
    for part in parts:
        placed.append(tuple(
            (_moved(base, number, keys, before) if turns and before else keys, values)
            for number, ((keys, values), turns) in enumerate(zip(part, rotates, strict=True))
        ))  # fmt: skip
        before += part[0][0].shape[2]
    return concatenate(*placed)


def _moved(base: PreTrainedModel, layer: int, keys: KeyOrValue, by: int) -> KeyOrValue:
    """Return keys moved by `by` positions."""
    return moved(base, layer, keys[0], torch.full(keys.shape[1:3], by, device=keys.device))[None]
