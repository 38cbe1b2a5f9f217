"""Documents and questions of the user, as example records; `dnsity data` commands write these.

Prompt: the question alone. Metric: chosen by the user. `choice` takes the most likely choice, and
needs choices for each question.

Version 1.
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from dnsity.data.encode import TextEncoder
from dnsity.data.example import Example
from dnsity.data.readers.records import read_examples
from dnsity.errors import BadInputError
from dnsity.evaluation.metrics import METRICS
from dnsity.evaluation.task import CHOICE, Family, Item, Task

VERSION = 1


class Own(Family):
    """Settings of a task with data of the user.

    Attributes:
        family: `own`.
        path: JSONL file of example records.
        metric: A name in `evaluation.metrics.METRICS`, or `choice`.
        max_new_tokens: Maximum length of an answer.
    """

    family: Literal["own"]
    path: str
    metric: str = "exact"
    max_new_tokens: int = Field(default=48, ge=1)

    @field_validator("metric")
    @classmethod
    def _is_known(cls, metric: str) -> str:
        if metric != CHOICE and metric not in METRICS:
            raise ValueError(f"no metric {metric!r}; known are {', '.join([*METRICS, CHOICE])}")
        return metric

    @property
    def name(self) -> str:
        """The task name, for example `own_questions`."""
        return f"own_{Path(self.path).name.split('.')[0]}"

    def make_tasks(self, encoder: TextEncoder, *, limit: int, seed: int) -> list[Task]:
        """Read the first records."""
        path = Path(self.path)
        items = tuple(
            self._item(example, number)
            for number, example in enumerate(islice(read_examples(path), limit))
        )
        if not items:
            raise BadInputError(f"{path} is empty; write one record per line")
        return [Task(self.name, VERSION, self.metric, items, self.max_new_tokens)]

    def _item(self, example: Example, number: int) -> Item:
        where = f"{self.path} record {number + 1}"
        if not example.document.strip() or not example.questions:
            raise BadInputError(f"{where} needs a document and at least one question")
        if self.metric == CHOICE:
            for question in example.questions:
                if question.answer not in question.choices or len(question.choices) < 2:
                    raise BadInputError(
                        f"{where}: {question.text[:60]!r} needs at least two choices, including "
                        "its answer; add them, or use another metric"
                    )
        return Item(
            f"{number}:{example.source}",
            example.document,
            example.questions,
            {"language": example.language},
        )
