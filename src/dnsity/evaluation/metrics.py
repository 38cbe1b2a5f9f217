"""Metrics that score an answer against its gold answers, 0..1."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import TypeAlias

from dnsity.data.example import Question
from dnsity.data.readers.longbench import TASKS
from dnsity.evaluation import longbench_metrics
from dnsity.evaluation.longbench_metrics import PUNCTUATION, bag_f1, qa_f1, rouge

Metric: TypeAlias = Callable[[str, Question], float]
"""Scores an answer against the best match of a question's `answer` and `alternatives`."""

_HANGUL = re.compile(r"[가-힣]")
_KORQUAD_SIGNS = PUNCTUATION.union("《》〈〉‘’")  # noqa: RUF001


def normalise(text: str) -> str:
    """Fold case, character width and white space; strip punctuation."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(folded.split()).strip(" .,!?\"'")


def exact(answer: str, gold: str) -> bool:
    """Return whether the normalised answer equals the gold answer."""
    return normalise(answer) == normalise(gold)


def contains(answer: str, gold: str) -> bool:
    """Return whether the gold answer occurs in the answer."""
    return normalise(gold) in normalise(answer)


def f1_ko(answer: str, gold: str) -> float:
    """Return the F1 of KorQuAD 1.0, over characters: particles change words."""

    def characters(text: str) -> list[str]:
        return [one for one in text.lower() if one not in _KORQUAD_SIGNS and not one.isspace()]

    return bag_f1(characters(answer), characters(gold))


def rouge_l(answer: str, gold: str) -> float:
    """Return ROUGE-L F1 over words, or over pairs of syllables if the gold answer is Korean.

    Korean words have particles and optional spaces, so whole words rarely match. Single syllables
    match too often: each counts once, and any two long texts share most of them. A pair of
    syllables is about a stem.
    """
    if not _HANGUL.search(unicodedata.normalize("NFKC", gold)):
        return rouge(answer, gold)
    return rouge(_syllable_pairs(answer), _syllable_pairs(gold))


def _syllable_pairs(text: str) -> str:
    """Rewrite each sentence as pairs of characters, without spaces and punctuation."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    sentences = (re.sub(r"[\W_]", "", sentence) for sentence in folded.split("."))
    return ".".join(
        " ".join(sentence[at : at + 2] for at in range(max(1, len(sentence) - 1)))
        for sentence in sentences
    )


def _best(score: Callable[[str, str], float]) -> Metric:
    def metric(answer: str, question: Question) -> float:
        golds = (question.answer, *question.alternatives)
        return max(float(score(answer, gold)) for gold in golds)

    return metric


def _longbench(dataset: str) -> Metric:
    def metric(answer: str, question: Question) -> float:
        golds = (question.answer, *question.alternatives)
        return longbench_metrics.score(dataset, answer, golds, question.choices)

    return metric


METRICS: Mapping[str, Metric] = {
    "exact": _best(exact),
    "contains": _best(contains),
    "f1": _best(qa_f1),  # LongBench's is that of SQuAD v1.1
    "f1_ko": _best(f1_ko),
    "rouge_l": _best(rouge_l),
    **{f"longbench:{dataset}": _longbench(dataset) for dataset in TASKS},
}


WITH_WHITE_SPACE = frozenset(
    f"longbench:{dataset}" for dataset, task in TASKS.items() if task.metric == "code_sim"
)
"""Metrics that score surrounding white space, such as the indentation of code."""


def digit_accuracy(answers: Sequence[str], golds: Sequence[str]) -> list[float] | None:
    """Return the share of right digits by position, first digit first.

    Args:
        answers: One per gold answer, compared from its first character after normalisation.
        golds: Gold answers; only numbers count. A position averages over the golds that have it.

    Returns:
        One share per position of the longest gold; None if no gold is a number.
    """
    pairs = [
        (normalise(answer), normalise(gold)) for answer, gold in zip(answers, golds, strict=True)
    ]
    pairs = [(answer, gold) for answer, gold in pairs if gold.isdecimal()]
    if not pairs:
        return None
    return [
        fmean(answer[at : at + 1] == gold[at] for answer, gold in pairs if at < len(gold))
        for at in range(max(len(gold) for _, gold in pairs))
    ]
