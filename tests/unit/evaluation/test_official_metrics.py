"""Metrics of LongBench, SQuAD and KorQuAD equal other copies of the official code."""

from __future__ import annotations

import re
import string
import sys
from collections.abc import Iterator
from difflib import SequenceMatcher
from importlib import import_module
from types import ModuleType
from typing import Any

import pytest

from dnsity.data.example import Question
from dnsity.data.readers.longbench import TASKS
from dnsity.evaluation.answering import _scored
from dnsity.evaluation.longbench_metrics import score
from dnsity.evaluation.method import Reply
from dnsity.evaluation.methods import build
from dnsity.evaluation.metrics import METRICS, WITH_WHITE_SPACE
from dnsity.evaluation.task import Item, Task
from dnsity.inference import generate
from dnsity.inference.gist_model import GistModel
from tiny import tiny_gist_model

TEXTS = (
    """
Paris| Paris.@|the Paris of a thousand|PARIS, a city|Paris@Lyon|@@Paris is it|  Paris  and\tLyon |
Ｐａｒｉｓ|Pa\u0301ris|Café|Cafe\u0301|don't|\u201cParis\u201d|3|
 3 of 30 |Paragraph 3|٣|...|a an the|
Paragraph 3 and Paragraph 4|段落3|段落３。|图书馆九点开门。|图书馆 九点\u3000开门|，。！|
City|İstanbul ßen|
Other City or State|return total|    return total|\treturn total|@    return total@|return  total|
# why@    return total|    x = 1  # one@    return total|```@    return total@```|one. two. three|
two\u2028lines|NUL\0 inside|👩 walks| |@|   @  x
""".strip("\n")
    .replace("|\n", "|")
    .replace("@", "\n")
    .split("|")
)
"""Indented, empty, of several lines (@), in other scripts."""
GOLDS = ["Paris", "    return total", "return total", "3", "City", "Other City", "图书馆九点开门"]
GOLDS += ["Café", "don't", "one. two. three"]
CLASSES = ("City", "Other City", "State")


@pytest.fixture(scope="module")
def official() -> Iterator[Any]:
    """The functions of lm-evaluation-harness, which copied LongBench's.

    They need fuzzywuzzy, whose `fuzz.ratio` is this where it has no C extension.
    """
    pytest.importorskip("lm_eval")
    fuzz = ModuleType("fuzzywuzzy.fuzz")
    fuzz.ratio = lambda one, other: round(  # type: ignore[attr-defined]
        100 * SequenceMatcher(None, one, other).ratio()
    )
    package = ModuleType("fuzzywuzzy")
    package.fuzz = fuzz  # type: ignore[attr-defined]
    before = {name: sys.modules.get(name) for name in ("fuzzywuzzy", "fuzzywuzzy.fuzz")}
    sys.modules.update({"fuzzywuzzy": package, "fuzzywuzzy.fuzz": fuzz})
    try:
        yield import_module("lm_eval.tasks.longbench.metrics")
    finally:
        for name, module in before.items():
            if module is None:
                sys.modules.pop(name, None)
            else:
                sys.modules[name] = module


PAIRS = {
    "hotpotqa": "get_qa_f1_score",
    "multifieldqa_zh": "get_qa_f1_zh_score",
    "gov_report": "get_rouge_score",
    "dureader": "get_rouge_zh_score",
    "passage_count": "get_count_score",
    "lcc": "get_code_sim_score",
    "repobench-p": "get_code_sim_score",
    "trec": "get_classification_score",
}


@pytest.mark.parametrize("dataset", PAIRS)
def test_every_metric_is_the_harness_own(official: Any, dataset: str) -> None:
    """It strips answers except code, as we do, and skips empty lines of code, as we do not."""
    function, name = getattr(official, PAIRS[dataset]), f"longbench:{dataset}"
    for text in TEXTS:
        if name in WITH_WHITE_SPACE:
            lines = text.lstrip("\n").split("\n")
            if not all(line.strip() for line in lines[: 1 + len(lines) // 2]):
                continue
            given = text
        else:
            given = text.strip().split("\n")[0] if dataset == "trec" else text.strip()
        for gold in GOLDS:
            doc = {"answers": [gold, "other"], "all_classes": list(CLASSES)}
            (expected,) = function(doc, [given]).values()
            question = Question("?", gold, "t", ("other",), CLASSES)
            found = _scored(Task("t", 1, name, (), 4), question, Reply(text, 0.0, 0.0, 1, 0, 0))
            assert found.score == pytest.approx(expected, abs=1e-9), (text, gold)


def test_retrieval_is_the_harness_own(official: Any) -> None:
    for text in TEXTS:
        for dataset, gold, name in (
            ("passage_retrieval_en", "Paragraph 3", "get_retrieval_score"),
            ("passage_retrieval_zh", "段落3", "get_retrieval_zh_score"),
        ):
            (expected,) = getattr(official, name)({"answers": [gold]}, [text]).values()
            assert score(dataset, text, [gold]) == expected, (text, gold)


def test_f1_is_squads() -> None:
    """By the words of its evaluate-v1.1.py."""

    def words(text: str) -> list[str]:
        text = "".join(sign for sign in text.lower() if sign not in set(string.punctuation))
        return re.sub(r"\b(a|an|the)\b", " ", text).split()

    for text in TEXTS:
        for gold in GOLDS:
            given, right = words(text), words(gold)
            common = sum(min(given.count(word), right.count(word)) for word in set(given))
            expected = 2 * common / (len(given) + len(right)) if common else 0.0
            assert METRICS["f1"](text, Question("?", gold, "t")) == pytest.approx(expected)


def test_korean_f1_is_korquads() -> None:
    """By the words of its evaluate-v1.0.py: some signs, then punctuation, then spaces go."""

    def characters(text: str) -> list[str]:
        text = re.sub("['\"《》<>〈〉()‘’]", " ", text).lower()
        text = "".join(sign for sign in text if sign not in set(string.punctuation))
        return [sign for word in text.split() for sign in word]

    for text in TEXTS:
        for gold in GOLDS:
            given, right = characters(text), characters(gold)
            common = sum(min(given.count(one), right.count(one)) for one in set(given))
            expected = 2 * common / (len(given) + len(right)) if common else 0.0
            assert METRICS["f1_ko"](text, Question("?", gold, "t")) == pytest.approx(expected)


# Indentation reaches the metric


@pytest.mark.parametrize("dataset", ["lcc", "repobench-p"])
@pytest.mark.parametrize(
    ("text", "gold", "right"),
    [
        ("        return total", "        return total", True),
        ("\n\n\treturn total\n\treturn other", "\treturn total", True),
        ("    # adds\n    return total", "    return total", True),
        ("return total", "        return total", False),
        ("    return total", "return total", False),
        ("return total", "return total", True),
    ],
)
def test_code_is_scored_with_its_indentation(
    dataset: str, text: str, gold: str, right: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the token ids to the score, as an evaluation does it."""
    model = tiny_gist_model()
    loaded = model.loaded
    ids = [*loaded.encoder.encode(text), *loaded.end_ids[:1]]

    def generated(**arguments: Any) -> Any:
        given = arguments["input_ids"]
        return given.new_tensor([[*row.tolist(), *ids] for row in given])

    monkeypatch.setattr(loaded.lm.base, "generate", generated)
    question = Question("Next line of code:", gold, f"longbench:{dataset}")
    item = Item("0", "def total(): the sum of all", (question,))
    task = Task(dataset, 1, f"longbench:{dataset}", (item,), 16)
    for name in ("full", "none"):
        method = build(name, loaded)
        reply = method.answer(method.ingest(item.document), [question.text])[0]
        assert reply.text == text
        answered = _scored(task, question, reply)
        assert (answered.score == 1.0, answered.answer) == (right, text), name
    gist = model.compress("The harbour office opens at nine. " * 4)
    assert model.ask(gist, "Next line?").text == text.strip()  # for people, as ever
    assert [a.text for a in model.ask_each([gist], ["Next line?"])] == [text.strip()]


def test_answers_for_people_have_no_white_space_around_them(model: GistModel) -> None:
    raw = generate.Answer("?", " 7 \n", 0.0, 0.0, 1)
    assert [one.text for one in generate.stripped([raw])] == ["7"]


@pytest.fixture(scope="module")
def model() -> GistModel:
    return tiny_gist_model()


def test_white_space_changes_no_score_but_of_code() -> None:
    """A model's first token often begins with a space."""
    golds = {"retrieval": "Paragraph 3", "retrieval_zh": "段落3"}
    for name in METRICS:
        metric = TASKS[name.removeprefix("longbench:")].metric if ":" in name else name
        question = Question("?", golds.get(metric, "3"), "t", (), ("3",))
        stripped, spaced = (
            _scored(Task("t", 1, name, (), 4), question, Reply(text, 0.0, 0.0, 1, 0, 0)).score
            for text in (question.answer, f" {question.answer}\n")
        )
        assert stripped > 0.99, name
        assert (stripped == spaced) == (name not in WITH_WHITE_SPACE), name
