"""Answer without any document: the floor."""

from __future__ import annotations

from collections.abc import Sequence

from dnsity.evaluation.method import Ingested
from dnsity.inference.generate import Answer, answer
from dnsity.inference.loaded import LoadedModel


class NoContext:
    """The question alone."""

    name = "none"

    def __init__(self, loaded: LoadedModel) -> None:
        """Use this model."""
        self.loaded = loaded

    def ingest(self, document: str) -> Ingested:
        """Keep nothing."""
        return Ingested(None, 0, 0.0)

    def answer(self, ingested: Ingested, questions: Sequence[str]) -> list[Answer]:
        """Ask the model what it knows."""
        return answer(self.loaded, None, questions)
