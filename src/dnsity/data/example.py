"""The record that every data source produces: a document and the questions on it.

It is independent of tokenizers and tensors; data generation and training share only this type.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeAlias, get_args

from dnsity.errors import BadInputError

Language = Literal["en", "ko"]
Detail: TypeAlias = str | int | float | list[int] | list[float] | list[str]
"""A JSON value that describes how a record was made."""


@dataclass(frozen=True, slots=True)
class Question:
    """One question on a document, with the expected answer.

    Attributes:
        text: The question as the model gets it.
        answer: The shortest correct answer; verbatim from the document where possible.
        kind: What is asked for, e.g. ``"passkey"`` or ``"fact:opening_time"``, so that scores
            can be broken down by it.
        alternatives: Other correct answers.
        choices: The options of a multiple-choice question, with `answer`; otherwise empty.
    """

    text: str
    answer: str
    kind: str
    alternatives: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Example:
    """A document and its questions.

    Attributes:
        document: The full text to be compressed; empty for closed-book questions.
        questions: The questions asked after compression.
        language: The language of document and questions.
        source: The id of the document, by which splits are made.
        details: How the record was made (seed, tokens, depths, ...).
    """

    document: str
    questions: tuple[Question, ...]
    language: Language
    source: str
    details: Mapping[str, Detail] = field(default_factory=dict)

    def to_record(self) -> dict[str, Any]:
        """Return the example as a JSON object."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: Mapping[str, Any], where: str) -> Example:
        """Return the example of a JSON object; errors name the place `where`.

        Raises:
            BadInputError: If a field is missing or has the wrong type.
        """
        try:
            questions = tuple(
                Question(
                    text=_text(question, "text"),
                    answer=_text(question, "answer"),
                    kind=_text(question, "kind"),
                    alternatives=tuple(question.get("alternatives", ())),
                    choices=tuple(question.get("choices", ())),
                )
                for question in record["questions"]
            )
            language = record["language"]
            if language not in get_args(Language):
                allowed = " and ".join(map(repr, get_args(Language)))
                raise BadInputError(f"{where}: language {language!r}; allowed are {allowed}")
            return cls(
                document=_text(record, "document"),
                questions=questions,
                language=language,
                source=_text(record, "source"),
                details=dict(record.get("details", {})),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise BadInputError(
                f"{where}: not an example record ({type(error).__name__}: {error}); it needs "
                "document, language, source and questions with text, answer and kind"
            ) from error


def _text(record: Mapping[str, Any], name: str) -> str:
    """Return a field that must be text."""
    value = record[name]
    if not isinstance(value, str):
        raise TypeError(f"{name} is {type(value).__name__}, not text")
    return value
