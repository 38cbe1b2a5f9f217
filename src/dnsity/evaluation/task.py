"""What is asked: a task is a list of items, each one document with its questions, and a metric.

A family of tasks is one file under `tasks/`: its settings, its version and its changelog. Families
that draw from a corpus take the first `limit` items of one order, so that a longer run begins with
the shorter one.
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
"""The metric of multiple-choice tasks: is the right choice the likeliest?"""


@dataclass(frozen=True, slots=True)
class Item:
    """One document and what is asked about it.

    Attributes:
        id: Unique in its task, and the same in every run.
        document: What methods ingest; never empty.
        questions: Their texts are whole task prompts, word for word what every method puts.
        labels: What scores can be broken down by: language, tokens, depth, subject ...
    """

    id: str
    document: str
    questions: tuple[Question, ...]
    labels: Mapping[str, str | int | float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Task:
    """Items that are scored alike.

    Attributes:
        name: Unique in a run; says family and language.
        version: Of its family; scores of different versions must not be compared.
        metric: A name in `metrics.METRICS`, or `CHOICE`.
        items: At least one.
        max_new_tokens: Length of an answer.
        methods: Of the run's methods those it is for; empty: all.
    """

    name: str
    version: int
    metric: str
    items: tuple[Item, ...]
    max_new_tokens: int = 48
    methods: tuple[str, ...] = ()

    @property
    def random_guess(self) -> float | None:
        """The share that guessing gets right; None unless the task is multiple choice."""
        if self.metric != CHOICE:
            return None
        asked = [question for item in self.items for question in item.questions]
        return sum(1 / len(question.choices) for question in asked) / len(asked)


class Family(Config):
    """Settings of a family of tasks; its fields say which of them, and from which data.

    Attributes:
        limit: Documents per task, at most, where the run allows more.
        methods: Of the run's methods those that its tasks are for; a name without settings names
            every variant of the method. Empty: all.
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
        """What the names of its tasks are, or begin with."""

    @abstractmethod
    def draw(self, encoder: TextEncoder, *, limit: int, seed: int) -> list[Task]:
        """Make the tasks.

        Args:
            encoder: The tokenizer in which document lengths are counted.
            limit: Items per task, at most.
            seed: Same seed, same items.

        Raises:
            BadInputError: If data is missing or does not suffice.
        """
