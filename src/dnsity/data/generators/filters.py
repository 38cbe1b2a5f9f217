"""What a question must pass before it is kept, whoever made it.

    empty                question or answer is blank
    unsupported          the document does not bear the answer out
    answerable_without   a model that never saw the document gives the answer
    duplicate            the same question again
    near_duplicate       the same answer to almost the same question

Questions that fail are counted by the first reason that applies, so that a maker's weaknesses show.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from dnsity.data.example import Language, Question
from dnsity.data.generators.rules.check import rules_for, supported
from dnsity.data.generators.rules.page import overlap

ClosedBook = Callable[[str], str]
"""Answers a question without any document."""

MODEL_KIND = "model:"
"""How the kind of a question made by a model begins."""

# Share of an answer's words the document has to hold. A summary rephrases; a fact does not.
_GROUNDED = {"factual": 0.8, "multi_fact": 0.7, "structuring": 0.6, "summary": 0.6, "use_case": 0.5}
_STRICTEST = 0.8
_HANGUL = re.compile(r"[가-힣]")
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_GRAM = 3


@dataclass(frozen=True, slots=True)
class FilterSettings:
    """How strict the filters are.

    Attributes:
        closed_book: A model asked without the document; None leaves that check out.
        closed_book_f1: From this token F1 on, its answer counts as the right one.
        near_duplicate: From this share of common character trigrams on, two questions with one
            answer count as the same.
    """

    closed_book: ClosedBook | None = None
    closed_book_f1: float = 0.6
    near_duplicate: float = 0.8


def filter_questions(
    questions: Iterable[Question],
    document: str,
    language: Language,
    *,
    title: str = "",
    settings: FilterSettings | None = None,
    rejects: Counter[str] | None = None,
) -> list[Question]:
    """Keep the questions on one document that are sound, in their order.

    Args:
        questions: Of `rule_questions`, or with a kind that begins with `MODEL_KIND`.
        document: What they ask about.
        language: Their language.
        title: The document's title, which a question on its topic is checked against.
        settings: How strict to be.
        rejects: Counts reasons; added to.

    Returns:
        Those that pass. Two documents may ask the same; only one document may not.
    """
    settings = settings or FilterSettings()
    counts = Counter[str]() if rejects is None else rejects
    kept: list[Question] = []
    for question in questions:
        reason = _reason(question, document, language, title, settings, kept)
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


def token_f1(answer: str, gold: str) -> float:
    """Overlap of two answers, 0..1.

    Words are compared, or syllables where the gold answer is Korean: there a particle would make
    two words of one.
    """
    given, wanted = normalise(answer), normalise(gold)
    if _HANGUL.search(gold):
        left, right = Counter(given.replace(" ", "")), Counter(wanted.replace(" ", ""))
    else:
        left, right = Counter(given.split()), Counter(wanted.split())
    common = sum((left & right).values())
    return 2 * common / (sum(left.values()) + sum(right.values())) if common else 0.0


def grounded(question: Question, document: str, language: Language) -> bool:
    """Whether a model's answer is drawn from the document.

    Every number in the answer must stand in the document, and enough of its words; how many are
    enough depends on what was asked for. An answer that stands there word for word passes.
    """
    words_of = rules_for(language).words
    text, answer = normalise(document), normalise(question.answer)
    # A Korean particle is written onto the word, so the answer need not end where a word does.
    if f" {answer}" in f" {text} " if _HANGUL.search(answer) else f" {answer} " in f" {text} ":
        return True
    if _numbers(question.answer) - _numbers(document):
        return False
    least = _GROUNDED.get(question.kind.removeprefix(MODEL_KIND), _STRICTEST)
    words, known = words_of(_plain(question.answer)), frozenset(words_of(_plain(document)))
    if _HANGUL.search(answer) and least < _STRICTEST:
        # Korean verbs and nouns change at the end, so where rephrasing is allowed stems will do.
        words, known = [word[:2] for word in words], frozenset(word[:2] for word in known)
    return bool(words) and overlap(words, known) >= least


def _plain(text: str) -> str:
    """Text with its width folded and numbers without the commas that group their digits."""
    return re.sub(r"(?<=\d),(?=\d{3})", "", unicodedata.normalize("NFKC", text))


def _numbers(text: str) -> set[str]:
    return set(re.findall(r"\d+(?:\.\d+)*", _plain(text)))


def _reason(
    question: Question,
    document: str,
    language: Language,
    title: str,
    settings: FilterSettings,
    kept: list[Question],
) -> str | None:
    """Why a question is dropped; the cheap checks come first, the model last."""
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
    if any(_near(question, other, settings.near_duplicate) for other in kept):
        return "near_duplicate"
    if settings.closed_book and _known(question, settings.closed_book, settings.closed_book_f1):
        return "answerable_without"
    return None


def _near(question: Question, other: Question, least: float) -> bool:
    if normalise(question.answer) != normalise(other.answer):
        return False
    left, right = _grams(question.text), _grams(other.text)
    return len(left & right) >= least * min(len(left), len(right))


def _grams(text: str) -> set[str]:
    plain = normalise(text)
    return {plain[at : at + _GRAM] for at in range(max(1, len(plain) - _GRAM + 1))}


def _known(question: Question, closed_book: ClosedBook, least: float) -> bool:
    """Whether the answer comes without the document.

    A question with choices is never dropped for it: a guess is right often enough that only the
    unguessed half would be left.
    """
    if question.choices:
        return False
    given = closed_book(question.text)
    golds = (question.answer, *question.alternatives)
    return any(token_f1(given, gold) >= least for gold in golds)
