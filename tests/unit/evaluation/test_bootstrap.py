"""Intervals and tests behave as defined, for any random seed."""

from __future__ import annotations

import random

import pytest

from dnsity.evaluation.bootstrap import (
    Interval,
    Scores,
    compare,
    gap_recovered,
    mean,
    share_of_full,
)


def documents(number: int, share: float, questions: int = 3, seed: int = 0) -> list[list[float]]:
    """Documents whose questions are right with a chance of `share`, independently."""
    rng = random.Random(seed)
    return [[float(rng.random() < share) for _ in range(questions)] for _ in range(number)]


def width(interval: Interval | None) -> float:
    assert interval is not None
    return interval.high - interval.low


NONE, METHOD, FULL = (documents(60, share, seed=seed) for seed, share in enumerate((0.1, 0.5, 0.9)))


# Means


def test_the_mean_is_over_questions_and_within_its_interval() -> None:
    found = mean([[1.0, 1.0, 1.0], [0.0]])
    assert found.value == 0.75
    assert (found.low, found.high) == (0.0, 1.0)  # either document can be sampled twice
    found = mean(METHOD)
    assert found.low < found.value < found.high
    assert mean([[1.0]] * 5) == Interval(1.0, 1.0, 1.0)


def test_more_documents_make_it_narrower() -> None:
    few, many = mean(METHOD), mean(METHOD * 16)
    assert many.value == pytest.approx(few.value)
    assert width(many) == pytest.approx(width(few) / 4, rel=0.15)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    found = [mean(documents(60, 0.5, seed=seed), rounds=200) for seed in range(200)]
    covered = sum(interval.low <= 0.5 <= interval.high for interval in found) / len(found)
    assert 0.88 < covered < 0.99


def test_questions_of_one_document_are_not_so_many_documents() -> None:
    alike = [[right] * 9 for (right,) in documents(60, 0.5, questions=1)]
    single = [[score] for document in alike for score in document]
    assert mean(alike).value == mean(single).value
    assert width(mean(alike)) == pytest.approx(3 * width(mean(single)), rel=0.2)


def test_the_same_call_gives_the_same() -> None:
    assert mean(METHOD) == mean(METHOD)
    assert gap_recovered(METHOD, NONE, FULL) == gap_recovered(METHOD, NONE, FULL)
    assert compare(METHOD, FULL) == compare(METHOD, FULL)


def test_documents_without_a_question_change_nothing() -> None:
    assert mean([*METHOD, []]) == mean(METHOD)
    assert compare([[], *METHOD], [[], *NONE]) == compare(METHOD, NONE)


@pytest.mark.parametrize("scores", [[], [[]]])
def test_no_question_has_no_mean(scores: Scores) -> None:
    with pytest.raises(ValueError, match="nothing to average"):
        mean(scores)


# Shares


def test_the_gap_is_closed_from_none_to_full() -> None:
    assert gap_recovered(NONE, NONE, FULL) == Interval(0.0, 0.0, 0.0)
    assert gap_recovered(FULL, NONE, FULL) == Interval(1.0, 1.0, 1.0)
    found = gap_recovered(METHOD, NONE, FULL)
    assert found is not None
    nothing, some, everything = (mean(scores).value for scores in (NONE, METHOD, FULL))
    assert found.value == pytest.approx((some - nothing) / (everything - nothing))
    assert 0 < found.low < found.value < found.high < 1


def test_the_gap_can_be_passed_either_way() -> None:
    worse = gap_recovered([[0.0]] * 9, [[0.25]] * 9, [[0.75]] * 9)
    assert worse == Interval(-0.5, -0.5, -0.5)
    better = gap_recovered([[1.0]] * 9, [[0.25]] * 9, [[0.75]] * 9)
    assert better == Interval(1.5, 1.5, 1.5)


def test_the_same_documents_are_sampled_for_all() -> None:
    """Half of the gap in every document is half in every sample, however the documents differ."""
    half = [
        [(low + high) / 2 for low, high in zip(*pair, strict=True)]
        for pair in zip(NONE, FULL, strict=True)
    ]
    found = gap_recovered(half, NONE, FULL)
    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx((0.5, 0.5, 0.5))


def test_without_a_gap_there_is_no_share() -> None:
    assert gap_recovered(METHOD, FULL, FULL) is None
    assert gap_recovered(METHOD, FULL, NONE) is None
    thirds = [[0.1 + 0.2 - 0.3]]  # not quite 0
    assert gap_recovered([[1.0]], [[0.0]], thirds) is None


def test_a_gap_no_larger_than_chance_is_none() -> None:
    """One document of four has the gap; a third of the samples miss it."""
    none = [[0.0]] * 4
    assert gap_recovered(none, none, [[1.0], [0.0], [0.0], [0.0]]) is None
    # Ten of forty: no draw misses them all.
    found = gap_recovered([[0.0]] * 40, [[0.0]] * 40, [[1.0], [0.0], [0.0], [0.0]] * 10)
    assert found == Interval(0.0, 0.0, 0.0)


def test_rare_rounds_without_a_gap_are_left_out() -> None:
    """Four documents of thirty have the gap: about one sample in a hundred misses them."""
    full = [[1.0]] * 4 + [[0.0]] * 26
    found = gap_recovered(full, [[0.0]] * 30, full)
    assert found == Interval(1.0, 1.0, 1.0)


def test_the_share_of_full_context() -> None:
    found = share_of_full(METHOD, FULL)
    assert found is not None
    assert found.value == pytest.approx(mean(METHOD).value / mean(FULL).value)
    assert found.low < found.value < found.high
    assert share_of_full(FULL, FULL) == Interval(1.0, 1.0, 1.0)
    assert share_of_full(METHOD, [[0.0] * 3] * 60) is None


# Comparisons


def test_equal_results_do_not_differ() -> None:
    assert compare(METHOD, METHOD) == (0.0, 0.0, 0.0, 1.0)


def test_a_clear_difference_is_hardly_chance() -> None:
    found = compare(FULL, NONE)
    assert found.difference == pytest.approx(mean(FULL).value - mean(NONE).value)
    assert 0 < found.low < found.difference < found.high
    assert 0 < found.p < 0.01
    turned = compare(NONE, FULL)
    assert turned.difference == -found.difference
    assert turned.p == pytest.approx(found.p)


def test_documents_are_paired() -> None:
    """A small lead in every document is sure, though documents differ far more."""
    base = documents(60, 0.5)
    ahead = [[score + 0.01 for score in document] for document in base]
    found = compare(ahead, base)
    assert (found.difference, found.low, found.high) == pytest.approx((0.01, 0.01, 0.01))
    assert found.p < 0.01


def test_a_difference_by_chance_is_often_larger() -> None:
    """Of results that are alike about one in twenty has p < 0.05."""
    pairs = (
        (documents(30, 0.5, seed=2 * i), documents(30, 0.5, seed=2 * i + 1)) for i in range(200)
    )
    small = sum(compare(one, other, rounds=200).p < 0.05 for one, other in pairs)
    assert 1 <= small <= 22


def test_one_document_proves_nothing() -> None:
    assert compare([[1.0] * 50], [[0.0] * 50]).p == 1.0


@pytest.mark.parametrize("other", [METHOD[:-1], [*METHOD[:-1], [1.0]]])
def test_other_questions_cannot_be_compared(other: Scores) -> None:
    with pytest.raises(ValueError, match="not scored on the same questions"):
        compare(METHOD, other)
    with pytest.raises(ValueError, match="not scored on the same questions"):
        gap_recovered(METHOD, other, FULL)
    with pytest.raises(ValueError, match="not scored on the same questions"):
        share_of_full(METHOD, other)
