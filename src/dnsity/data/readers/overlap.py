"""Text that stands in two corpora: runs of words that held-out documents share with training text.

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
        runs: Runs of words it has, each counted once.
        found: Those that stand in training text.
        sources: Ids of training documents they stand in.
    """

    runs: int
    found: set[int] = field(default_factory=set)
    sources: set[str] = field(default_factory=set)

    @property
    def share(self) -> float:
        """Share of the document's runs that stand in training text."""
        return len(self.found) / self.runs


class HeldOut:
    """The runs of words of documents to evaluate on, to be looked for in training text.

    Case, white space and punctuation do not count.

    Args:
        documents: Documents to evaluate on; those without a run are left out.
        words: Length of a run.
    """

    def __init__(self, documents: Iterable[Document], words: int = WORDS) -> None:
        """Read the documents."""
        self.words = words
        self.documents: dict[str, Overlap] = {}
        self._owners: dict[int, list[str]] = {}
        for document in documents:
            runs = set(_runs(document.text, words))
            if runs:
                self.documents[document.id] = Overlap(len(runs))
            for run in runs:
                self._owners.setdefault(run, []).append(document.id)

    def shares(self, text: str) -> bool:
        """Say whether a text holds any of the runs."""
        return any(run in self._owners for run in _runs(text, self.words))

    def compare(self, training: Iterable[Document]) -> dict[str, Overlap]:
        """Look through training documents, one at a time.

        Returns:
            What each document shares, by its id.
        """
        for document in training:
            for run in _runs(document.text, self.words):
                for owner in self._owners.get(run, ()):
                    self.documents[owner].found.add(run)
                    self.documents[owner].sources.add(document.id)
        return self.documents


def _runs(text: str, words: int) -> Iterator[int]:
    """Hash every run: two runs of one hash are too rare to matter (64 bits)."""
    read = _WORD.findall(text.casefold())
    return map(hash, zip(*(read[start:] for start in range(words)), strict=False))
