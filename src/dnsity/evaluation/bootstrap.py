"""Confidence intervals and tests by resampling documents, with a fixed random seed.

The scores of questions about one document are correlated, so documents are resampled, each with
all of its questions. Scores are one list of floats per document, one float per question. Compared
methods have the same documents and questions in the same order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

Scores: TypeAlias = Sequence[Sequence[float]]
_Array: TypeAlias = npt.NDArray[np.float64]

ROUNDS = 1000
_PERCENTILES = (2.5, 97.5)
_SEED = 0
_LEAST = 1e-9  # rounding error of sums of floats


class Interval(NamedTuple):
    """A value and its 95% bootstrap interval."""

    value: float
    low: float
    high: float


class Comparison(NamedTuple):
    """A difference of two means, its 95% bootstrap interval and its two-sided p-value."""

    difference: float
    low: float
    high: float
    p: float


def mean(scores: Scores, rounds: int = ROUNDS) -> Interval:
    """Return the mean over questions.

    Raises:
        ValueError: If there is no question.
    """
    sums, counts = _sums(scores)
    sampled_sums, sampled_counts = _resample(rounds, sums, counts)
    low, high = np.percentile(sampled_sums / sampled_counts, _PERCENTILES)
    return Interval(float(sums.sum() / counts.sum()), float(low), float(high))


def gap_recovered(
    method: Scores, none: Scores, full: Scores, rounds: int = ROUNDS
) -> Interval | None:
    """Return the share of the gap between no context and full context that a method closes.

    It is (method - none) / (full - none) of the means: 0 equals no context, 1 equals full context,
    and values outside this range are possible. Each round samples the same documents for all
    three.

    Returns:
        The share and its interval. None if full does not exceed none significantly (in at least
        97.5% of the rounds), since the share of a gap of zero is undefined.

    Raises:
        ValueError: If the scores are of different questions, or if there are none.
    """
    _check_same(none, full, method)
    (bottom, counts), (top, _), (given, _) = map(_sums, (none, full, method))
    gains, gaps = _resample(rounds, given - bottom, top - bottom)
    least = _LEAST * counts.sum()
    if not np.percentile(gaps, _PERCENTILES[0]) > least:
        return None
    low, high = np.percentile(gains[gaps > least] / gaps[gaps > least], _PERCENTILES)
    value = (given - bottom).sum() / (top - bottom).sum()
    return Interval(float(value), float(low), float(high))


def share_of_full(method: Scores, full: Scores, rounds: int = ROUNDS) -> Interval | None:
    """Return the mean of a method relative to that of full context; None if that is 0.

    It equals `gap_recovered` with a score of 0 for no context.
    """
    return gap_recovered(method, [[0.0] * len(document) for document in full], full, rounds)


def compare(one: Scores, other: Scores, rounds: int = ROUNDS) -> Comparison:
    """Return the difference of two means on the same questions.

    p is that of a two-sided permutation test, which swaps the results of a document between the
    methods at random. The observed result counts as one permutation, so p is never 0. It is 1 for
    equal results.

    Raises:
        ValueError: If the scores are of different questions, or if there are none.
    """
    _check_same(one, other)
    (left, counts), (right, _) = _sums(one), _sums(other)
    leads = left - right
    sampled_leads, sampled_counts = _resample(rounds, leads, counts)
    low, high = np.percentile(sampled_leads / sampled_counts, _PERCENTILES)
    coins = np.random.default_rng(_SEED).choice((-1.0, 1.0), size=(rounds, len(leads)))
    as_large = np.abs(coins @ leads) >= abs(leads.sum()) - _LEAST * counts.sum()
    p = (1 + np.count_nonzero(as_large)) / (1 + rounds)
    return Comparison(float(leads.sum() / counts.sum()), float(low), float(high), float(p))


def _sums(scores: Scores) -> tuple[_Array, _Array]:
    """Return the sum and number of scores of each document that has any."""
    asked = [document for document in scores if document]
    if not asked:
        raise ValueError("there is nothing to average: no document has a score")
    sums, counts = [sum(document) for document in asked], [len(document) for document in asked]
    return np.array(sums, np.float64), np.array(counts, np.float64)


def _check_same(*methods: Scores) -> None:
    shapes = [[len(document) for document in scores] for scores in methods]
    if any(shape != shapes[0] for shape in shapes):
        raise ValueError("the methods were not scored on the same questions of the same documents")


def _resample(rounds: int, *columns: _Array) -> list[_Array]:
    """Sum columns over documents sampled with replacement, the same ones for all columns."""
    documents = len(columns[0])
    chances = np.full(documents, 1 / documents)
    times = np.random.default_rng(_SEED).multinomial(documents, chances, size=rounds)
    return [times @ column for column in columns]
