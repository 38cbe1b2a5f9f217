"""Question answering: documents, questions, and disjoint splits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dnsity.config import validated
from dnsity.data.encode import TextEncoder
from dnsity.errors import BadInputError
from dnsity.evaluation.task import Task
from dnsity.evaluation.tasks.qa import VERSION, Qa
from tiny import tiny_tokenizer

ARTICLES = 40


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    return TextEncoder(tiny_tokenizer())


def article(number: int) -> dict[str, Any]:
    """Article n has n + 1 paragraphs of the same length, each with one question."""
    return {
        "title": f"Ferry {number}",
        "paragraphs": [
            {
                "context": f"On ferry {number} captain {at:03} counted every lantern aboard.",
                "qas": [
                    {
                        "question": f"Who counted as number {at}?",
                        "answers": [{"text": f"captain {at:03}"}, {"text": f"{at:03}"}],
                    }
                ],
            }
            for at in range(number + 1)
        ],
    }


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("qa") / "ferries.json"
    file.write_text(json.dumps({"data": list(map(article, range(ARTICLES)))}), encoding="utf-8")
    return str(file)


def draw(encoder: TextEncoder, path: str, limit: int = 100, seed: int = 0, **more: Any) -> Task:
    settings = {"family": "qa", "language": "en", "path": path, "min_tokens": 1, **more}
    (task,) = validated(Qa, settings, "a test").make_tasks(encoder, limit=limit, seed=seed)
    return task


def articles(task: Task) -> set[str]:
    return {item.id.partition(":")[2] for item in task.items}


def test_documents_are_whole_articles_with_all_answers_kept(
    encoder: TextEncoder, path: str
) -> None:
    task = draw(encoder, path, test_share=1.0)
    assert (task.name, task.version, task.metric) == ("qa_en", VERSION, "f1")
    assert articles(task) == {f"Ferry {number}" for number in range(ARTICLES)}
    for item in task.items:
        number = int(item.id.split(" ")[1])
        contexts = [paragraph["context"] for paragraph in article(number)["paragraphs"]]
        assert item.document == "\n\n".join(contexts)
        assert item.labels == {"language": "en"}
        for question in item.questions:
            assert question.answer in item.document
            assert question.alternatives == (question.answer.removeprefix("captain "),)


def test_korean_has_its_own_metric_and_a_suffix_its_own_name(
    encoder: TextEncoder, path: str
) -> None:
    task = draw(encoder, path, language="ko", suffix="ferries")
    assert (task.name, task.metric) == ("qa_ko_ferries", "f1_ko")


def test_no_article_is_on_both_sides(encoder: TextEncoder, path: str) -> None:
    test, train = (articles(draw(encoder, path, side=side)) for side in ("test", "train"))
    assert not test & train
    assert len(test | train) == ARTICLES
    assert min(len(test), len(train)) > ARTICLES / 4
    assert articles(draw(encoder, path, test_share=0.1)) < test


@pytest.mark.parametrize("most", [1, 4, 10])
def test_questions_are_few_and_spread_over_the_document(
    encoder: TextEncoder, path: str, most: int
) -> None:
    for item in draw(encoder, path, test_share=1.0, questions=most).items:
        count = int(item.id.split(" ")[1]) + 1
        places = [int(question.alternatives[0]) for question in item.questions]
        assert len(places) == min(most, count)
        assert places == sorted(set(places))
        gaps = [
            later - earlier for earlier, later in zip([-1, *places], [*places, count], strict=False)
        ]
        assert max(gaps) <= 2 * max(1, min(gaps)) + 1


def test_documents_have_the_length_asked_for(encoder: TextEncoder, path: str) -> None:
    everything = draw(encoder, path, test_share=1.0)
    lengths = sorted(len(encoder.encode(item.document)) for item in everything.items)
    low, high = lengths[10], lengths[20]
    task = draw(encoder, path, test_share=1.0, min_tokens=low, max_tokens=high)
    assert sorted(len(encoder.encode(item.document)) for item in task.items) == lengths[10:21]
    by_default = validated(Qa, {"family": "qa", "language": "en", "path": path}, "a test")
    assert by_default.min_tokens == 100
    assert by_default.test_share == 0.5


def test_same_seed_same_items_and_a_longer_run_begins_with_the_shorter(
    encoder: TextEncoder, path: str
) -> None:
    task = draw(encoder, path)
    assert task == draw(encoder, path)
    assert draw(encoder, path, limit=5).items == task.items[:5]
    other = draw(encoder, path, seed=1)
    assert articles(other) == articles(task)
    assert other.items != task.items
    assert set(other.items[0].questions) <= {q for item in task.items for q in item.questions}


def test_what_does_not_suffice_is_said(encoder: TextEncoder, path: str, tmp_path: Path) -> None:
    with pytest.raises(
        BadInputError, match=r"none of the \d+ documents .*90000 tokens to no limit"
    ):
        draw(encoder, path, min_tokens=90_000)
    with pytest.raises(BadInputError, match=r"none of the 0 documents in 'en' on the train side"):
        draw(encoder, path, side="train", test_share=1.0)
    with pytest.raises(BadInputError, match=r"cannot read .*none\.json"):
        draw(encoder, str(tmp_path / "none.json"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"side": "both"}, "'train' or 'test'"),
        ({"test_share": 2}, "test_share"),
        ({"questions": 0}, "questions"),
        ({"suffix": "two words"}, "suffix"),
        ({"sides": "test"}, "did you mean 'side'"),
    ],
)
def test_wrong_settings_are_named(
    encoder: TextEncoder, path: str, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(BadInputError, match=message):
        draw(encoder, path, **settings)
