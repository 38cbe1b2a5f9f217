"""BM25 over chunks of a document: the retrieval baseline's search."""

from __future__ import annotations

import re

import bm25s

_HANGUL = re.compile(r"[가-힣]+")
_WORD = re.compile(r"[가-힣]+|[^\W_가-힣]+")


def terms(text: str) -> list[str]:
    """Split text into search terms: words, and for Hangul runs their character bigrams.

    Korean words carry particles, so whole words hardly ever match; bigrams do.
    """
    found: list[str] = []
    for word in _WORD.findall(text.lower()):
        if _HANGUL.fullmatch(word) and len(word) > 1:
            found.extend(word[i : i + 2] for i in range(len(word) - 1))
        else:
            found.append(word)
    return found


class Bm25:
    """An index over chunks."""

    def __init__(self, chunks: list[str]) -> None:
        """Index the chunks."""
        self.chunks = chunks
        self._index = bm25s.BM25()
        corpus = [terms(chunk) or ["\0"] for chunk in chunks]
        self._index.index(corpus, show_progress=False)

    def search(self, query: str, top: int) -> list[str]:
        """Return the best chunks, in document order."""
        wanted = terms(query) or ["\0"]
        scores = self._index.get_scores(wanted)
        best = sorted(range(len(self.chunks)), key=lambda i: (-scores[i], i))[:top]
        return [self.chunks[i] for i in sorted(best)]
