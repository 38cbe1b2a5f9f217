"""Filters for generated questions, from rules and from models alike.

    empty            question or answer is blank
    unsupported      the document does not support the answer
    duplicate        the same question again
    near_duplicate   the same answer to almost the same question

A rejected question is counted by the first reason that applies.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable

from dnsity.data.example import Language, Question
from dnsity.data.generators.rules.check import rules_for, supported
from dnsity.data.generators.rules.page import overlap

MODEL_KIND = "model:"
"""Prefix of the kind of a question that a model made."""

# Share of an answer's words that the document must contain. A summary rephrases; a fact does not.
_GROUNDED = {"factual": 0.8, "multi_fact": 0.7, "structuring": 0.6, "summary": 0.6, "use_case": 0.5}
_STRICTEST = 0.8
_HANGUL = re.compile(r"[가-힣]")
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_GRAM = 3
_NEAR_DUPLICATE = 0.8
"""Share of common character trigrams from which two questions with one answer are the same."""


def filter_questions(
    questions: Iterable[Question],
    document: str,
    language: Language,
    *,
    title: str = "",
    rejects: Counter[str] | None = None,
) -> list[Question]:
    """Return the questions on one document that pass all filters, in their order.

    Args:
        questions: From `rule_questions`, or with a kind that begins with `MODEL_KIND`.
        document: The document that they ask about.
        language: Their language.
        title: The document's title; the answer to a question on its topic is compared with it.
        rejects: Counter of reasons, which is updated.

    Returns:
        The questions that pass. Duplicates are detected only within one document.
    """
    counts = Counter[str]() if rejects is None else rejects
    kept: list[Question] = []
    for question in questions:
        reason = _reason(question, document, language, title, kept)
        if reason:
            counts[reason] += 1
        else:
            kept.append(question)
    return kept


def normalise(text: str) -> str:
    """Fold case, width, white space, punctuation and English articles."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    words = re.sub(r"[^\w\s]|_", " ", folded)
    return " ".join(_ARTICLES.sub(" ", words).split())


def grounded(question: Question, document: str, language: Language) -> bool:
    """Return whether the document supports a model's answer.

    The document must contain every number of the answer and enough of its words; how many depends
    on the kind of question. An answer that is a quotation of the document passes.
    """
    words_of = rules_for(language).words
    text, answer = normalise(document), normalise(question.answer)
    # A Korean particle is attached to the word, so the answer need not end where a word does.
    if f" {answer}" in f" {text} " if _HANGUL.search(answer) else f" {answer} " in f" {text} ":
        return True
    if _numbers(question.answer) - _numbers(document):
        return False
    least = _GROUNDED.get(question.kind.removeprefix(MODEL_KIND), _STRICTEST)
    words, known = words_of(_plain(question.answer)), frozenset(words_of(_plain(document)))
    if _HANGUL.search(answer) and least < _STRICTEST:
        # Korean words inflect at the end, so stems are compared where rephrasing is allowed.
        words, known = [word[:2] for word in words], frozenset(word[:2] for word in known)
    return bool(words) and overlap(words, known) >= least


def _plain(text: str) -> str:
    """Return text with folded width, and numbers without thousands separators."""
    return re.sub(r"(?<=\d),(?=\d{3})", "", unicodedata.normalize("NFKC", text))


def _numbers(text: str) -> set[str]:
    return set(re.findall(r"\d+(?:\.\d+)*", _plain(text)))


def _reason(
    question: Question,
    document: str,
    language: Language,
    title: str,
    kept: list[Question],
) -> str | None:
    """Return why a question is rejected, or None; the cheap checks come first."""
    if not (normalise(question.text) and normalise(question.answer)):
        return "empty"
    if question.kind.startswith(MODEL_KIND):
        sound = grounded(question, document, language)
    else:
        sound = supported(question, document, language, title)
    if not sound:
        return "unsupported"
    text = normalise(question.text)
    if any(text == normalise(other.text) for other in kept):
        return "duplicate"
    if any(_near(question, other) for other in kept):
        return "near_duplicate"
    return None


def _near(question: Question, other: Question) -> bool:
    if normalise(question.answer) != normalise(other.answer):
        return False
    left, right = _grams(question.text), _grams(other.text)
    return len(left & right) >= _NEAR_DUPLICATE * min(len(left), len(right))


def _grams(text: str) -> set[str]:
    plain = normalise(text)
    return {plain[at : at + _GRAM] for at in range(max(1, len(plain) - _GRAM + 1))}
