"""Method `gist`: the model's trained gist tokens, one pass over the document."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from pydantic import Field

from dnsity.errors import BadInputError
from dnsity.gist.layout import chunks_of, cut
from dnsity.gist.spec import GistSpec
from dnsity.inference.gist_cache import GistCache, GistInfo, Progress, ignore_progress
from dnsity.inference.loaded import LoadedModel
from dnsity.inference.methods.compressor import Compressor, Phrases
from dnsity.inference.methods.document import cache_of, encode, require_smaller
from dnsity.model.windows import compress_documents


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
            progress: Called with chunks done and chunks in all, after every forward pass.

        Raises:
            BadInputError: If a document is empty, shorter than its gists, not valid Unicode, or so
                long that its gists alone would fill the model's window.
        """
        spec = loaded.lm.spec
        _require_at_most_trained(spec, self.gists)
        documents = [_encode(loaded, text, self.gists) for text in texts]
        found = compress_documents(
            loaded.lm,
            [torch.tensor(ids, device=loaded.device) for ids in documents],
            spec if self.gists is None else spec.model_copy(update={"gists": self.gists}),
            loaded.frame.head,
            batch_size=self.batch_size,
            progress=progress,
        )
        return [
            cache_of(loaded, text, len(ids), layers, chunks=chunks_of(len(ids), spec))
            for text, ids, layers in zip(texts, documents, found, strict=True)
        ]

    def is_current(self, loaded: LoadedModel, info: GistInfo) -> bool:
        """Return whether a gist of this method and model has the requested number of slots."""
        spans, each = cut(info.n_context, loaded.lm.spec, self.gists)
        return info.n_gist == len(spans) * each


def _require_at_most_trained(spec: GistSpec, gists: int | None) -> None:
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
