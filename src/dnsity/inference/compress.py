"""Text to gists."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from dnsity.data.collate import left_pad
from dnsity.errors import BadInputError
from dnsity.gist.layout import cut
from dnsity.gist.spec import GistSpec
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
    """Compress documents; a long one is cut into equal chunks, never shortened.

    Args:
        loaded: Model and tokenizer.
        texts: Documents.
        gists: Gists per window, shared by its chunks (default: as trained).
        batch_size: Chunks per forward pass.
        progress: Called after every pass.

    Returns:
        One cache per document, in order.

    Raises:
        BadInputError: If a document is empty, shorter than its gists, not valid Unicode, or so
            long that its gists alone would fill the model's window.
    """
    spec = loaded.lm.spec
    _require_trained(spec, gists)
    documents = [_encode(loaded, text, gists) for text in texts]
    carry = spec.chunking == "carry"
    chunks: dict[int, list[_Chunk]] = defaultdict(list)  # by how many gists each fills
    for number, tokens in enumerate(documents):
        spans, each = cut(len(tokens), spec, gists)
        chunks[each] += [
            _Chunk(number, index, tokens[start:stop]) for index, (start, stop) in enumerate(spans)
        ]
    parts: list[list[KeyValues]] = [[] for _ in documents]
    step = 1 if carry else batch_size
    total, done = sum(map(len, chunks.values())), 0
    for count, batch in (
        (count, of_one_count[first : first + step])
        for count, of_one_count in chunks.items()
        for first in range(0, len(of_one_count), step)
    ):
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
        done += len(batch)
        if progress is not None:
            progress(done, total)
    return [
        _cache(loaded, text, len(tokens), parts[number])
        for number, (text, tokens) in enumerate(zip(texts, documents, strict=True))
    ]


@dataclass(frozen=True, slots=True)
class _Chunk:
    """What is read of a document in one pass."""

    document: int
    index: int
    ids: list[int]


def _require_trained(spec: GistSpec, gists: int | None) -> None:
    if gists is not None and not 1 <= gists <= spec.gists:
        raise BadInputError(
            f"--gists {gists}: this model holds 1 to {spec.gists} gists for "
            f"{spec.window_tokens:,} tokens of document"
        )


def _encode(loaded: LoadedModel, text: str, gists: int | None) -> list[int]:
    if not text.strip():
        raise BadInputError("the document is empty; give a text to compress")
    ids = loaded.encoder.start_ids + loaded.encoder.encode(text)
    spec = loaded.lm.spec
    spans, each = cut(len(ids), spec, gists)
    slots = len(spans) * each
    if len(ids) <= slots:
        fewer = max(1, len(ids) // 10)
        raise BadInputError(
            f"the document has {len(ids)} tokens, {slots} gists would not make it smaller; "
            + "put it into the question"
            + (f", or use fewer gists (--gists {fewer})" if fewer < (gists or spec.gists) else "")
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
