"""The protocol every method follows: ingest a document once, then answer questions about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from dnsity.inference.generate import Answer


@dataclass(frozen=True, slots=True)
class Ingested:
    """A document as one method keeps it.

    Attributes:
        handle: What `answer` needs.
        kv_bytes: Keys and values kept between questions.
        seconds: What ingesting took.
    """

    handle: Any
    kv_bytes: int
    seconds: float


class Method(Protocol):
    """One way to answer questions about a document; all get the same question text."""

    name: str

    def ingest(self, document: str) -> Ingested:
        """Prepare a document."""
        ...

    def answer(self, ingested: Ingested, questions: Sequence[str]) -> list[Answer]:
        """Answer questions about it."""
        ...
