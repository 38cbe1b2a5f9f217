"""Exam questions must have exactly one right choice, and wrong files must be refused by place."""

from __future__ import annotations

import csv
import json
import logging
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dnsity.data.example import Example, Question
from dnsity.data.readers import exams
from dnsity.errors import BadInputError

SHARED = Path(__file__).parents[4] / "shared" / "data" / "exams"

Row = dict[str, Any]

RIVER: Row = {
    "question": "나루의 깊이는?",
    "choices": ["3미터", "5미터", "7미터"],
    "answer": "5미터",
    "document": "river.txt",
}


def write_json(path: Path, rows: list[Any]) -> Path:
    path.write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    return path


def write_jsonl(path: Path, rows: list[Any]) -> Path:
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def write_csv(path: Path, rows: list[Row]) -> Path:
    names = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        for row in rows:
            writer.writerow(
                {
                    name: json.dumps(value, ensure_ascii=False) if name == "choices" else value
                    for name, value in row.items()
                }
            )
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    inner = tmp_path / "exam"
    inner.mkdir()
    (inner / "river.txt").write_text("나루의 깊이는 5미터이다.\n", encoding="utf-8")
    (tmp_path / "secret.txt").write_text("비밀", encoding="utf-8")
    return inner


# --- the bundled set ---


@pytest.fixture(scope="module")
def bundled() -> list[Example]:
    return list(exams.open_book())


def questions(examples: list[Example]) -> list[Question]:
    return [question for example in examples for question in example.questions]


def test_every_bundled_document_is_long_and_has_many_questions(bundled: list[Example]) -> None:
    assert len(bundled) >= 8
    for example in bundled:
        hangul = len(re.findall("[가-힣]", example.document))
        assert hangul >= 2600, example.source
        assert len(example.questions) >= 8, example.source
        assert example.language == "ko"
    assert len(questions(bundled)) >= 64
    assert len({example.source for example in bundled}) == len(bundled)


def test_every_bundled_question_has_four_choices_and_one_is_right(bundled: list[Example]) -> None:
    for question in questions(bundled):
        assert len(question.choices) == 4
        assert len(set(question.choices)) == 4
        assert question.choices.count(question.answer) == 1
    assert len({question.text for question in questions(bundled)}) == len(questions(bundled))


def test_the_evidence_stands_once_and_verbatim_in_the_document(bundled: list[Example]) -> None:
    for example in bundled:
        evidence = example.details["evidence"]
        assert isinstance(evidence, list)
        assert len(evidence) == len(example.questions)
        for span in evidence:
            assert isinstance(span, str)
            assert span
            assert example.document.count(span) == 1, span


def test_right_answers_stand_evenly_in_all_places(bundled: list[Example]) -> None:
    places = Counter(question.choices.index(question.answer) for question in questions(bundled))
    assert max(places.values()) - min(places[place] for place in range(4)) <= 1
    for example in bundled:
        within = Counter(question.choices.index(question.answer) for question in example.questions)
        assert max(within.values()) <= len(example.questions) / 2, example.source


def guessed(asked: list[Question], key: Callable[[str], float]) -> float:
    """Share of right answers when the choice with the greatest key is taken, by lot if several."""
    hits = 0.0
    for question in asked:
        best = max(map(key, question.choices))
        taken = [choice for choice in question.choices if key(choice) == best]
        hits += (question.answer in taken) / len(taken)
    return hits / len(asked)


def test_length_does_not_give_the_answer_away(bundled: list[Example]) -> None:
    assert guessed(questions(bundled), key=len) <= 0.4
    assert guessed(questions(bundled), key=lambda choice: -len(choice)) <= 0.4


def test_size_does_not_give_a_numeric_answer_away(bundled: list[Example]) -> None:
    """Neither the smallest number, nor the largest, nor one between is right too often."""
    plain = re.compile(r"([\d,]+)(만 ?원|원|일|점|년 이상|명|권)")
    ranks: Counter[int] = Counter()
    for question in questions(bundled):
        numbers = [plain.fullmatch(choice) for choice in question.choices]
        if all(numbers):
            sizes = [int(number[1].replace(",", "")) for number in numbers if number]
            ranks[sorted(sizes).index(sizes[question.choices.index(question.answer)])] += 1
    assert sum(ranks.values()) >= 30
    assert max(ranks.values()) <= 0.4 * sum(ranks.values())


def test_kinds_of_bundled_questions_can_be_told_apart(bundled: list[Example]) -> None:
    kinds = Counter(question.kind for question in questions(bundled))
    wanted = "number deadline exception who condition negative compute".split()
    assert set(kinds) == {f"exam:open_book:{name}" for name in wanted}
    assert min(kinds.values()) >= 7


# --- own questions ---


def test_csv_json_and_jsonl_give_the_same_examples(folder: Path) -> None:
    rows: list[Row] = [
        {**RIVER, "id": "r1", "subject": "하천", "evidence": "5미터이다", "kind": "number"},
        {"question": '"법", 이란?', "choices": ["규범", "관습, 뿐"], "answer": "2", "id": "c1"},
        {**RIVER, "question": "다시,\n깊이는?", "answer": 2, "id": "r2"},
        {
            "question": "언제?",
            "choices": ["봄", "가을"],
            "answer": "가을",
            "document_text": "축제는 가을에 연다.",
        },
    ]
    read = [
        list(exams.own(write(folder / f"mine.{form}", rows)))
        for form, write in (("csv", write_csv), ("json", write_json), ("jsonl", write_jsonl))
    ]
    assert read[0] == read[1] == read[2]
    river, closed, inline = read[0]
    assert river.document == "나루의 깊이는 5미터이다.\n"
    assert river.source == "river.txt"
    assert [question.answer for question in river.questions] == ["5미터", "5미터"]
    assert [question.kind for question in river.questions] == ["exam:own:number", "exam:own"]
    assert river.details == {
        "ids": ["r1", "r2"],
        "subjects": ["하천", ""],
        "evidence": ["5미터이다", ""],
    }
    assert closed.document == ""
    assert closed.questions[0].answer == "관습, 뿐"
    assert inline.document == "축제는 가을에 연다."
    assert inline.details["ids"] == ["4"]


def test_csv_may_hold_choices_in_columns(folder: Path) -> None:
    path = folder / "columns.csv"
    path.write_text(
        "question,choice_1,choice_2,choice_3,answer\n하나?,가,나,다,3\n둘?,가,나,,나\n",
        encoding="utf-8-sig",
    )
    first, second = exams.own(path)
    assert first.questions[0].choices == ("가", "나", "다")
    assert first.questions[0].answer == "다"
    assert second.questions[0].choices == ("가", "나")
    assert second.questions[0].answer == "나"


def test_examples_survive_a_round_trip_through_json(folder: Path) -> None:
    for example in exams.own(write_json(folder / "mine.json", [RIVER])):
        record = json.loads(json.dumps(example.to_record()))
        assert Example.from_record(record, "here") == example


MALFORMED: dict[str, tuple[Row, str]] = {
    "no question": ({"question": None}, "question is missing"),
    "blank question": ({"question": "  "}, "question is missing"),
    "no answer": ({"answer": ""}, "answer is missing"),
    "no choices": ({"choices": None}, "at least 2"),
    "one choice": ({"choices": ["5미터"]}, "at least 2"),
    "equal choices": ({"choices": ["5미터", "3미터", "5미터"]}, "different"),
    "choices equal but for space": ({"choices": ["5미터", "5미터 "]}, "different"),
    "empty choice": ({"choices": ["5미터", ""]}, "at least 2 different"),
    "answer is no choice": ({"answer": "9미터"}, "no choice; allowed are 3미터 / 5미터 / 7미터"),
    "number too large": ({"answer": "4"}, "no choice"),
    "number zero": ({"answer": "0"}, "no choice"),
    "ambiguous answer": ({"choices": ["2", "1"], "answer": "2"}, "number of another"),
    "missing document": ({"document": "sea.txt"}, "sea.txt cannot be read"),
    "document is a folder": ({"document": "."}, "cannot be read"),
    "two documents": ({"document_text": "강"}, "keep one"),
    "evidence not verbatim": ({"evidence": "5 미터이다"}, "evidence"),
    "escape upwards": ({"document": "../secret.txt"}, "outside"),
    "escape by a detour": ({"document": "deep/../../secret.txt"}, "outside"),
    "escape by an absolute path": ({"document": "/etc/hostname"}, "outside"),
}


@pytest.mark.parametrize("form", ["csv", "json", "jsonl"])
@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_row_is_named(folder: Path, case: str, form: str) -> None:
    change, message = MALFORMED[case]
    write = {"csv": write_csv, "json": write_json, "jsonl": write_jsonl}[form]
    path = write(folder / f"bad.{form}", [RIVER, {**RIVER, **change}])
    with pytest.raises(BadInputError) as caught:
        list(exams.own(path))
    place = "row 3" if form == "csv" else "record 2"
    assert str(caught.value).startswith(f"{path} {place}")
    assert message in str(caught.value)


@pytest.mark.parametrize("name", ["question", "choices", "answer"])
def test_a_field_absent_from_the_whole_file_is_named(folder: Path, name: str) -> None:
    row = {key: value for key, value in RIVER.items() if key != name}
    for path in (
        write_csv(folder / "bad.csv", [row]),
        write_json(folder / "bad.json", [row]),
        write_jsonl(folder / "bad.jsonl", [row]),
    ):
        with pytest.raises(BadInputError, match=f"{path.name} (row 2|record 1): {name} "):
            list(exams.own(path))


def test_a_link_out_of_the_folder_is_refused(folder: Path) -> None:
    (folder / "link.txt").symlink_to(folder.parent / "secret.txt")
    path = write_json(folder / "bad.json", [{**RIVER, "document": "link.txt"}])
    with pytest.raises(BadInputError, match=r"record 1: document 'link\.txt' is outside"):
        list(exams.own(path))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("bad.csv", "question,answer\n깊이는?,하나\n".encode("cp949"), "line 2 is not UTF-8"),
        ("bad.json", '["깊이"]'.encode("cp949"), "line 1 is not UTF-8"),
        ("bad.jsonl", '{"question": "깊이"}\n'.encode("cp949"), "line 1 is not UTF-8"),
        ("bad.csv", b"question,answer\na,b,c\n", "row 2 is no CSV"),
        ("bad.csv", b'question,answer\n"c,d\n', "row 2 is no CSV"),
        ("bad.csv", b"question,answer\n", "no questions"),
        ("bad.csv", b"", "is empty"),
        ("bad.json", b'[\n{"question": }]', "line 2 is not JSON"),
        ("bad.json", b"[" + b"1" * 5000 + b"]", "is not JSON"),
        ("bad.json", b'{"question": "a"}', "is a JSON dict; write a list"),
        ("bad.json", b"[]", "no questions"),
        ("bad.json", b"[1]", "record 1 is no object"),
        ("bad.jsonl", b'{"question": \n', "line 1 is not JSON"),
        ("bad.jsonl", b"[1]\n", "line 1 is a JSON list"),
        ("bad.jsonl", b"", "no questions"),
        ("bad.xlsx", b"PK", "csv, .json and .jsonl"),
    ],
)
def test_an_unreadable_file_is_named(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(BadInputError, match=re.escape(message)) as caught:
        list(exams.own(path))
    assert str(path) in str(caught.value)


def test_a_document_in_another_encoding_or_without_text_is_named(folder: Path) -> None:
    path = write_json(folder / "bad.json", [RIVER])
    (folder / "river.txt").write_bytes("나루의 깊이".encode("cp949"))
    with pytest.raises(BadInputError, match=r"record 1: the document .*river\.txt.* not UTF-8"):
        list(exams.own(path))
    (folder / "river.txt").write_text(" \n", encoding="utf-8")
    with pytest.raises(BadInputError, match=r"record 1: the document .*river\.txt is empty"):
        list(exams.own(path))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    for name in ("none.csv", "none.json", "none.jsonl"):
        with pytest.raises(BadInputError, match=name):
            list(exams.own(tmp_path / name))


# --- CLIcK ---

CLICK = [
    {
        "id": "PSAT_19_3",
        "paragraph": "",
        "question": "옳은 것은?",
        "choices": ["2", "1", "3", "4"],
        "answer": "2",
    },
    {
        "id": "PSAT_21_1",
        "paragraph": "나루의 법은 오래되었다.",
        "question": "법은 어떠한가?",
        "choices": ["새롭다", "오래되었다"],
        "answer": "오래되었다",
    },
    {
        "id": "PSAT_21_2",
        "paragraph": "나루의 법은 오래되었다.",
        "question": "무엇이 오래되었는가?",
        "choices": ["법", "배"],
        "answer": "법",
    },
    {
        "id": "KHB_51_3",
        "paragraph": "",
        "question": "누구인가?",
        "choices": ["갑", "을"],
        "answer": "을",
    },
]


def test_click_questions_on_one_paragraph_come_together(tmp_path: Path) -> None:
    closed, opened, undated = exams.click(write_json(tmp_path / "click_law_psat.json", CLICK))
    assert closed.document == ""
    assert closed.questions[0].kind == "exam:click_law"
    assert closed.questions[0].answer == "2"  # the text, though it is a number too
    assert closed.details == {"ids": ["PSAT_19_3"], "subjects": ["law"], "year": 2019}
    assert opened.document == "나루의 법은 오래되었다."
    assert [question.answer for question in opened.questions] == ["오래되었다", "법"]
    assert opened.details["ids"] == ["PSAT_21_1", "PSAT_21_2"]
    assert opened.details["year"] == 2021
    assert "year" not in undated.details  # the number of a round is no year


def test_click_refuses_an_answer_that_is_no_choice(tmp_path: Path) -> None:
    path = write_json(tmp_path / "click_law.json", [CLICK[0], {**CLICK[1], "answer": "1"}])
    with pytest.raises(BadInputError, match=r"click_law\.json record 2: answer '1' is no choice"):
        list(exams.click(path))


@pytest.mark.skipif(not SHARED.is_dir(), reason="the CLIcK files are not here")
@pytest.mark.parametrize(
    ("name", "kind", "count"),
    [
        ("click_law_psat.json", "exam:click_law", 84),
        ("click_history_pse.json", "exam:click_history", 95),
    ],
)
def test_the_real_click_files_are_read_whole(name: str, kind: str, count: int) -> None:
    asked = questions(list(exams.click(SHARED / name)))
    assert len(asked) == count
    assert all(question.kind == kind and len(question.choices) == 4 for question in asked)
    assert all("year" in example.details for example in exams.click(SHARED / name))


# --- KMMLU ---


def kmmlu_row(category: str, **changes: Any) -> Row:
    row = {"question": f"{category}?", "answer": 3, "A": "가", "B": "나", "C": "다", "D": "라"}
    return {**row, "Category": category, "Human Accuracy": 0.5, **changes}


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_kmmlu_keeps_the_subjects_of_civil_service_exams(tmp_path: Path, form: str) -> None:
    write = {"csv": write_csv, "jsonl": write_jsonl}[form]
    names = "Law|Accounting|Public Safety|Korean-History|Political-Science-and-Sociology".split("|")
    path = write(tmp_path / f"all-test.{form}", [kmmlu_row(name) for name in names])
    examples = list(exams.kmmlu(path))
    assert [example.questions[0].kind for example in examples] == [
        "exam:kmmlu_law",
        "exam:kmmlu_public_safety",
        "exam:kmmlu_korean_history",
        "exam:kmmlu_political_science_and_sociology",
    ]
    for example in examples:
        assert example.document == ""
        assert example.questions[0].answer == "다"
        assert example.questions[0].choices == ("가", "나", "다", "라")
    assert examples[1].details == {"ids": ["all-3"], "subjects": ["Public Safety"]}
    assert len(list(exams.kmmlu(path, subjects=["accounting"]))) == 1
    assert len(list(exams.kmmlu(path, subjects=None))) == 5


def test_kmmlu_takes_the_subject_from_the_file_where_the_row_names_none(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "Korean-History-test.csv", [kmmlu_row("")])
    (example,) = exams.kmmlu(path)
    assert example.questions[0].kind == "exam:kmmlu_korean_history"


def test_kmmlu_skips_what_cannot_be_scored_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [kmmlu_row("Law"), kmmlu_row("Law", B="가"), kmmlu_row("Law", D="")]
    path = write_csv(tmp_path / "Law-test.csv", rows)
    with caplog.at_level(logging.WARNING):
        assert len(list(exams.kmmlu(path))) == 1
    assert "skipped 2 rows" in caplog.text


@pytest.mark.parametrize("answer", [0, 5, "다", ""])
def test_kmmlu_refuses_an_answer_that_names_no_choice(tmp_path: Path, answer: object) -> None:
    path = write_csv(tmp_path / "Law-test.csv", [kmmlu_row("Law", answer=answer)])
    with pytest.raises(BadInputError, match=r"Law-test\.csv row 2: answer"):
        list(exams.kmmlu(path))


def test_kmmlu_refuses_a_file_on_other_subjects(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "Math-test.csv", [kmmlu_row("Math")])
    with pytest.raises(BadInputError, match=r"Law.*ask for what it holds: Math"):
        list(exams.kmmlu(path))


# --- by name ---


def test_load_finds_the_reader(tmp_path: Path, bundled: list[Example]) -> None:
    assert list(exams.load("open_book")) == bundled
    click = write_json(tmp_path / "click_law.json", CLICK)
    assert list(exams.load(f"click:{click}")) == list(exams.click(click))
    kmmlu = write_csv(tmp_path / "Law-test.csv", [kmmlu_row("Law")])
    assert list(exams.load(f"kmmlu:{kmmlu}")) == list(exams.kmmlu(kmmlu))
    mine = write_json(tmp_path / "mine.json", [{**RIVER, "document": ""}])
    assert list(exams.load(str(mine))) == list(exams.own(mine))
