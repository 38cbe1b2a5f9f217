"""Overlap of corpora: runs of words that held-out documents share with training text.

Runs of 13 words are the measure of GPT-3's contamination study (Brown et al. 2020, appendix C).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from dnsity.data.readers.corpus import Document

WORDS = 13
_WORD = re.compile(r"\w+")


@dataclass(slots=True)
class Overlap:
    """What a held-out document shares with training documents.

    Attributes:
        runs: Number of its different runs of words.
        found: Hashes of runs that occur in training text.
        sources: Ids of the training documents in which they occur.
    """

    runs: int
    found: set[int] = field(default_factory=set)
    sources: set[str] = field(default_factory=set)

    @property
    def share(self) -> float:
        """Share of the document's runs that occur in training text."""
        return len(self.found) / self.runs


class HeldOut:
    """The runs of words of held-out documents, to find them in training text.

    Case, white space and punctuation are ignored.

    Args:
        documents: Held-out documents; those that are shorter than a run are ignored.
        words: Length of a run.
    """

    def __init__(self, documents: Iterable[Document], words: int = WORDS) -> None:
        """Read the documents."""
        self.words = words
        self.documents: dict[str, Overlap] = {}
        self._owners: dict[int, list[str]] = {}
        for document in documents:
            runs = set(_runs(document.text, words))
            if not runs:
                continue
            name, number = document.id, 1
            while name in self.documents:  # ids are unique in one corpus only
                number += 1
                name = f"{document.id} ({number})"
            self.documents[name] = Overlap(len(runs))
            for run in runs:
                self._owners.setdefault(run, []).append(name)

    def shares(self, text: str) -> bool:
        """Return whether a text contains any of the runs."""
        return any(run in self._owners for run in _runs(text, self.words))

    def compare(self, training: Iterable[Document]) -> dict[str, Overlap]:
        """Search training documents, one at a time.

        Returns:
            The overlap of each held-out document by id; repeated ids are numbered.
        """
        for document in training:
            for run in _runs(document.text, self.words):
                for owner in self._owners.get(run, ()):
                    self.documents[owner].found.add(run)
                    self.documents[owner].sources.add(document.id)
        return self.documents


def _runs(text: str, words: int) -> Iterator[int]:
    """Hash every run; collisions of 64-bit hashes are negligible."""
    found = _WORD.findall(text.casefold())
    return map(hash, zip(*(found[start:] for start in range(words)), strict=False))
