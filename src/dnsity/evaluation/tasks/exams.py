"""Korean administrative exams: multiple choice by likelihood.

    open_book      the bundled set: questions on eight invented administrative documents
    click:PATH     CLIcK; a question about a paragraph has it as its document
    kmmlu:PATH     KMMLU
    PATH           questions of the user, see `data.readers.exams.own`

A closed-book question is conditioned on an unrelated document of the open-book set. Comparing its
score with that of `none` shows whether a prefix, gists or text, disturbs the model's knowledge.

Prompt: the question alone, with every choice scored as its continuation. With `candidates: letter`
the prompt lists the choices as A to E and the letters are scored, which is the format of KMMLU and
suits instruction-tuned models. Metric: accuracy of the most likely choice per character.

Version 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Literal

from dnsity.data.encode import TextEncoder
from dnsity.data.example import Example, Question
from dnsity.data.readers import exams
from dnsity.evaluation.task import CHOICE, Family, Item, Task

VERSION = 1
_LETTERS = "ABCDEFGHIJ"


class Exam(Family):
    """Settings of exam tasks.

    Attributes:
        family: `exam`.
        source: Questions, as accepted by `data.readers.exams.load`.
        candidates: Continuations to score: the texts of the choices, or letters.
    """

    family: Literal["exam"]
    source: str = "open_book"
    candidates: Literal["text", "letter"] = "text"

    @property
    def name(self) -> str:
        """The task name, for example `exam_open_book` or `exam_click_law_psat`."""
        form, _, path = self.source.partition(":")
        stem = Path(path or form).name.split(".")[0]
        name = stem if not path or stem.startswith(form) else f"{form}_{stem}"
        return f"exam_{name}" + ("_letter" if self.candidates == "letter" else "")

    def make_tasks(self, encoder: TextEncoder, *, limit: int, seed: int) -> list[Task]:
        """Read the first documents with all their questions; a closed-book question is one item."""
        unrelated = [example.document for example in exams.open_book()]
        found = islice(exams.load(self.source), limit)
        return [Task(self.name, VERSION, CHOICE, tuple(self._items(found, unrelated)))]

    def _items(self, found: Iterator[Example], unrelated: list[str]) -> Iterator[Item]:
        for number, example in enumerate(found):
            questions = example.questions
            if self.candidates == "letter":
                questions = tuple(map(_lettered, questions))
            yield Item(
                f"{number}:{example.source}",
                example.document or unrelated[number % len(unrelated)],
                questions,
                {"language": "ko", "book": "open" if example.document else "closed"},
            )


def _lettered(question: Question) -> Question:
    """List the choices in the prompt and replace them by letters."""
    letters = tuple(_LETTERS[: len(question.choices)])
    listed = (f"{x}. {choice}" for x, choice in zip(letters, question.choices, strict=True))
    return replace(
        question,
        text="\n".join([question.text, *listed, "정답:"]),
        answer=letters[question.choices.index(question.answer)],
        choices=letters,
    )
