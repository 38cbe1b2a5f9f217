"""What is kept of every item: one JSON line for each model, task, method and document."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from dnsity.errors import BadInputError
from dnsity.io.jsonl import complete_lines


class Key(NamedTuple):
    """What makes a record unique in a run."""

    model: str
    task: str
    method: str
    item: str


@dataclass(frozen=True, slots=True)
class Answered:
    """One question, how it was answered and at what price.

    Attributes:
        kind: What was asked for.
        question: The whole task prompt.
        answer: As given, or the choice taken.
        gold: The first right answer.
        score: 0 to 1, by the task's metric.
        ttft_s: Seconds to the first token, the document being ingested.
        seconds: Seconds for the whole answer.
        new_tokens: Tokens generated.
        slots: Slots of key/value cache before the question.
        kv_bytes: Their size.
    """

    kind: str
    question: str
    answer: str
    gold: str
    score: float
    ttft_s: float
    seconds: float
    new_tokens: int
    slots: int
    kv_bytes: int


@dataclass(frozen=True, slots=True)
class Record:
    """One document under one method.

    Attributes:
        model: As configured.
        task: Its name.
        version: Of its family.
        metric: How answers were scored.
        method: How they were made.
        item: Which document.
        labels: What scores can be broken down by.
        context_tokens: Tokens of the document.
        characters: Characters of the document.
        ingest_s: Seconds before any question was known.
        peak_bytes: Most memory taken beyond what was in use before the document came.
        note: What a reader of the score must know.
        error: Why nothing was answered; empty if all was.
        answers: One for each question; where nothing was answered they are empty and score 0.
    """

    model: str
    task: str
    version: int
    metric: str
    method: str
    item: str
    labels: Mapping[str, str | int | float]
    context_tokens: int
    characters: int
    ingest_s: float
    peak_bytes: int
    note: str
    error: str
    answers: tuple[Answered, ...]

    @property
    def key(self) -> Key:
        """What makes it unique in a run."""
        return Key(self.model, self.task, self.method, self.item)

    @property
    def scores(self) -> list[float]:
        """One for each question."""
        return [answer.score for answer in self.answers]

    def to_json(self) -> dict[str, Any]:
        """Return the record as one object of a journal."""
        return asdict(self)


def read(path: Path) -> list[Record]:
    """Read the records of a run.

    Raises:
        BadInputError: If the file is missing, or a line that is not the last one is damaged.
    """
    try:
        lines = complete_lines(path)
    except OSError as error:
        raise BadInputError(f"cannot read {path}: {error.strerror}") from error
    return [_record(line, f"{path} line {n}") for n, line in enumerate(lines, start=1)]


def _record(line: bytes, where: str) -> Record:
    try:
        values: dict[str, Any] = json.loads(line)
        answers = tuple(Answered(**answer) for answer in values.pop("answers"))
        return Record(answers=answers, **values)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadInputError(
            f"{where} is no record of an evaluation ({type(error).__name__}); remove the line to "
            "have the item done again"
        ) from error
