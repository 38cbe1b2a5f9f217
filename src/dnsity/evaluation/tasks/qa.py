"""Question answering: real questions, answered from a whole document.

    qa_en, qa_ko     SQuAD format (KorQuAD 1.0, PolicyQA), Natural Questions with the gold passage,
                     or example records, see `data.readers.qa`

Prompt: the question alone. Split: articles, by a hash of their titles; `data.readers.qa.on_side`
gives those for training. Limit: a few questions per document, spread over it, so that all documents
have similar weight. Metric: F1 over words, in Korean over characters (`f1_ko`, as in KorQuAD); the
best match among a question's answers counts.

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
    """Settings of question-answering tasks.

    Attributes:
        family: `qa`.
        language: Language of documents and questions.
        path: Data file, as accepted by `data.readers.qa.read_qa`.
        suffix: Suffix of the task name, to distinguish several sets of one language.
        side: Split of the articles to use.
        test_share: Share of the articles in the test split.
        questions: Maximum questions per document.
        min_tokens: Minimum document length; documents shorter than their gists cannot be
            compressed.
        max_tokens: Maximum document length (default: no limit).
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
        """The task name, for example `qa_en` or `qa_en_policy`."""
        return f"qa_{self.language}{'_' if self.suffix else ''}{self.suffix}"

    def make_tasks(self, encoder: TextEncoder, *, limit: int, seed: int) -> list[Task]:
        """Sample documents of the selected split and lengths."""
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
    """Return at most `most` questions of a document, at even distances."""
    count = min(most, len(questions))
    return tuple(questions[(2 * at + 1) * len(questions) // (2 * count)] for at in range(count))
