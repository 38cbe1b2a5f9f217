"""Rule questions must follow from their document, have one right answer, and repeat exactly."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import dnsity.cli
from dnsity.data.example import Language, Question
from dnsity.data.generators.en import facts as facts_en
from dnsity.data.generators.ko import facts as facts_ko
from dnsity.data.generators.rules.check import supported
from dnsity.data.generators.rules.questions import rule_questions

DEMO = Path(dnsity.cli.__file__).parent / "demo_documents"
ENGLISH = """\
The Brightwater Observatory

History

The Brightwater Observatory was founded in 1887 by wealthy grain merchants. Astronomer Ruth \
Calloway directed the observatory for 31 years and published the journal "Northern Meridian" from \
a cottage beside the dome. In 1912, Ruth Calloway discovered a faint comet near Cassiopeia.

Instruments

The great refractor weighs 4,800 kilograms and was polished by lens maker Edwin Marsh in a \
converted dairy. Visitors in France copied the mounting after seeing drawings of the bronze gears. \
The workshop stocks spare parts including springs, gears, mirrors and screws.

Visitors

Guided tours attract 650 schoolchildren every spring and always end beneath the copper roof. \
A pamphlet called "Stars for Shepherds" explains the constellations to beginners in rhyme. \
The garden was planted by volunteers on 9 May 1954 with heather, thyme and silver birches.
"""
KOREAN = """\
한울천문대

한울천문대(天文臺)는 1962년 3월 5일에 언덕 위 옛 봉수대 자리에서 문을 열었다.
초대 대장 서문결은 1971년에 혜성 관측 일지를 정리한 책 《밤의 기록》을 출판하였다.
천문대는 지름이 다른 망원경 17대를 갖추고 있으며 해마다 부품을 새로 교체한다.
전시실에는 운석 견본 240개가 진열되었고 안내원이 설명을 맡았다.
기념품 가게는 별자리판, 엽서, 돋보기, 나침반 등을 어린이에게 판매한다.
한울천문대 둘레길은 1998년에 주민 모임이 손수 다듬어 완공하였다.
한울천문대 관측실은 겨울철 맑은 밤마다 시민에게 무료로 개방된다.
"""
DOCUMENTS: list[tuple[str, str, Language]] = [
    (ENGLISH, "The Brightwater Observatory", "en"),
    (KOREAN, "한울천문대", "ko"),
    ((DEMO / "handbook_en.txt").read_text(encoding="utf-8"), "", "en"),
    ((DEMO / "notice_ko.txt").read_text(encoding="utf-8"), "", "ko"),
]


def ask(document: str, title: str, language: Language, seed: int = 0) -> list[Question]:
    rng = random.Random(seed)
    return rule_questions(document, title=title, language=language, rng=rng, limit=40)


def of_kind(questions: list[Question], kind: str) -> list[Question]:
    return [question for question in questions if question.kind.startswith(kind)]


@pytest.mark.parametrize(("document", "title", "language"), DOCUMENTS)
def test_every_question_is_borne_out_by_its_document_and_by_no_other(
    document: str, title: str, language: Language
) -> None:
    questions = [each for seed in range(5) for each in ask(document, title, language, seed)]
    assert questions
    for question in questions:
        assert supported(question, document, language, title), question
        assert not supported(question, "Nothing here. " * 30, language, title), question


@pytest.mark.parametrize(("document", "title", "language"), DOCUMENTS)
def test_a_wrong_answer_is_never_supported(document: str, title: str, language: Language) -> None:
    other = {"Yes": "No", "No": "Yes", "예": "아니요", "아니요": "예"}
    for question in ask(document, title, language):
        wrong = replace(question, answer=other.get(question.answer, "zzz"), alternatives=())
        assert not supported(wrong, document, language, title), question


@pytest.mark.parametrize(("document", "title", "language"), DOCUMENTS)
def test_same_seed_same_questions_and_another_seed_differs(
    document: str, title: str, language: Language
) -> None:
    assert ask(document, title, language, 1) == ask(document, title, language, 1)
    assert ask(document, title, language, 1) != ask(document, title, language, 2)


def test_questions_do_not_depend_on_the_order_of_sets() -> None:
    code = (
        "import random, sys; from dnsity.data.generators.rules.questions import rule_questions; "
        "print(rule_questions(sys.argv[1], language='en', rng=random.Random(1), limit=9))"
    )
    outputs = [
        subprocess.run(
            [sys.executable, "-c", code, ENGLISH],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    ]
    assert outputs[0] == outputs[1]
    assert outputs[0].count(b"Question(") == 9


def test_limit_is_kept_and_no_question_comes_twice() -> None:
    for limit in range(6):
        made = rule_questions(ENGLISH, title="", language="en", rng=random.Random(3), limit=limit)
        assert len(made) == limit
        assert len({question.text for question in made}) == limit


def test_english_kinds_and_answers() -> None:
    questions = [each for seed in range(12) for each in ask(*DOCUMENTS[0], seed)]
    answers = {(question.kind, question.answer) for question in questions}
    assert ("title", "The Brightwater Observatory") in answers
    assert ("section:next", "Visitors") in answers
    assert ("list:count", "4") in answers or ("list:next", "mirrors") in answers
    assert ("cloze:date", "9 May 1954") in answers
    assert ("cloze:name", "Edwin Marsh") in answers
    assert ("cloze:term", "Stars for Shepherds") in answers
    assert ("fact:year", "1912") in answers
    assert {answer for kind, answer in answers if kind == "yesno"} == {"Yes", "No"}


def test_korean_kinds_and_answers() -> None:
    questions = [each for seed in range(12) for each in ask(*DOCUMENTS[1], seed)]
    answers = {(question.kind, question.answer) for question in questions}
    assert ("cloze:term", "밤의 기록") in answers
    assert ("list:count", "4") in answers or ("list:next", "나침반") in answers
    assert ("cloze:number", "240") in answers or ("fact:number", "240개") in answers
    assert any(kind == "fact:year" for kind, _ in answers)
    assert {answer for kind, answer in answers if kind == "yesno"} == {"예", "아니요"}


def test_false_statements_differ_from_the_document_in_one_place() -> None:
    for document, title, language in DOCUMENTS[:2]:
        flat = " ".join(document.split())
        for seed in range(12):
            for question in of_kind(ask(document, title, language, seed), "yesno"):
                statement = question.text.split("? ", 1)[1]
                assert (statement in flat) == (question.answer == question.choices[0])


def test_blanked_sentence_does_not_hold_its_answer() -> None:
    for document, title, language in DOCUMENTS:
        for question in of_kind(ask(document, title, language), "cloze:"):
            assert question.text.count("____") == 1
            assert question.answer not in question.text.split("? ", 1)[-1]


def test_damaged_sentences_are_not_asked_about() -> None:
    broken = (
        "The ferry crossed in 1931 with formula_12 passengers aboard in heavy fog near Ulsby.\n"
        "The captain Ada Lindqvist of , wrote 45 letters to the harbour board about fresh paint.\n"
        'The crew read "Tides and Timber by lamplight while 27 barrels rolled across wet planks.'
    )
    assert ask(broken, "", "en") == []


def test_a_sentence_with_a_twin_is_not_blanked() -> None:
    twins = (
        "The northern quarry shipped 450 granite blocks to Millport harbour during summer.\n"
        "The northern quarry shipped 720 granite blocks to Millport harbour during winter."
    )
    assert of_kind(ask(twins, "", "en"), "cloze:") == []
    assert of_kind(ask(twins, "", "en"), "yesno") == []


def test_lists_written_as_lines_are_counted() -> None:
    lines = "Bring to the camp:\n- a lantern\n- two blankets\n- a tin mug\n- dry socks\n"
    questions = [each for seed in range(6) for each in ask(lines, "", "en", seed)]
    answers = {question.answer for question in questions}
    assert "4" in answers
    assert answers & {"a tin mug", "dry socks"}


@pytest.mark.parametrize(
    ("sentence", "question", "answer"),
    [
        (
            "Iris Vane (3 May 1871 – 9 June 1940) was a Danish painter.",
            "When did Iris Vane die?",
            "9 June 1940",
        ),
        (
            "The Corin Bridge was built in 1903 by two brothers.",
            "In which year was the Corin Bridge built?",
            "1903",
        ),
        (
            "In 1950, Dover Mills became the largest employer of Ashby.",
            "In which year did Dover Mills become the largest employer of Ashby?",
            "1950",
        ),
        (
            "The Assembly of Tarn has 33 seats, all elected.",
            "How many seats does the Assembly of Tarn have?",
            "33",
        ),
    ],
)
def test_english_facts(sentence: str, question: str, answer: str) -> None:
    found = {(fact.question, fact.answer) for fact in facts_en.facts(sentence)}
    assert (question, answer) in found


@pytest.mark.parametrize(
    "sentence",
    [
        "When Beatrice died in 1290, Dante sought refuge in Latin literature.",
        "The new Council Act adopted in 1936, however, changed little.",
        "The book was printed in 1911.",
        "The siege of Arden (3 May 1871 – 9 June 1872) was a defeat.",
        "Mora was rebuilt and painted in 1903 and 1907.",
    ],
)
def test_english_sentences_of_unsure_shape_give_no_fact(sentence: str) -> None:
    assert facts_en.facts(sentence) == []


@pytest.mark.parametrize(
    ("sentence", "question", "answer"),
    [
        (
            "한울밴드는 1991년에 첫 번째 싱글을 발표하였다.",
            "한울밴드는 몇 년에 첫 번째 싱글을 발표하였습니까?",
            "1991년",
        ),
        (
            "2008년 4월 18일 통영 전망대가 개통되었다.",
            "언제 통영 전망대가 개통되었습니까?",
            "2008년 4월 18일",
        ),
        (
            "마을 주민은 모두 소나무 300그루와 염소 45마리를 길렀다.",
            "마을 주민은 모두 소나무 300그루와 염소 몇 마리를 길렀습니까?",
            "45마리",
        ),
        (
            "방문자 무선망의 접속 암호는 58306입니다.",
            "방문자 무선망의 접속 암호는 무엇입니까?",
            "58306",
        ),
        (
            "민원 안내 창구의 내선 번호는 352번입니다.",
            "민원 안내 창구의 내선 번호는 몇 번입니까?",
            "352번",
        ),
        (
            "서문결(徐文潔, 1931년 2월 3일 ~ 1999년 8월 1일)은 대한민국의 화가이다.",
            "서문결은 언제 사망했습니까?",
            "1999년 8월 1일",
        ),
    ],
)
def test_korean_facts(sentence: str, question: str, answer: str) -> None:
    found = {(fact.question, fact.answer) for fact in facts_ko.facts(sentence)}
    assert (question, answer) in found


@pytest.mark.parametrize(
    "sentence",
    [
        "겨울 전쟁(1939년 11월 30일 ~ 1940년 3월 13일)은 두 나라의 전쟁이다.",
        "헤르베르트 2세는 아들을 인질로 보냈다.",
        "선수단은 400m 자유형에서 금메달을 획득하였다.",
        "1950년에 사단으로 승격된 부대는 지역을 담당하였다.",
        "연합군은 1944년 5월 1일 침공을 개시하기로 계획했다.",
        "선수단은 상대를 10 대 1의 점수로 꺾었다.",
    ],
)
def test_korean_sentences_of_unsure_shape_give_no_fact(sentence: str) -> None:
    assert facts_ko.facts(sentence) == []


@pytest.mark.parametrize(
    ("statement", "question"),
    [
        ("그가 왔다.", "그가 왔습니까?"),
        ("성공한다.", "성공합니까?"),
        ("성공했습니다.", "성공했습니까?"),
        ("화가이다.", "화가입니까?"),
        ("먹는다.", None),
        ("정말로.", None),
        ("다.", None),
    ],
)
def test_statements_become_polite_questions(statement: str, question: str | None) -> None:
    assert facts_ko.ask(statement) == question


@given(text=st.text(max_size=400), seed=st.integers(0, 5))
def test_any_text_is_survived(text: str, seed: int) -> None:
    for language in ("en", "ko"):
        for question in ask(text, "", language, seed):  # type: ignore[arg-type]
            assert supported(question, text, language)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["", "\n\n", "Title", "A " * 4000, "(" * 4000, '"' * 4001])
def test_odd_texts_give_no_question(text: str) -> None:
    assert ask(text, "", "en") == []
    assert ask(text, "", "ko") == []
