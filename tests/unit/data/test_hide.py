"""Hiding needles must add sentences at borders and change nothing else."""

from __future__ import annotations

import random
import re
from itertools import pairwise

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from dnsity.data.example import Language
from dnsity.data.generators.hide import NOT_FOUND, fits, insert, needle_example
from dnsity.data.generators.needles import Needle, facts, passkey, sample_needles
from dnsity.data.text.sentences import places, sentence_ends, starts_with_heading

ENGLISH = 'Dr. Hale left at 9.30 today. "Was it late?" It was! J. K. Orr stayed.\n\nShe slept.'
KOREAN = "도서관은 조용하다. 사람이 많은가요? 2024. 3. 14. 문을 열었다.\n“그렇다.” 그가 말했다."

# Brackets that no haystack holds, so that inserted sentences can be found and taken out again.
MARKED = re.compile(r"⟦\d+⟧")
haystacks = st.lists(
    st.sampled_from(
        ["One day.", "비가 온다.", "Why?", "no end", "\n", "\n\n", " ", "Mr. A", "3.5"]
    ),
    max_size=30,
).map(" ".join)
depth_lists = st.lists(st.floats(min_value=0, max_value=1), max_size=6)


def marks(count: int) -> list[str]:
    return [f"⟦{number}⟧" for number in range(count)]


def sentences_of(text: str) -> list[str]:
    ends = sentence_ends(text)
    parts = (text[start:end].strip() for start, end in pairwise(ends))
    return [part for part in parts if part]


def test_english_borders_skip_titles_initials_and_decimals() -> None:
    assert sentences_of(ENGLISH) == [
        "Dr. Hale left at 9.30 today.",
        '"Was it late?"',
        "It was!",
        "J. K. Orr stayed.",
        "She slept.",
    ]


def test_korean_borders_skip_dates_and_keep_closing_quotes() -> None:
    assert sentences_of(KOREAN) == [
        "도서관은 조용하다.",
        "사람이 많은가요?",
        "2024. 3. 14. 문을 열었다.",
        "“그렇다.”",
        "그가 말했다.",
    ]


def test_a_heading_is_parted_from_its_paragraph_but_wrapped_lines_are_not() -> None:
    assert sentences_of("Opening hours\n\nThe hall is open\nevery day.") == [
        "Opening hours",
        "The hall is open\nevery day.",
    ]


@given(text=st.text())
def test_borders_ascend_from_start_to_end_and_never_split_a_word(text: str) -> None:
    ends = sentence_ends(text)
    assert ends[0] == 0
    assert ends[-1] == len(text)
    assert ends == sorted(set(ends))
    for end in ends[1:-1]:
        assert text[end - 1].isspace() or text[end].isspace()


PARAGRAPH = "It was built in 1890 by an architect of the town, and stands to this day. "


def placed(text: str) -> list[str]:
    return [text[start:end].strip() for start, end in pairwise(places(text))]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('He said "So? It is." Then he left.', ['He said "So? It is."', "Then he left."]),
        (
            "She (a clerk. A good one.) left. He too.",
            ["She (a clerk. A good one.) left.", "He too."],
        ),
        (
            "“난 몰랐다. 정말이다” 그가 말했다. 끝났다.",
            ["“난 몰랐다. 정말이다” 그가 말했다.", "끝났다."],
        ),
        ("It ended. (Not for all.) He left.", ["It ended. (Not for all.)", "He left."]),
        (
            'He read "A drama in ... Akten". She left.',
            ['He read "A drama in ... Akten".', "She left."],
        ),
        (
            'Left open: "So it is. And so.\nNext line. End.',
            ['Left open: "So it is. And so.\nNext line.', "End."],
        ),
        (f"Early life.\n{PARAGRAPH}End.", [f"Early life.\n{PARAGRAPH}".strip(), "End."]),
        ("He left.\nShe left.\n", ["He left.", "She left.", ""]),
    ],
)
def test_a_place_is_neither_in_an_aside_nor_behind_a_heading(text: str, wanted: list[str]) -> None:
    assert placed(text) == wanted


@given(text=st.text(alphabet='ab. "()“”\n'))
def test_places_are_sentence_ends(text: str) -> None:
    assert set(places(text)) <= set(sentence_ends(text))
    assert {0, len(text)} <= set(places(text))
    assert places(text) == sorted(set(places(text)))


def test_a_sentence_before_a_heading_gets_a_line_of_its_own() -> None:
    heading = f"Early life.\n{PARAGRAPH}"
    assert insert(heading, ["Here."], [0.0]) == f"Here.\n{heading}"
    assert insert(PARAGRAPH, ["Here."], [0.0]) == f"Here. {PARAGRAPH}"


@given(haystack=haystacks, depths=depth_lists)
@example(haystack="One day. \n" + " One day." * 7, depths=[0.0])  # begins with a heading
def test_taking_the_sentences_out_rebuilds_the_haystack(haystack: str, depths: list[float]) -> None:
    haystack = haystack.strip()
    document = insert(haystack, marks(len(depths)), depths)
    at_start = document
    if first := re.match(r"⟦\d+⟧( ⟦\d+⟧)*", document):
        rest = document[first.end() :]
        piece = MARKED.split(rest)[0][1:]  # up to the next mark, perhaps with what was added there
        piece = piece if haystack.startswith(piece) else piece[:-1]
        assert rest[:1] in ("", "\n" if starts_with_heading(piece) else " ")
        at_start = rest[1:]
    behind_space = re.sub(r"(?<=\n)(⟦\d+⟧ )+", "", at_start)
    assert re.sub(r" ⟦\d+⟧", "", behind_space) == haystack


@given(haystack=haystacks, depths=depth_lists)
def test_each_sentence_appears_once_between_white_space(haystack: str, depths: list[float]) -> None:
    sentences = marks(len(depths))
    document = insert(haystack, sentences, depths)
    assert sorted(MARKED.findall(document)) == sorted(sentences)
    for found in MARKED.finditer(document):
        assert found.start() == 0 or document[found.start() - 1].isspace()
        assert found.end() == len(document) or document[found.end()].isspace()


@given(haystack=haystacks, depths=depth_lists)
def test_sentences_stand_in_order_of_depth(haystack: str, depths: list[float]) -> None:
    sentences = marks(len(depths))
    by_depth = [sentence for _, sentence in sorted(zip(depths, sentences, strict=True))]
    assert MARKED.findall(insert(haystack, sentences, depths)) == by_depth


@pytest.mark.parametrize("haystack", [ENGLISH, KOREAN])
def test_depth_zero_is_the_start_and_one_the_end(haystack: str) -> None:
    assert insert(haystack, ["First."], [0.0]) == f"First. {haystack}"
    assert insert(haystack, ["Last."], [1.0]) == f"{haystack} Last."


def test_the_nearest_border_is_taken() -> None:
    haystack = "Aaaa aaaa aaaa. Bbbb bbbb bbbb. Cccc cccc cccc."
    first, second = sentence_ends(haystack)[1:3]
    just_nearer_second = ((first + second) / 2 + 1) / len(haystack)
    assert insert(haystack, ["Here."], [just_nearer_second]) == (
        "Aaaa aaaa aaaa. Bbbb bbbb bbbb. Here. Cccc cccc cccc."
    )


@pytest.mark.parametrize("depths", [[], [0.1, 0.2], [-0.1], [1.1], [float("nan")]])
def test_wrong_depths_are_refused(depths: list[float]) -> None:
    with pytest.raises(ValueError, match="depths"):
        insert(ENGLISH, ["Here."], depths)


@given(seed=st.integers(min_value=0, max_value=2**32))
def test_example_holds_every_needle_and_asks_for_each(seed: int) -> None:
    rng = random.Random(seed)
    needles = [passkey(rng, "ko"), *facts(rng, "ko", 4)]
    assume(all(fits(KOREAN, needle) for needle in needles))  # "202" would be in its "2024"
    example = needle_example(random.Random(seed), KOREAN, "ko", needles, source="doc-7")
    assert (example.language, example.source) == ("ko", "doc-7")
    assert len(example.questions) == len(needles)
    for needle, question in zip(needles, example.questions, strict=True):
        assert needle.sentence in example.document
        assert question.text in needle.questions
        assert (question.answer, question.kind) == (needle.answer, needle.kind)
    assert example == needle_example(random.Random(seed), KOREAN, "ko", needles, source="doc-7")


def test_random_depths_reach_all_parts_of_the_haystack() -> None:
    rng = random.Random(0)
    needle = passkey(rng, "en")
    haystack = " ".join(f"This is sentence {'x' * number}." for number in range(1, 11))
    documents = [needle_example(rng, haystack, "en", [needle]).document for _ in range(300)]
    places = {document.index(needle.sentence) for document in documents}
    assert len(places) == len(sentence_ends(haystack))


def test_an_answer_already_in_the_haystack_is_refused() -> None:
    needle = Needle("The code is 4812.", ("What is the code?",), "4812", "passkey")
    taken = f"{ENGLISH} Call 4812 today."
    assert fits(ENGLISH, needle)
    assert not fits(taken, needle)
    with pytest.raises(ValueError, match="4812"):
        needle_example(random.Random(0), taken, "en", [needle])


@pytest.mark.parametrize("language", ["en", "ko"])
def test_what_is_not_hidden_is_asked_for_and_answered_so(language: Language) -> None:
    rng = random.Random(0)
    needles = sample_needles(rng, language, "fact", 3)
    haystack = "The gardens lie along the river. " * 20
    example = needle_example(rng, haystack, language, needles[:2], absent=needles[2:])
    *present, absent = example.questions
    assert [question.answer for question in present] == [n.answer for n in needles[:2]]
    assert absent.text in needles[2].questions
    assert (absent.answer, absent.kind) == (NOT_FOUND[language], f"absent:{needles[2].kind}")
    assert needles[2].sentence not in example.document
    assert needles[2].answer not in example.document
