"""Evaluation records: one JSON line per model, task, method and document."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from dnsity.errors import BadInputError
from dnsity.io.jsonl import complete_lines


class Key(NamedTuple):
    """The fields that identify a record in a run."""

    model: str
    task: str
    method: str
    item: str


@dataclass(frozen=True, slots=True)
class Answered:
    """One question with its answer, score and cost.

    Attributes:
        kind: Kind of question.
        question: The whole task prompt.
        answer: The generated answer, or the chosen choice.
        gold: The first gold answer.
        score: Score from 0 to 1, by the metric of the task.
        ttft_s: Seconds to the first token, after the document was ingested.
        seconds: Seconds for the whole answer.
        new_tokens: Number of generated tokens.
        slots: Slots of the KV cache before the question.
        kv_bytes: Size of the KV cache before the question.
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
        model: Name of the model.
        task: Name of the task.
        version: Version of the task family.
        metric: Metric that scored the answers.
        method: Method that answered.
        item: Id of the document.
        labels: Labels for breakdowns of the score.
        context_tokens: Tokens of the document.
        characters: Characters of the document.
        ingest_s: Seconds to ingest the document, before any question.
        peak_bytes: Peak memory above that in use before the document.
        note: Remark on the score, for example that text was left out.
        error: Reason why the method failed; empty if it answered.
        answers: One per question; after a failure they are empty and score 0.
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
        """The key that identifies the record in a run."""
        return Key(self.model, self.task, self.method, self.item)

    @property
    def scores(self) -> list[float]:
        """The scores, one per question."""
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
            "evaluate the item again"
        ) from error
