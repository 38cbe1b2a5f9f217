"""Summaries: scores relative to the lower and upper bound, and costs."""

from __future__ import annotations

from typing import Any

import pytest

from dnsity.evaluation.record import Answered, Record
from dnsity.evaluation.summary import summarise

Score = float


def one(method: str, item: int, *scores: Score, **changes: Any) -> Record:
    """A document of 1,000 tokens; answers take 1 s, 0.5 s of it before the first of 6 tokens."""
    cost = {"ttft_s": 0.5, "seconds": 1.0, "slots": 10, "kv_bytes": 1000, **changes.pop("cost", {})}
    answers = tuple(Answered("k", "q", "a", "g", score, new_tokens=6, **cost) for score in scores)
    fields = {
        "model": "m",
        "task": "t",
        "version": 1,
        "metric": "exact",
        "method": method,
        "item": str(item),
        "labels": {"tokens": 1000 * (1 + item % 2)},
        "context_tokens": 1000,
        "characters": 4000,
        "ingest_s": 2.0,
        "peak_bytes": 7,
        "note": "",
        "error": "",
        "answers": answers,
        **changes,
    }
    return Record(**fields)


def rows(*records: Record) -> dict[str, dict[str, Any]]:
    return {row.method: row.model_dump() for row in summarise(records, {"t": None})}


def test_scores_are_relative_to_lower_and_upper_bound() -> None:
    records = [
        *(one("none", item, 0.0, 0.0) for item in range(4)),
        *(one("full", item, 1.0, float(item > 0)) for item in range(4)),
        *(one("gist", item, 1.0, 0.0) for item in range(4)),
    ]
    found = rows(*records)
    assert found["none"]["score"]["value"] == 0
    assert found["full"]["score"]["value"] == pytest.approx(7 / 8)
    assert found["gist"]["gap_recovered"]["value"] == pytest.approx((4 / 8) / (7 / 8))
    assert found["full"]["gap_recovered"]["value"] == 1
    assert found["none"]["gap_recovered"]["value"] == 0
    assert found["gist"]["share_of_full"]["value"] == pytest.approx(4 / 7)
    assert found["none"]["gist_minus_this"]["difference"] == pytest.approx(0.5)
    assert found["gist"]["gist_minus_this"] is None


def test_without_floor_or_ceiling_nothing_is_claimed() -> None:
    found = rows(one("gist", 0, 1.0), one("none", 0, 0.0))
    assert found["gist"]["gap_recovered"] is None
    assert found["gist"]["share_of_full"] is None
    flat = rows(one("gist", 0, 1.0), one("none", 0, 1.0), one("full", 0, 1.0))
    assert flat["gist"]["gap_recovered"] is None, "there is no gap to recover"


def test_methods_asked_on_other_documents_are_not_compared() -> None:
    found = rows(one("gist", 0, 1.0), one("gist", 1, 1.0), one("full", 0, 1.0))
    assert found["gist"]["share_of_full"] is None


def test_a_failed_document_counts_as_wrong() -> None:
    failed = one("gist", 1, 0.0, 0.0, error="out of memory: x", ingest_s=99.0)
    row = rows(one("gist", 0, 1.0, 1.0), failed)["gist"]
    assert row["score"]["value"] == 0.5
    assert (row["failed"], row["questions"], row["errors"]) == (1, 4, ["out of memory: x"])
    assert row["cost"]["ingest_s"] == 2.0


def test_costs_are_what_the_records_say() -> None:
    full = {"ttft_s": 3.0, "seconds": 3.5, "slots": 1000, "kv_bytes": 100_000}
    records = [one("gist", item, 1.0) for item in range(3)]
    records += [one("full", item, 1.0, ingest_s=0.0, cost=full) for item in range(3)]
    cost = rows(*records)["gist"]["cost"]
    assert cost["compression_ratio"] == 100
    assert cost["characters_per_slot"] == 400
    assert cost["documents_per_gb"] == 1_000_000
    assert cost["warm_ttft_s"]["median"] == 0.5
    assert cost["cold_ttft_s"]["median"] == 2.5
    assert cost["tokens_per_second"] == pytest.approx(5 / 0.5)
    # 2 s to compress, 2.5 s saved by each question: the first already pays.
    assert cost["break_even_questions"] == 1


@pytest.mark.parametrize(("ingest", "questions"), [(2.0, 1), (2.5, 2), (7.4, 3), (7.6, 4)])
def test_break_even_is_the_first_number_of_questions_that_is_faster(
    ingest: float, questions: int
) -> None:
    slow = {"ttft_s": 3.0, "seconds": 3.5, "slots": 1000, "kv_bytes": 100_000}
    found = rows(one("gist", 0, 1.0, ingest_s=ingest), one("full", 0, 1.0, ingest_s=0.0, cost=slow))
    assert found["gist"]["cost"]["break_even_questions"] == questions
    assert ingest + questions * 1.0 < questions * 3.5
    assert questions == 1 or ingest + (questions - 1) * 1.0 >= (questions - 1) * 3.5
    assert found["full"]["cost"]["break_even_questions"] is None


def test_scores_are_broken_down_by_labels_and_kinds() -> None:
    found = rows(one("gist", 0, 1.0), one("gist", 1, 0.0), one("gist", 2, 1.0))
    assert found["gist"]["by"] == {
        "tokens": {
            "1000": {"score": 1.0, "questions": 2},
            "2000": {"score": 0.0, "questions": 1},
        }
    }
