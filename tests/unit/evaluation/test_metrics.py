"""Metrics: expected values are worked out by hand from each metric's definition."""

from __future__ import annotations

import json
import logging
import sys
import tempfile
from pathlib import Path

import pytest

from dnsity.data.example import Question
from dnsity.data.readers.longbench import TASKS
from dnsity.errors import BadInputError
from dnsity.evaluation import longbench_metrics
from dnsity.evaluation.longbench_metrics import classification, score
from dnsity.evaluation.metrics import METRICS, contains, digit_accuracy, exact

SCORED = Path(__file__).resolve().parents[4] / "shared/data/longbench/scored_predictions.jsonl"
close = pytest.approx  # the rouge package adds 1e-8 to the denominator of F1


def ask(gold: str, *alternatives: str, choices: tuple[str, ...] = ()) -> Question:
    return Question("?", gold, "test", alternatives, choices)


# Our own


@pytest.mark.parametrize(
    ("answer", "gold", "is_exact", "holds"),
    [
        ("48213", "48213", True, True),
        (" 48213.\n", "48213", True, True),
        ("It is 48213", "48213", False, True),
        ("48214", "48213", False, False),
        ("Marta  vellacott", "Marta Vellacott", True, True),
        ("\u1110\u1161\u11a8서온", "탁서온", True, True),  # decomposed and composed Hangul
        ("４８２１３", "48213", True, True),  # full width
        ("", "48213", False, False),
    ],
)
def test_exact_and_contains(answer: str, gold: str, is_exact: bool, holds: bool) -> None:
    assert exact(answer, gold) is is_exact
    assert contains(answer, gold) is holds
    assert METRICS["exact"](answer, ask(gold)) == float(is_exact)
    assert METRICS["contains"](answer, ask(gold)) == float(holds)


@pytest.mark.parametrize(
    ("answer", "gold", "expected"),
    [
        ("The cat sat", "a cat sat down", 0.8),  # without articles 2 words of 2, 2 of 3
        ("Don't!", "dont", 1.0),  # punctuation goes without a trace
        ("five five", "five", 2 / 3),  # a word is matched once: 2 * 1 / (2 + 1)
        ("there", "the", 0.0),  # nothing is left of the gold answer
        ("anthem", "them", 0.0),  # articles are whole words
        ("", "", 0.0),  # as SQuAD has it
    ],
)
def test_f1_is_that_of_squad(answer: str, gold: str, expected: float) -> None:
    assert METRICS["f1"](answer, ask(gold)) == close(expected)


@pytest.mark.parametrize(
    ("answer", "gold", "expected"),
    [
        ("서울특별시", "서울 시", 0.75),  # 5 and 3 characters, 3 common: 6 / 8
        ("《훈민정음》이다", "훈민정음", 0.8),  # 6 and 4, 4 common: 8 / 10
        ("‘KTX’ (고속철)", "ktx고속철", 1.0),  # signs, spaces and case do not count
        ("〈가〉,<나>", "나가", 1.0),  # nor does order
        ("가가", "가", 2 / 3),  # a character is matched once
        ("a cat", "cat", 6 / 7),  # no articles: 4 and 3 characters, 3 common
        ("“가”", "가", 0.5),  # KorQuAD leaves these marks: 3 and 1, 1 common
        ("나", "가", 0.0),
    ],
)
def test_korean_f1_is_that_of_korquad(answer: str, gold: str, expected: float) -> None:
    assert METRICS["f1_ko"](answer, ask(gold)) == close(expected)


@pytest.mark.parametrize(
    ("answer", "gold", "expected"),
    [
        # Each word counts once: both have 5, and "the cat on the mat" holds 4 of them in order.
        ("the cat lay on the mat", "the cat sat on the mat", 0.8),
        ("b a", "a b", 0.5),  # in order only one of two
        ("", "a b", 0.0),
        ("...", "a b", 0.0),
        # 회의 의가 가금 금요 요일 and 회의 의는 는금 금요 요일: 3 pairs of 5; of the words, 1 of 2.
        ("회의가 금요일", "회의는 금요일", 0.6),
        ("도서관은 아홉시에 연다!", "도서관은 아홉 시에 연다.", 1.0),  # however it is spaced
        ("\u1112\u116c\u110b\u1174", "회의", 1.0),  # decomposed Hangul
        ("회", "회", 1.0),
        ("the meeting", "회의", 0.0),
        # A sentence is a sentence: 가나 다라 against 가나 나다 다라, 2 of 2 and 2 of 3.
        ("가나. 다라.", "가나다라", 0.8),
    ],
)
def test_rouge_l(answer: str, gold: str, expected: float) -> None:
    assert METRICS["rouge_l"](answer, ask(gold)) == close(expected)


def test_rouge_scores_sentences_beyond_the_recursion_limit() -> None:
    """The first word and the last are common: P = 2 / n, R = 1, so F1 = 4 / (n + 2)."""
    limit = sys.getrecursionlimit()
    words = [f"w{i}" for i in range(limit + 200)]
    gold = f"{words[0]} {words[-1]}"
    expected = 4 / (len(words) + 2)
    assert METRICS["rouge_l"](" ".join(words), ask(gold)) == close(expected, abs=1e-6)
    assert sys.getrecursionlimit() == limit


@pytest.mark.parametrize("metric", ["exact", "contains", "f1", "f1_ko", "longbench:qasper"])
def test_the_best_gold_answer_counts(metric: str) -> None:
    question = ask("nine o'clock", "9", "at nine")
    assert METRICS[metric]("9", question) == 1.0
    assert METRICS[metric]("At nine.", question) == 1.0
    assert METRICS[metric]("7", question) == 0.0


# LongBench


@pytest.mark.parametrize(
    ("dataset", "prediction", "answers", "expected"),
    [
        ("hotpotqa", "In Paris", ["Paris", "in the city of Paris"], 2 / 3),  # 2 of 2, 2 of 4
        ("gov_report", "one two three", ["one two four"], 2 / 3),  # 2 words of 3, twice
        ("passage_count", "3 or 4, so 3", ["3"], 2 / 3),  # 2 of the 3 numbers
        ("passage_count", "30", ["3"], 0.0),
        ("passage_count", "three", ["3"], 0.0),
        ("passage_retrieval_en", "Paragraph 7 or 12", ["Paragraph 12"], 0.5),
        ("passage_retrieval_en", "Paragraph 112", ["Paragraph 12"], 0.0),
        ("passage_retrieval_zh", "段落7、段落12", ["段落12"], 0.5),
        # The longest common block is bcd, 2 * 3 / 8.
        ("lcc", "abcd", ["bcde"], 0.75),
        ("repobench-p", "abc", ["abd"], 0.67),  # 2 * 2 / 6 in whole per cent
        ("lcc", "\n# why\n// why\n```\nreturn x\nreturn y", ["return x"], 1.0),
        ("lcc", "x = 1  # one", ["x = 1"], 0.0),  # no line is left
        # 图书馆 九点 开门 and 图书馆 九点, punctuation gone: 2 of 3 and 2 of 2.
        ("multifieldqa_zh", "图书馆九点开门。", ["图书馆，九点"], 0.8),
        ("multifieldqa_zh", "。", ["，"], 0.0),
        ("dureader", "图书馆九点开门", ["图书馆十点开门"], 2 / 3),  # 2 words of 3, twice
    ],
)
def test_longbench_metrics(
    dataset: str, prediction: str, answers: list[str], expected: float
) -> None:
    assert score(dataset, prediction, answers) == close(expected)
    assert METRICS[f"longbench:{dataset}"](prediction, ask(*answers)) == close(expected)


@pytest.mark.parametrize(
    ("prediction", "gold", "expected"),
    [
        ("It is a City", "City", 1.0),
        ("City or State", "City", 0.5),  # two are named
        ("State", "City", 0.0),
        ("Other City", "Other City", 1.0),  # City is part of the right one's name
        ("Other City", "City", 0.5),  # but not the other way round
        ("nothing", "City", 0.0),
    ],
)
def test_classification(prediction: str, gold: str, expected: float) -> None:
    classes = ("City", "Other City", "State")
    assert METRICS["longbench:trec"](prediction, ask(gold, choices=classes)) == expected
    assert METRICS["longbench:lsht"](prediction, ask(gold, choices=classes)) == expected


def test_classification_skips_the_class_after_a_removed_one() -> None:
    """Official: "a" is removed, which moves "ab" into its place unseen; with "abc" that is two."""
    assert classification("abc", "abc", ("a", "ab", "abc")) == 0.5


def test_only_the_first_line_of_few_shot_answers_counts() -> None:
    prediction = "\n\nPuffin\nQuestion: Which bird?"
    for dataset in ("triviaqa", "samsum"):
        assert score(dataset, prediction, ["Puffin"]) == close(1.0)
    classes = ("Puffin", "Which bird?")
    for dataset in ("trec", "lsht"):
        assert score(dataset, prediction, ["Puffin"], classes) == 1.0
    assert score("hotpotqa", prediction, ["Puffin"]) == close(0.4)  # 1 word of 4, 1 of 1


def test_what_a_record_lacks_is_named() -> None:
    with pytest.raises(BadInputError, match="needs all_classes"):
        score("trec", "City", ["City"])
    with pytest.raises(BadInputError, match="'Paragraph ' and a number, found '12'"):
        score("passage_retrieval_en", "12", ["12"])


@pytest.mark.parametrize(("package", "dataset"), [("rouge", "samsum"), ("jieba", "dureader")])
def test_a_missing_package_is_named(
    monkeypatch: pytest.MonkeyPatch, package: str, dataset: str
) -> None:
    longbench_metrics._segmenter.cache_clear()
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(BadInputError, match=rf"{package} package: pip install dnsity\[eval\]"):
        score(dataset, "图", ["图"])


def test_chinese_leaves_no_log_and_no_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    longbench_metrics._segmenter.cache_clear()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with caplog.at_level(logging.DEBUG):
        assert score("multifieldqa_zh", "图书馆", ["图书馆"]) == 1.0
    assert not caplog.records
    assert not list(tmp_path.iterdir())


def test_every_task_has_a_metric() -> None:
    assert {name for name in METRICS if ":" in name} == {f"longbench:{task}" for task in TASKS}


@pytest.mark.skipif(not SCORED.is_file(), reason="the shared data are not here")
def test_scores_are_the_official_ones() -> None:
    records = [json.loads(line) for line in SCORED.read_text("utf-8").splitlines()]
    assert {record["dataset"] for record in records} == set(TASKS)
    for record in records:
        classes = tuple(record["all_classes"] or ())
        question = ask(*record["answers"], choices=classes)
        found = METRICS[f"longbench:{record['dataset']}"](record["prediction"], question)
        assert found == close(record["score"], abs=1e-6), record


# Digits


def test_digit_accuracy_is_by_position() -> None:
    """First digits 2 of 3, second 1 of 3, third 1 of 1: only one gold answer is that long."""
    answers = [" 12.", "1", "945", "whatever"]
    assert digit_accuracy(answers, ["12", "13", "645", "six"]) == close([2 / 3, 2 / 3, 1.0])


def test_digit_accuracy_is_of_numbers_only() -> None:
    assert digit_accuracy(["12", "x"], ["twelve", "12th"]) is None
    assert digit_accuracy([], []) is None
    assert digit_accuracy(["It is 12"], ["12"]) == [0.0, 0.0]
