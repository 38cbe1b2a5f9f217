"""A quotation is asked for by words that stand once, and answered by what follows them."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from dnsity.data.example import Language
from dnsity.data.quote import quotes

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


def test_pieces_do_not_overlap() -> None:
    text = " ".join(f"w{n}" for n in range(200))
    asked = quotes(random.Random(0), "en", text, 12)
    answered = [word for question in asked for word in question.answer.split()]
    assert len(asked) == 12
    assert len(answered) == len(set(answered))


def test_a_text_too_short_to_quote_gives_no_question() -> None:
    assert quotes(random.Random(0), "en", "Only these", 3) == ()
