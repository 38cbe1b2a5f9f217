"""Text to gists, by any method: the one way to compress."""

from __future__ import annotations

from collections.abc import Sequence

from dnsity.errors import BadInputError
from dnsity.inference.gist_cache import GistCache, Progress, ignore_progress
from dnsity.inference.loaded import LoadedModel
from dnsity.inference.methods import Method
from dnsity.inference.methods.gist import Gist


def compress(
    loaded: LoadedModel,
    texts: Sequence[str],
    method: Method | None = None,
    progress: Progress = ignore_progress,
) -> list[GistCache]:
    """Compress documents.

    Args:
        loaded: Model and tokenizer.
        texts: Documents.
        method: How, see `inference.methods` (None: with the model's own gist tokens).
        progress: Called with what is done and what there is to do, and perhaps how it stands.

    Returns:
        One cache per document, in order; slots 0..G-1 of an ordinary prefix, whatever the method.

    Raises:
        BadInputError: If the method cannot take a document.
        UnsupportedModelError: If the method cannot take the model.
    """
    return (method or Gist()).compress(loaded, texts, progress)


def require_trained(loaded: LoadedModel, method: Method) -> None:
    """Refuse gist tokens that nobody has trained.

    Raises:
        BadInputError: If the method needs trained gists and the model is a plain base.
    """
    if method.needs_gists and not loaded.trained:
        raise BadInputError(
            f"{loaded.name} is a base model without trained gists; use --method refine (minutes) "
            "or --method select (seconds), or train gists on it with dnsity train"
        )
