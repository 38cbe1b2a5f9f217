"""Question answering on documents: real questions, answered from a document as a whole.

    qa_en, qa_ko     SQuAD's form (KorQuAD 1.0, PolicyQA), Natural Questions with the gold passage,
                     or example records, see `data.qa`

Prompt: the question alone. Split: articles, by a hash of their titles; the share that is not for
testing may be trained on with `data.qa.on_side`. Limit: a few questions of each document, spread
over it, so that a document with hundreds counts no more than another. Metric: F1 over words, in
Korean over characters (`f1_ko`, as KorQuAD scores); any of a question's answers is right.

Version 1.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Literal

from pydantic import Field

from dnsity.data.encode import TextEncoder
from dnsity.data.example import Example, Language, Question
from dnsity.data.readers.corpus import Side
from dnsity.data.readers.qa import on_side, read_qa
from dnsity.errors import BadInputError
from dnsity.evaluation.task import Family, Item, Task

VERSION = 1
_METRICS: dict[Language, str] = {"en": "f1", "ko": "f1_ko"}


class Qa(Family):
    """Settings.

    Attributes:
        family: `qa`.
        language: Of documents and questions.
        path: What `data.qa.read_qa` takes.
        suffix: Of the task's name, where a run has several sets of one language.
        side: Which articles are asked about.
        test_share: Share of the articles that are for testing.
        questions: Questions on one document, at most.
        min_tokens: Shorter documents are left out: below its gists nothing is compressed.
        max_tokens: Longer documents are left out.
    """

    family: Literal["qa"]
    language: Language
    path: str
    suffix: str = Field(default="", pattern=r"^\w*$")
    side: Side = "test"
    test_share: float = Field(default=0.5, ge=0, le=1)
    questions: int = Field(default=4, ge=1)
    min_tokens: int = Field(default=100, ge=1)
    max_tokens: int | None = Field(default=None, ge=1)

    @property
    def name(self) -> str:
        """E.g. `qa_en`, `qa_en_policy`."""
        return f"qa_{self.language}{'_' if self.suffix else ''}{self.suffix}"

    def draw(self, encoder: TextEncoder, *, limit: int, seed: int) -> list[Task]:
        """Draw documents of the wanted side and length."""
        found = list(on_side(read_qa(Path(self.path), self.language), self.side, self.test_share))
        order = random.Random(f"{self.name}/{seed}").sample(range(len(found)), len(found))
        items = tuple(islice(self._items(found, order, encoder), limit))
        if not items:
            longest = "no limit" if self.max_tokens is None else f"{self.max_tokens} tokens"
            raise BadInputError(
                f"{self.path}: none of the {len(found)} documents in {self.language!r} on the "
                f"{self.side} side has {self.min_tokens} tokens to {longest}; change min_tokens, "
                "max_tokens or test_share"
            )
        return [Task(self.name, VERSION, _METRICS[self.language], items)]

    def _items(
        self, found: Sequence[Example], order: Sequence[int], encoder: TextEncoder
    ) -> Iterator[Item]:
        for number in order:
            example = found[number]
            tokens = len(encoder.encode(example.document))
            if self.min_tokens <= tokens <= (self.max_tokens or tokens):
                yield Item(
                    id=f"{number}:{example.source}",
                    document=example.document,
                    questions=_spread(example.questions, self.questions),
                    labels={"language": self.language},
                )


def _spread(questions: Sequence[Question], most: int) -> tuple[Question, ...]:
    """At most so many of a document's questions, at even distances."""
    count = min(most, len(questions))
    return tuple(questions[(2 * at + 1) * len(questions) // (2 * count)] for at in range(count))
