"""Search over the chunks of a document, for the retrieval baselines."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import Any, Protocol

import bm25s

from dnsity.errors import BadInputError, first_line

_HANGUL = re.compile(r"[가-힣]+")
_WORD = re.compile(r"[가-힣]+|[^\W_가-힣]+")


class Search(Protocol):
    """An index over chunks."""

    def search(self, query: str, top: int) -> list[str]:
        """Return the best chunks, in document order."""
        ...


def terms(text: str) -> list[str]:
    """Split text into search terms: words, and character bigrams for Korean words.

    Korean words end in particles, so whole words rarely match; bigrams do.
    """
    found: list[str] = []
    for word in _WORD.findall(text.lower()):
        if _HANGUL.fullmatch(word) and len(word) > 1:
            found.extend(word[i : i + 2] for i in range(len(word) - 1))
        else:
            found.append(word)
    return found


class Bm25:
    """BM25 over `terms`."""

    def __init__(self, chunks: list[str]) -> None:
        """Index the chunks."""
        self.chunks = chunks
        self._index = bm25s.BM25()
        corpus = [terms(chunk) or ["\0"] for chunk in chunks]
        self._index.index(corpus, show_progress=False)

    def search(self, query: str, top: int) -> list[str]:
        """Return the best chunks, in document order."""
        wanted = terms(query) or ["\0"]
        return _best(self.chunks, self._index.get_scores(wanted), top)


class Dense:
    """Cosine similarity of sentence embeddings."""

    def __init__(self, chunks: list[str], model: str) -> None:
        """Embed the chunks.

        Raises:
            BadInputError: If the embedding model cannot be loaded.
        """
        self.chunks = chunks
        self._model = _embedder(model)
        self._vectors = self._embed(chunks)

    def search(self, query: str, top: int) -> list[str]:
        """Return the best chunks, in document order."""
        return _best(self.chunks, self._vectors @ self._embed([query])[0], top)

    def _embed(self, texts: list[str]) -> Any:
        return self._model.encode(texts, normalize_embeddings=True, show_progress_bar=False)


def _best(chunks: list[str], scores: Iterable[float], top: int) -> list[str]:
    ranked = sorted((-score, index) for index, score in enumerate(scores))[:top]
    return [chunks[index] for index in sorted(index for _, index in ranked)]


@cache
def _embedder(name: str) -> Any:
    """Load an embedding model once."""
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise BadInputError(
            "dense retrieval needs sentence-transformers; pip install dnsity[dense]"
        ) from error
    try:
        return SentenceTransformer(name, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise BadInputError(f"cannot load embedding model {name!r}: {first_line(error)}") from error
