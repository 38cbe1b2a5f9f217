"""A document's own words: asked for by words that occur once, and answered by what follows."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsity.data.encode import TextEncoder
from dnsity.data.example import Language, Question
from dnsity.data.generators.quote import continuation, quotes, reconstruction, values
from tiny import tiny_tokenizer

words = st.sampled_from(["one", "two", "셋이", "넷은", 'say "five"', "six,\n", "7."])
texts = st.lists(words, max_size=60).map(" ".join)
languages: st.SearchStrategy[Language] = st.sampled_from(["en", "ko"])


@given(text=texts, language=languages, count=st.integers(1, 6), seed=st.integers(0, 1000))
def test_the_answer_follows_the_cue_and_nothing_else_does(
    text: str, language: Language, count: int, seed: int
) -> None:
    asked = quotes(random.Random(seed), language, text, count)
    assert len(asked) <= count
    for question in asked:
        cue = question.text.split('"')[1]
        assert text.count(cue) == 1
        behind = text[text.index(cue) + len(cue) :]
        assert behind.lstrip().startswith(question.answer)
        assert question.kind == "quote"
    assert asked == quotes(random.Random(seed), language, text, count)


def test_all_of_a_long_text_is_asked_for() -> None:
    text = " ".join(f"w{n}" for n in range(200))
    first = {quotes(random.Random(seed), "en", text, 1)[0].answer.split()[0] for seed in range(400)}
    numbers = sorted(int(word[1:]) for word in first)
    assert numbers[0] < 10
    assert numbers[-1] > 185


def test_quotations_do_not_overlap() -> None:
    text = " ".join(f"w{n}" for n in range(200))
    asked = quotes(random.Random(0), "en", text, 12)
    answered = [word for question in asked for word in question.answer.split()]
    assert len(asked) == 12
    assert len(answered) == len(set(answered))


def test_a_text_too_short_to_quote_gives_no_question() -> None:
    assert quotes(random.Random(0), "en", "Only these", 3) == ()


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    return TextEncoder(tiny_tokenizer())


def _follows(document: str, question: Question) -> bool:
    """Whether an answer is the document's beginning, or follows the phrase quoted."""
    if '"' not in question.text:
        return document.startswith(question.answer)
    cue = question.text.split('"')[1]
    assert document.find(cue) == document.rfind(cue) >= 0
    return document[document.find(cue) + len(cue) :].lstrip().startswith(question.answer)


def test_the_beginning_and_every_other_place_are_asked_for(encoder: TextEncoder) -> None:
    text = " ".join(f"w{n}" for n in range(100))
    asked = [reconstruction(random.Random(n), "en", text, encoder, 12)[0] for n in range(400)]
    firsts = {int(question.answer.split()[0][1:]) for question in asked}
    assert min(firsts) == 0
    assert max(firsts) > 95
    assert 150 < sum('"' not in question.text for question in asked) < 250


@pytest.mark.parametrize(
    "text", ["a b a b a b a b a b", 'She "said" it.', "One.\nTwo.\nThree.", "gas as a b c d"]
)
def test_only_a_phrase_that_occurs_once_is_quoted_else_the_beginning_is_asked_for(
    encoder: TextEncoder, text: str
) -> None:
    for seed in range(20):
        (question,) = reconstruction(random.Random(seed), "ko", text, encoder, 64)
        assert _follows(text, question)


def test_an_answer_ends_with_a_whole_word_within_its_tokens(encoder: TextEncoder) -> None:
    text = "나루터 “안내소는” 열 시에 — 문을 🙂🙂 엽니다. " * 4
    for span in range(1, 60):
        for question in reconstruction(random.Random(0), "ko", text, encoder, span):
            assert len(encoder.encode(" " + question.answer)) <= span
            assert text.startswith(f"{question.answer} ")


def test_another_article_is_no_continuation(encoder: TextEncoder) -> None:
    text = "One two three.\n\nFour five six."
    tokens = len(encoder.encode("One two three."))
    assert continuation(random.Random(0), "en", text, encoder, tokens, 64)[1] == ()
    document, asked = continuation(random.Random(0), "en", text, encoder, tokens - 2, 64)
    assert f"{document} {asked[0].answer}" == "One two three."


def test_values_are_asked_for_by_the_words_before_them() -> None:
    text = 'The depot opens at 9:30 daily. Its code is 60479. Nothing.\n"Call 112!" Now 112 again.'
    found = values(random.Random(0), "en", text, 8)
    assert len(found) == 8
    assert {question.answer for question in found} == {"9:30", "60479", "112"}
    for question in found:
        cue = question.text.split('"')[1]
        assert text.count(cue) == 1
        assert text[text.index(cue) + len(cue) :].strip().startswith(question.answer)
    assert {q.answer for q in values(random.Random(0), "ko", "암호는 48213입니다. 가요.", 2)} == {
        "48213입니다"
    }
    assert values(random.Random(0), "en", "No such thing here.", 4) == ()
