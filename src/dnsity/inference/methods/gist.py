"""Method `gist`: the model's trained gist tokens, one pass over the document."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from pydantic import Field

from dnsity.data.collate import left_pad
from dnsity.errors import BadInputError
from dnsity.gist.layout import cut
from dnsity.gist.spec import GistSpec
from dnsity.inference.gist_cache import GistCache, GistInfo, Progress, ignore_progress
from dnsity.inference.loaded import LoadedModel
from dnsity.inference.methods.compressor import Compressor, Phrases
from dnsity.inference.methods.document import cache_of, encode, require_smaller
from dnsity.shapes import KeyOrValue, KeyValues

_CPU_TOKENS = 4096
"""Tokens of a pass on a CPU: four chunks of 9,700 tokens one by one took 50 s of one core and 0.6
GB, side by side 114 s and 2.3 GB. Short chunks gain by company."""


class Gist(Compressor):
    """Trained gist tokens in place of the document; long documents are cut into equal chunks."""

    name = "gist"
    heading = "gist"
    cost = "seconds"
    advice = "use more --gists, or --method select or refine"
    needs_gists = True
    batched = True
    checked_by_default = False
    by_default = True
    phrases: ClassVar[Phrases] = {"gists": "{} slots".format}

    gists: int | None = Field(
        default=None, description="Gists per window, shared by its chunks (default: as trained)."
    )
    batch_size: int = Field(
        default=8,
        ge=1,
        description="Maximum number of chunks per forward pass; on a CPU long chunks run alone.",
    )

    @torch.inference_mode()
    def compress(
        self, loaded: LoadedModel, texts: Sequence[str], progress: Progress = ignore_progress
    ) -> list[GistCache]:
        """Compress documents in batches.

        Args:
            loaded: Model and tokenizer.
            texts: Documents.
            progress: Called with chunks done and chunks in all, after every pass.

        Raises:
            BadInputError: If a document is empty, shorter than its gists, not valid Unicode, or so
                long that its gists alone would fill the model's window.
        """
        spec = loaded.lm.spec
        _require_trained(spec, self.gists)
        documents = [_encode(loaded, text, self.gists) for text in texts]
        carry = spec.chunking == "carry"
        chunks: dict[int, list[_Chunk]] = defaultdict(list)  # by how many gists each fills
        counts: list[int] = []
        for number, tokens in enumerate(documents):
            spans, each = cut(len(tokens), spec, self.gists)
            counts.append(len(spans))
            chunks[each] += [
                _Chunk(number, index, tokens[start:stop])
                for index, (start, stop) in enumerate(spans)
            ]
        head = loaded.frame.head
        held: dict[int, KeyValues] = {}
        total, done = sum(map(len, chunks.values())), 0
        for count, batch in (
            (count, of_one_count[first : first + step])
            for count, of_one_count in chunks.items()
            for step in [1 if carry else self._at_once(loaded, of_one_count)]
            for first in range(0, len(of_one_count), step)
        ):
            before = batch[0].index * count if carry else 0
            own_head = [] if before else head
            ids, mask = left_pad([own_head + chunk.ids for chunk in batch])
            offsets = torch.tensor([len(head) + chunk.index * count for chunk in batch])
            earlier = loaded.after_head(_first(held[batch[0].document], before)) if before else None
            layers = loaded.lm.compress(
                ids.to(loaded.device),
                None if bool(mask.all()) else mask.to(loaded.device),
                gists=count,
                offset=offsets.to(loaded.device),
                head=len(own_head),
                prefix=earlier,
            )
            for row, chunk in enumerate(batch):
                if chunk.document not in held:
                    held[chunk.document] = _room(layers, counts[chunk.document] * count)
                _put(held[chunk.document], chunk.index * count, layers, row)
            del layers  # else it would lie in the next pass's way
            done += len(batch)
            progress(done, total)
        return [
            cache_of(loaded, text, len(tokens), held[number], chunks=counts[number])
            for number, (text, tokens) in enumerate(zip(texts, documents, strict=True))
        ]

    def _at_once(self, loaded: LoadedModel, chunks: Sequence[_Chunk]) -> int:
        """Return how many of these chunks one pass takes."""
        if loaded.device.type != "cpu":
            return self.batch_size
        longest = len(loaded.frame.head) + max(len(chunk.ids) for chunk in chunks)
        return max(1, min(self.batch_size, _CPU_TOKENS // longest))

    def is_current(self, loaded: LoadedModel, info: GistInfo) -> bool:
        """Return whether a gist of this method and model has the requested number of slots."""
        spans, each = cut(info.n_context, loaded.lm.spec, self.gists)
        return info.n_gist == len(spans) * each


@dataclass(frozen=True, slots=True)
class _Chunk:
    """What is read of a document in one pass."""

    document: int
    index: int
    ids: list[int]


def _room(layers: KeyValues, slots: int) -> KeyValues:
    """Make room for all gists of a document at once: small tensors, one per chunk, scatter memory.

    A document of 200,000 tokens took a gigabyte more with them (docs/log.md).
    """

    def empty(one: KeyOrValue) -> KeyOrValue:
        return one.new_empty((1, one.shape[1], slots, one.shape[3]))

    return tuple((empty(keys), empty(values)) for keys, values in layers)


def _put(held: KeyValues, start: int, layers: KeyValues, row: int) -> None:
    """Copy one row of a pass to its slots."""
    for own, made in zip(held, layers, strict=True):
        for whole, part in zip(own, made, strict=True):
            whole[:, :, start : start + part.shape[2]] = part[row]


def _first(layers: KeyValues, slots: int) -> KeyValues:
    """Show the first slots of every layer; nothing is copied."""
    return tuple((keys[:, :, :slots], values[:, :, :slots]) for keys, values in layers)


def _require_trained(spec: GistSpec, gists: int | None) -> None:
    if gists is not None and not 1 <= gists <= spec.gists:
        raise BadInputError(
            f"--gists {gists}: this model holds 1 to {spec.gists} gists for "
            f"{spec.window_tokens:,} tokens of document"
        )


def _encode(loaded: LoadedModel, text: str, gists: int | None) -> list[int]:
    ids = encode(loaded, text)
    spec = loaded.lm.spec
    spans, each = cut(len(ids), spec, gists)
    require_smaller(loaded, len(ids), len(spans) * each, gists or spec.gists)
    return ids
