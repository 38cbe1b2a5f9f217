"""Text to gists."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from dnsity.data.collate import left_pad
from dnsity.errors import BadInputError
from dnsity.gist.layout import split_to_window
from dnsity.inference.gist_cache import GistCache, GistInfo
from dnsity.inference.loaded import LoadedModel
from dnsity.model.fingerprint import describe_base
from dnsity.model.gist_lm import concatenate, select
from dnsity.shapes import KeyValues

Progress = Callable[[int, int], None]
"""Called with chunks done and chunks in all."""


@torch.inference_mode()
def compress(
    loaded: LoadedModel,
    texts: Sequence[str],
    *,
    gists: int | None = None,
    batch_size: int = 8,
    progress: Progress | None = None,
) -> list[GistCache]:
    """Compress documents; one longer than the window is cut into equal chunks, never shortened.

    Args:
        loaded: Model and tokenizer.
        texts: Documents.
        gists: Gists per chunk (default: as trained).
        batch_size: Chunks per forward pass.
        progress: Called after every pass.

    Returns:
        One cache per document, in order.

    Raises:
        BadInputError: If a document is empty, shorter than its gists, not valid Unicode, or so
            long that its gists alone would fill the model's window.
    """
    count = _gist_count(loaded, gists)
    documents = [_encode(loaded, text, count) for text in texts]
    spec = loaded.lm.spec
    carry = spec.chunking == "carry"
    chunks = [
        _Chunk(number, index, ids[start:stop])
        for number, ids in enumerate(documents)
        for index, (start, stop) in enumerate(split_to_window(len(ids), spec.window_tokens))
    ]
    parts: list[list[KeyValues]] = [[] for _ in documents]
    step = 1 if carry else batch_size
    for first in range(0, len(chunks), step):
        batch = chunks[first : first + step]
        earlier = parts[batch[0].document] if carry else []
        ids, mask = left_pad([chunk.ids for chunk in batch])
        layers = loaded.lm.compress(
            ids.to(loaded.device),
            None if bool(mask.all()) else mask.to(loaded.device),
            gists=count,
            offset=torch.tensor([chunk.index * count for chunk in batch]).to(loaded.device),
            prefix=concatenate(*earlier) if earlier else None,
        )
        for row, chunk in enumerate(batch):
            parts[chunk.document].append(select(layers, torch.tensor([row]).to(loaded.device)))
        if progress is not None:
            progress(first + len(batch), len(chunks))
    return [
        _cache(loaded, text, len(ids), parts[number])
        for number, (text, ids) in enumerate(zip(texts, documents, strict=True))
    ]


@dataclass(frozen=True, slots=True)
class _Chunk:
    """One window's worth of a document."""

    document: int
    index: int
    ids: list[int]


def _gist_count(loaded: LoadedModel, wanted: int | None) -> int:
    trained = loaded.lm.spec.gists
    if wanted is None:
        return trained
    if not 1 <= wanted <= trained:
        raise BadInputError(f"--gists {wanted}: this model holds 1 to {trained} gists per chunk")
    return wanted


def _encode(loaded: LoadedModel, text: str, gists: int) -> list[int]:
    if not text.strip():
        raise BadInputError("the document is empty; give a text to compress")
    ids = loaded.encoder.start_ids + loaded.encoder.encode(text)
    slots = gists * len(split_to_window(len(ids), loaded.lm.spec.window_tokens))
    if len(ids) <= slots:
        fewer = max(1, len(ids) // 10)
        raise BadInputError(
            f"the document has {len(ids)} tokens, {slots} gists would not make it smaller; "
            + "put it into the question"
            + (f", or use fewer gists (--gists {fewer})" if fewer < gists else "")
        )
    if slots > loaded.max_positions // 2:
        raise BadInputError(
            f"the document has {len(ids)} tokens and needs {slots} gist slots, this model can hold "
            f"{loaded.max_positions // 2}; split the document into several files or use fewer gists"
        )
    return ids


def _cache(loaded: LoadedModel, text: str, tokens: int, parts: list[KeyValues]) -> GistCache:
    layers = concatenate(*parts)
    slots = layers[0][0].shape[-2]
    slot_bytes = sum(t.numel() * t.element_size() for layer in layers for t in layer) // slots
    info = GistInfo(
        n_context=tokens,
        n_gist=slots,
        n_chunks=len(parts),
        characters=len(text),
        full_kv_bytes=slot_bytes * tokens,
        model=loaded.name,
        base=describe_base(loaded.lm),
        fingerprints=loaded.fingerprints,
    )
    return GistCache(layers, info)
