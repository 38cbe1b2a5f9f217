"""Text to gists with any method."""

from __future__ import annotations

from collections.abc import Sequence

from dnsity.errors import BadInputError
from dnsity.inference.gist_cache import GistCache, Progress, ignore_progress
from dnsity.inference.loaded import LoadedModel
from dnsity.inference.methods import COMPRESSORS, Compressor, Gist


def compress(
    loaded: LoadedModel,
    texts: Sequence[str],
    method: Compressor | None = None,
    progress: Progress = ignore_progress,
) -> list[GistCache]:
    """Compress documents.

    Args:
        loaded: Model and tokenizer.
        texts: Documents.
        method: Compression method (None: the model's own gist tokens).
        progress: Called with work done and work in total, and optionally a status line.

    Returns:
        One cache per document, in order, whose slots form an ordinary prefix.

    Raises:
        BadInputError: If the method cannot compress a document.
        UnsupportedModelError: If the method cannot use the model.
    """
    return (method or Gist()).compress(loaded, texts, progress)


def require_trained(loaded: LoadedModel, method: Compressor) -> None:
    """Refuse a method that needs trained gist tokens if the model has none.

    Raises:
        BadInputError: If the model is a plain base; the message names the other methods.
    """
    if method.needs_gists and not loaded.trained:
        others = " or ".join(
            f"--method {name} ({other.cost})"
            for name, other in COMPRESSORS.items()
            if not other.needs_gists
        )
        raise BadInputError(
            f"{loaded.name} is a base model without trained gists; use {others}, or train gists on "
            "it with dnsity train"
        )
