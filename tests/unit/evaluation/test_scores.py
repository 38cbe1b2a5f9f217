"""Metrics, intervals and the needle task."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dnsity.data.encode import TextEncoder
from dnsity.evaluation.metrics import contains, exact
from dnsity.evaluation.runner import Record, bootstrap, summarise
from dnsity.evaluation.tasks import niah
from tiny import tiny_tokenizer


@pytest.mark.parametrize(
    ("answer", "gold", "is_exact", "holds"),
    [
        ("48213", "48213", True, True),
        (" 48213.\n", "48213", True, True),
        ("It is 48213", "48213", False, True),
        ("48214", "48213", False, False),
        ("Marta  vellacott", "Marta Vellacott", True, True),
        ("탁서온", "탁서온", True, True),  # decomposed and composed Hangul are the same
        ("", "48213", False, False),
    ],
)
def test_metrics(answer: str, gold: str, is_exact: bool, holds: bool) -> None:
    assert exact(answer, gold) is is_exact
    assert contains(answer, gold) is holds


def test_bootstrap_brackets_the_mean_and_narrows() -> None:
    few, many = [True, False] * 10, [True, False] * 1000
    low, high = bootstrap(few)
    assert low < 0.5 < high
    narrow = bootstrap(many)
    assert narrow[1] - narrow[0] < high - low
    assert bootstrap([True] * 5) == (1.0, 1.0)


def test_summary_keeps_tasks_and_methods_apart() -> None:
    def record(method: str, right: bool) -> Record:
        return Record("t", method, 0, 10, "q", "a", "g", right, 5, 0.1, 0.2)

    rows = summarise([record("gist", True), record("gist", False), record("none", False)])
    assert {row["method"]: row["score"] for row in rows} == {"gist": 0.5, "none": 0.0}


@pytest.fixture
def haystack(tmp_path: Path) -> Path:
    path = tmp_path / "prose.jsonl"
    text = " ".join(f"The boat of family {i} left the harbour before dawn." for i in range(400))
    path.write_text(json.dumps({"id": "a", "text": text}) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize(("task", "questions"), [("niah", 1), ("fact", 1), ("facts", 4)])
def test_needle_tasks_have_the_length_and_the_questions_they_say(
    haystack: Path, task: str, questions: int
) -> None:
    encoder = TextEncoder(tiny_tokenizer())
    found = niah.examples(task, str(haystack), "en", encoder, tokens=[700], samples=4, seed=0)
    assert [len(encoder.encode(example.document)) for example in found] == [700] * 4
    assert {len(example.questions) for example in found} == {questions}
    if task == "niah":
        assert all(len(example.questions[0].answer) == 5 for example in found)
    again = niah.examples(task, str(haystack), "en", encoder, tokens=[700], samples=4, seed=0)
    assert again == found
