"""Question answering files: what becomes of their records, and which record is damaged."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any, get_args

import pytest

from dnsity.data.example import Example, Question
from dnsity.data.readers.corpus import Side
from dnsity.data.readers.qa import on_side, read_qa
from dnsity.errors import BadInputError
from dnsity.io.jsonl import write_records

SIDES: tuple[Side, ...] = get_args(Side)
FERRY: dict[str, Any] = {
    "title": "Ferry",
    "paragraphs": [
        {
            "context": "The ferry left at nine. Its captain was Mara Tillow.",
            "qas": [
                {
                    "question": "When did it leave?",
                    "answers": [{"text": "nine"}, {"text": "at nine"}],
                },
                {"question": "Who was the captain?", "answers": [{"text": "Mara Tillow"}]},
            ],
        },
        {
            "context": "In winter it left at eleven.",
            "qas": [
                {
                    "question": "When did  it leave?",
                    "answers": [{"text": "eleven"}, {"text": "nine"}],
                },
                {"question": "Why?", "answers": [], "is_impossible": True},
            ],
        },
    ],
}
AT_NINE, STILL, CAPTAIN = (
    "Ferry\nIt left at nine.",
    "Mill\nIt stood still.",
    "Ferry\nIt had a captain.",
)
ROWS = [
    {"id": "1", "context": AT_NINE, "question": "when did it leave", "answers": ["nine"]},
    {"id": "2", "context": STILL, "question": "did it turn", "answers": ["no", "never"]},
    {"id": "3", "context": AT_NINE, "question": "what left", "answers": ["it"]},
    {"id": "4", "context": CAPTAIN, "question": "who", "answers": ["a captain"]},
]


def squad(path: Path, *articles: dict[str, Any]) -> Path:
    path.write_text(json.dumps({"data": articles}, ensure_ascii=False), encoding="utf-8")
    return path


def rows(path: Path, *records: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def test_paragraphs_of_an_article_are_one_document_with_all_its_questions(tmp_path: Path) -> None:
    untitled = {"paragraphs": FERRY["paragraphs"][:1]}
    first, second = read_qa(squad(tmp_path / "set.json", FERRY, untitled), "en")
    assert first == Example(
        document="The ferry left at nine. Its captain was Mara Tillow.\n\n"
        "In winter it left at eleven.",
        questions=(
            # Asked of both paragraphs: all four answers are right, each said once.
            Question("When did it leave?", "nine", "qa", ("at nine", "eleven")),
            Question("Who was the captain?", "Mara Tillow", "qa"),
        ),
        language="en",
        source="Ferry",
    )
    assert second.source == "set.json:2"


def test_articles_that_no_question_can_be_answered_from_are_left_out(tmp_path: Path) -> None:
    silent = {"title": "Mill", "paragraphs": [{"context": "It stood still.", "qas": []}]}
    found = read_qa(squad(tmp_path / "set.json", silent, FERRY), "ko")
    assert [(one.source, one.language) for one in found] == [("Ferry", "ko")]


@pytest.mark.parametrize("name", ["set.jsonl", "set.jsonl.gz"])
def test_questions_on_the_same_context_come_together(tmp_path: Path, name: str) -> None:
    path = rows(tmp_path / "set.jsonl", *ROWS)
    if name.endswith("gz"):
        packed = gzip.compress(path.read_bytes())
        path = tmp_path / name
        path.write_bytes(packed)
    found = list(read_qa(path, "en"))
    assert [(one.source, one.document) for one in found] == [
        ("Ferry", AT_NINE),
        ("Mill", STILL),
        ("Ferry", CAPTAIN),
    ]
    assert [question.answer for question in found[0].questions] == ["nine", "it"]
    assert found[1].questions[0].alternatives == ("never",)


def test_example_records_in_the_language_are_read_as_they_are(tmp_path: Path) -> None:
    asked = (Question("Who?", "Mara", "fact:person", ("Mara Tillow",)),)
    examples = [
        Example("The ferry was Mara's.", asked, "en", "a"),
        Example("나룻배는 마라의 것이었다.", asked, "ko", "b"),
        Example("Nothing is asked about it.", (), "en", "c"),
    ]
    path = tmp_path / "mine.jsonl"
    write_records(path, (example.to_record() for example in examples))
    assert list(read_qa(path, "en")) == examples[:1]
    assert list(read_qa(path, "ko")) == examples[1:2]


def test_an_article_is_on_one_side_whatever_file_it_came_from(tmp_path: Path) -> None:
    articles = [{**FERRY, "title": f"Ferry {number}"} for number in range(60)]
    forward = list(read_qa(squad(tmp_path / "a.json", *articles), "en"))
    backward = list(read_qa(squad(tmp_path / "b.json", *reversed(articles)), "en"))
    test = {one.source for one in on_side(forward, "test", 0.5)}
    train = {one.source for one in on_side(backward, "train", 0.5)}
    assert not test & train
    assert len(test | train) == 60
    assert 15 < len(test) < 45
    assert len(list(on_side(forward, "test", 1.0))) == 60
    assert not list(on_side(forward, "test", 0.0))
    passages = list(read_qa(rows(tmp_path / "c.jsonl", *ROWS), "en"))
    sides = [{one.source for one in on_side(passages, side, 0.5)} for side in SIDES]
    assert not sides[0] & sides[1]  # the ferry's two passages stay together


def damaged(**changes: Any) -> dict[str, Any]:
    """The ferry's article, whose second paragraph has a damaged first question."""
    first, second = FERRY["paragraphs"]
    asked = {**second["qas"][0], **changes}
    asked = {name: value for name, value in asked.items() if value is not None}
    return {**FERRY, "paragraphs": [first, {**second, "qas": [asked]}]}


@pytest.mark.parametrize(
    ("article", "message"),
    [
        (damaged(question=None), "article 1 paragraph 2 question 1: question must be text"),
        (damaged(answers="nine"), "question 1: answers must be a list; found str"),
        (damaged(answers=[{"answer": "nine"}]), "question 1: text must be text; found only answer"),
        (damaged(answers=["nine"]), "question 1: text must be text; found only str"),
        ({"title": "Ferry"}, "article 1: paragraphs must be a list; found only title"),
        ({"paragraphs": [{"qas": []}]}, "article 1 paragraph 1: context must be text; found only"),
        ({"paragraphs": ["text"]}, "article 1 paragraph 1: context must be text"),
    ],
)
def test_a_damaged_article_is_named(tmp_path: Path, article: dict[str, Any], message: str) -> None:
    path = squad(tmp_path / "bad.json", article)
    with pytest.raises(BadInputError) as caught:
        list(read_qa(path, "en"))
    assert str(caught.value).startswith(str(path))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"answers": []}, "record 2: answers must be texts, at least one"),
        ({"answers": [""]}, "record 2: answers must be texts, at least one"),
        ({"answers": ["nine", 9]}, "record 2: answers must be texts"),
        ({"answers": "nine"}, "record 2: answers must be a list; found str"),
        ({"question": None}, "record 2: question must be text"),
        ({"context": 5}, "record 2: context must be text; found int"),
    ],
)
def test_a_damaged_record_is_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = rows(tmp_path / "bad.jsonl", ROWS[0], {**ROWS[1], **change})
    with pytest.raises(BadInputError) as caught:
        list(read_qa(path, "en"))
    assert str(caught.value).startswith(str(path))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("bad.json", b'{"data": [\n{"title": }]}', "line 2 is not JSON"),
        ("bad.json", b"[" * 100_000, "is not JSON"),
        ("bad.json", b"[]", "data must be a list; found only list"),
        ("bad.json", b'{"version": 1}', "data must be a list; found only version"),
        ("bad.json", "나루".encode("cp949"), "not UTF-8"),
        ("bad.jsonl", b"", "is empty"),
        ("bad.jsonl", b'{"context": \n', "line 1 is not JSON"),
        ("bad.jsonl", b'{"text": "a"}\n', "record 1: not an example record"),
        ("bad.txt", b"question,answer\n", ".json (SQuAD), .jsonl and .csv (FairytaleQA)"),
    ],
)
def test_an_unreadable_file_is_named(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(BadInputError) as caught:
        list(read_qa(path, "en"))
    assert str(path) in str(caught.value)
    assert message in str(caught.value)


@pytest.mark.parametrize("name", ["none.json", "none.jsonl"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInputError, match=f"cannot read .*{name}"):
        list(read_qa(tmp_path / name, "en"))
