"""The unit every data source produces: one document and the questions asked about it.

Kept free of tokenizers and tensors so that makers of data and trainers share no code but this.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Language = Literal["en", "ko"]


@dataclass(frozen=True, slots=True)
class Question:
    """One question on a document, with the answer expected.

    Attributes:
        text: The question as it is put to the model.
        answer: The shortest correct answer, copied verbatim from the document.
        kind: What is asked for, e.g. ``"passkey"`` or ``"fact:opening_time"``, so that scores
            can be broken down by it.
    """

    text: str
    answer: str
    kind: str


@dataclass(frozen=True, slots=True)
class Example:
    """A document and its questions, all answerable from the document alone.

    Attributes:
        document: The full text to be compressed.
        questions: What is asked once the text itself is gone.
        language: The language of document and questions.
        source: The id of the haystack document, so that splits can be kept apart.
    """

    document: str
    questions: tuple[Question, ...]
    language: Language
    source: str
