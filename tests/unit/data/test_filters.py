"""Filters must keep what is sound, name why they drop the rest, and count it."""

from __future__ import annotations

from collections import Counter

import pytest

from dnsity.data.example import Language, Question
from dnsity.data.generators.filters import (
    filter_questions,
    grounded,
    normalise,
)

DOCUMENT = (
    "The lighthouse keeper Mara Quill lit the lamp at 19:40 every evening. She counted 2,350 "
    "ships in her logbook before the station closed in 1974."
)
KOREAN = (
    "등대지기 문가람은 매일 저녁 등불을 켰다. 1974년에 문을 닫을 때까지 배 2,350척을 기록하였다."
)


def made(text: str, answer: str, kind: str = "model:factual") -> Question:
    return Question(text, answer, kind)


def run(questions: list[Question], language: Language = "en") -> tuple[list[str], dict[str, int]]:
    rejects: Counter[str] = Counter()
    document = DOCUMENT if language == "en" else KOREAN
    kept = filter_questions(questions, document, language, rejects=rejects)
    return [question.text for question in kept], dict(rejects)


def test_sound_questions_pass_in_order() -> None:
    texts, rejects = run(
        [made("Who lit the lamp?", "Mara Quill"), made("How many ships?", "2,350")]
    )
    assert texts == ["Who lit the lamp?", "How many ships?"]
    assert rejects == {}


def test_each_reason_is_counted() -> None:
    texts, rejects = run(
        [
            made("Who lit the lamp?", "Mara Quill"),
            made("who lit the lamp", "Mara Quill"),
            made("Who lit the lamp there?", "Mara  Quill."),
            made("Who painted the door?", "Jonas Verhoeven"),
            made("How many ships?", "2,360 ships"),
            made("  ", "Mara Quill"),
            made("When?", " ?! "),
        ]
    )
    assert texts == ["Who lit the lamp?"]
    assert rejects == {"duplicate": 1, "near_duplicate": 1, "unsupported": 2, "empty": 2}


def test_like_questions_with_different_answers_both_stay() -> None:
    texts, _ = run(
        [made("When did the station open?", "19:40"), made("When did the station close?", "1974")]
    )
    assert len(texts) == 2


@pytest.mark.parametrize(
    ("answer", "kind", "sound"),
    [
        ("문가람", "model:factual", True),
        ("2350척", "model:factual", True),
        ("2360척", "model:factual", False),
        ("김아무개", "model:factual", False),
        ("등대지기가 저녁마다 등불을 켰습니다", "model:summary", True),
        ("선장이 항구에서 고래를 보았습니다", "model:summary", False),
    ],
)
def test_korean_answers_are_judged_in_spite_of_particles(
    answer: str, kind: str, sound: bool
) -> None:
    assert grounded(made("?", answer, kind), KOREAN, "ko") == sound


def test_a_summary_may_rephrase_where_a_fact_may_not() -> None:
    answer = "Mara Quill lit the lamp nightly and counted ships"
    assert grounded(made("?", answer, "model:summary"), DOCUMENT, "en")
    assert not grounded(made("?", "Quill climbed a tower", "model:factual"), DOCUMENT, "en")


def test_normalise_folds_width_case_and_punctuation() -> None:
    assert normalise(" The ＱＵＩＬＬ's  lamp. ") == "quill s lamp"
