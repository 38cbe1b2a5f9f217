"""Stories in FairytaleQA's form: the whole story, in order, once; and which row is damaged."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from dnsity.data.example import Question
from dnsity.data.readers.qa import read_qa
from dnsity.data.readers.stories import whole_story
from dnsity.errors import BadInputError

HEADER = (
    "story_name story_section question answer1 answer2 local_or_sum attribute ex_or_im ex_or_im2"
).split()
MILL = "once a miller lived beside a slow green river . he owned one grey cat and no money at all ."
FLOOD = "one spring the river rose over its banks and carried the great wheel far down the valley ."
CAT = 'the cat , who could swim , called out : " follow me , miller ! " and he found the wheel .'
FEAST = (
    "they rolled it home by moonlight , and the whole village danced until the lamps burned out ."
)


def stories(path: Path, *rows: tuple[str, ...], header: list[str] = HEADER) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        for row in rows:
            writer.writerow([*row, *["local", "action", "explicit", "explicit"]][: len(header)])
    return path


def test_a_story_is_one_document_and_both_answers_are_right(tmp_path: Path) -> None:
    path = stories(
        tmp_path / "set.csv",
        ("the-mill", MILL, "who lived by the river ?", "a miller .", "the miller ."),
        ("the-mill", FLOOD, "what did the river carry off ?", "the wheel .", "the wheel ."),
        ("the-feast", FEAST, "who danced ?", "the village .", ""),
        ("the-mill", MILL, "what did he own ?", "a cat .", "one grey cat ."),
    )
    mill, feast = read_qa(path, "en")
    assert (mill.source, mill.document) == ("the-mill", f"{MILL}\n\n{FLOOD}")
    assert mill.questions == (
        Question("who lived by the river ?", "a miller .", "qa", ("the miller .",)),
        Question("what did the river carry off ?", "the wheel .", "qa"),
        Question("what did he own ?", "a cat .", "qa", ("one grey cat .",)),
    )
    assert (feast.source, feast.document, feast.language) == ("the-feast", FEAST, "en")
    assert feast.questions[0].alternatives == ()


@pytest.mark.parametrize(
    "sections",
    [
        (MILL, FLOOD, CAT, FEAST),
        (MILL, FLOOD, f"{FLOOD} {CAT}", CAT, MILL, FEAST),  # a question on two sections
        (f"{MILL} {FLOOD}", FLOOD, f"{CAT} {FEAST}", CAT),  # in which the others are
        (MILL, FLOOD, CAT, f"{MILL} {CAT}", FEAST),  # two sections that are not adjacent
        (f"{MILL} {FLOOD}", f"{FLOOD} {CAT}", f"{CAT} {FEAST}"),  # none of them alone
        (MILL, f"{FLOOD} {CAT}", f"{CAT} {FEAST}"),
        (FLOOD, f"{MILL} {FLOOD}", CAT, FEAST),  # what comes before is known later
        (f" {MILL} ", FLOOD.replace(" ", "  "), CAT, FEAST),
    ],
)
def test_every_passage_comes_once_and_in_its_place(sections: tuple[str, ...]) -> None:
    assert whole_story(sections) == "\n\n".join([MILL, FLOOD, CAT, FEAST])


def test_a_quoted_section_may_have_several_lines_and_the_file_a_mark(tmp_path: Path) -> None:
    path = tmp_path / "set.csv"
    cell = f"{MILL}\r\n  {FLOOD}\r\n".replace('"', '""')
    text = f'{",".join(HEADER)}\r\nmill,"{cell}",who ?,"a ""grey"" miller",,local,a,e,e\r\n'
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    (story,) = read_qa(path, "en")
    assert story.document == f"{MILL}\n{FLOOD}"
    assert story.questions == (Question("who ?", 'a "grey" miller', "qa"),)


def test_only_four_columns_are_needed(tmp_path: Path) -> None:
    rows = [("mill", MILL, "who ?", "a miller")]
    (story,) = read_qa(stories(tmp_path / "set.csv", *rows, header=HEADER[:4]), "en")
    assert story.questions == (Question("who ?", "a miller", "qa"),)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "has no column story_name; needed are story_name, story_section, question, answer1"),
        (b"story_name,question,answer1\n", "has no column story_section"),
        (b"story_name,story_section,question,answer1\n", "has a header but no rows"),
        (b"story_name,story_section,question,answer1\na,b,c,d\na,b,,d\n", "row 2: question is"),
        (b"story_name,story_section,question,answer1\na,b,c\n", "row 1: answer1 is empty"),
        (b"story_name,story_section,question,answer1\na,b,c,d,e\n", "row 1 has more cells"),
        (b'story_name,story_section,question,answer1\na,b,c,d\na,"b', "row 2 is not CSV"),
        ("story_name,나루".encode("cp949"), "is not UTF-8"),
    ],
)
def test_a_damaged_file_is_named_with_its_row(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_bytes(content)
    with pytest.raises(BadInputError) as refused:
        list(read_qa(path, "en"))
    assert str(refused.value).startswith(str(path))
    assert said in str(refused.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"cannot read .*none\.csv"):
        list(read_qa(tmp_path / "none.csv", "en"))
