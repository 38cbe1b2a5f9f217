"""Tasks: a list of items, each one document with its questions, and a metric.

A family of tasks is one file under `tasks/` with its settings, version and changelog. Families that
sample from a corpus take the first `limit` items in a fixed order, so that a longer run begins
with the items of a shorter one.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import Field, PositiveInt, field_validator

from dnsity.config import Config
from dnsity.data.encode import TextEncoder
from dnsity.data.example import Question
from dnsity.evaluation.methods import canonical_names

CHOICE = "choice"
"""The metric of multiple-choice tasks: accuracy of the most likely choice."""


@dataclass(frozen=True, slots=True)
class Item:
    """One document and the questions about it.

    Attributes:
        id: Unique in its task, and the same in every run.
        document: Document that methods ingest; never empty.
        questions: Questions; their texts are whole task prompts, the same for every method.
        labels: Labels for breakdowns of the score: language, tokens, depth, subject ...
    """

    id: str
    document: str
    questions: tuple[Question, ...]
    labels: Mapping[str, str | int | float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Task:
    """Items with one metric.

    Attributes:
        name: Unique in a run; names family and language.
        version: Version of the family; scores of different versions must not be compared.
        metric: A name in `metrics.METRICS`, or `CHOICE`.
        items: At least one item.
        max_new_tokens: Maximum length of an answer.
        methods: Methods of the run that the task allows; empty: all.
    """

    name: str
    version: int
    metric: str
    items: tuple[Item, ...]
    max_new_tokens: int = 48
    methods: tuple[str, ...] = ()

    @property
    def random_guess(self) -> float | None:
        """The expected score of guessing; None unless the task is multiple choice."""
        if self.metric != CHOICE:
            return None
        asked = [question for item in self.items for question in item.questions]
        return sum(1 / len(question.choices) for question in asked) / len(asked)


class Family(Config):
    """Settings of a family of tasks; the fields select its tasks and their data.

    Attributes:
        limit: Maximum number of documents per task, if lower than that of the run.
        methods: Methods of the run that its tasks allow. A name without settings includes every
            variant of the method. Empty: all.
    """

    limit: PositiveInt | None = None
    methods: list[str] = Field(default=[])

    @field_validator("methods")
    @classmethod
    def _exist(cls, methods: list[str]) -> list[str]:
        return canonical_names(methods)

    @property
    @abstractmethod
    def name(self) -> str:
        """The name of its task, or the beginning of the names of its tasks."""

    @abstractmethod
    def make_tasks(self, encoder: TextEncoder, *, limit: int, seed: int) -> list[Task]:
        """Build the tasks.

        Args:
            encoder: Tokenizer that counts document lengths.
            limit: Maximum number of items per task.
            seed: Random seed; the same seed gives the same items.

        Raises:
            BadInputError: If data is missing or insufficient.
        """
