"""Korean administrative exams: multiple choice by likelihood.

    open_book      the project's own: questions on eight invented administrative documents
    click:PATH     CLIcK; questions on a paragraph have it as their document
    kmmlu:PATH     KMMLU
    PATH           one's own questions, see `data.exams.own`

A closed-book question is asked behind one of the open book's documents, which has nothing to do
with it: its score against `none` says whether a prefix, gists or text, disturbs what the model
knows.

Prompt: the question alone, every choice scored as its continuation; with `candidates: letter` the
choices are listed behind A to E and the letters are scored, which is KMMLU's own form and suits
instruction-tuned models. Metric: accuracy, the likeliest choice per character.

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
    """Settings.

    Attributes:
        family: `exam`.
        source: What `data.exams.load` takes.
        candidates: What is scored: the texts of the choices, or letters.
    """

    family: Literal["exam"]
    source: str = "open_book"
    candidates: Literal["text", "letter"] = "text"

    @property
    def name(self) -> str:
        """E.g. `exam_open_book`, `exam_click_law_psat`."""
        form, _, path = self.source.partition(":")
        stem = Path(path or form).name.split(".")[0]
        name = stem if not path or stem.startswith(form) else f"{form}_{stem}"
        return f"exam_{name}" + ("_letter" if self.candidates == "letter" else "")

    def draw(self, encoder: TextEncoder, *, limit: int, seed: int) -> list[Task]:
        """Read the first documents with all their questions; closed-book questions one by one."""
        beside = [example.document for example in exams.open_book()]
        found = islice(exams.load(self.source), limit)
        return [Task(self.name, VERSION, CHOICE, tuple(self._items(found, beside)))]

    def _items(self, found: Iterator[Example], beside: list[str]) -> Iterator[Item]:
        for number, example in enumerate(found):
            questions = example.questions
            if self.candidates == "letter":
                questions = tuple(map(_lettered, questions))
            yield Item(
                f"{number}:{example.source}",
                example.document or beside[number % len(beside)],
                questions,
                {"language": "ko", "book": "open" if example.document else "closed"},
            )


def _lettered(question: Question) -> Question:
    """List the choices in the prompt and let letters stand for them."""
    letters = tuple(_LETTERS[: len(question.choices)])
    listed = (f"{x}. {choice}" for x, choice in zip(letters, question.choices, strict=True))
    return replace(
        question,
        text="\n".join([question.text, *listed, "정답:"]),
        answer=letters[question.choices.index(question.answer)],
        choices=letters,
    )
