"""The unit every data source produces: one document and the questions asked about it.

Kept free of tokenizers and tensors so that makers of data and trainers share no code but this.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeAlias

from dnsity.errors import BadInputError

Language = Literal["en", "ko"]
Detail: TypeAlias = str | int | float | list[int] | list[float] | list[str]
"""A fact about how a record was made, as JSON can hold it."""


@dataclass(frozen=True, slots=True)
class Question:
    """One question on a document, with the answer expected.

    Attributes:
        text: The question as it is put to the model.
        answer: The shortest correct answer; copied verbatim from the document wherever it can be.
        kind: What is asked for, e.g. ``"passkey"`` or ``"fact:opening_time"``, so that scores
            can be broken down by it.
        alternatives: Further answers that are as right.
        choices: The options of a multiple-choice question, `answer` among them; else empty.
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
        questions: What is asked once the text itself is gone.
        language: The language of document and questions.
        source: The id of the document, so that splits can be kept apart.
        details: How the record was made (seed, tokens, depths, ...).
    """

    document: str
    questions: tuple[Question, ...]
    language: Language
    source: str
    details: Mapping[str, Detail] = field(default_factory=dict)

    def to_record(self) -> dict[str, Any]:
        """Return the example as JSON can hold it."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: Mapping[str, Any], where: str) -> Example:
        """Read back what `to_record` gave; `where` names the place in errors.

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
            if language not in ("en", "ko"):
                raise BadInputError(f"{where}: language {language!r}; allowed are 'en' and 'ko'")
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
    """A field that must be text."""
    value = record[name]
    if not isinstance(value, str):
        raise TypeError(f"{name} is {type(value).__name__}, not text")
    return value
