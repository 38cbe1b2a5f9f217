import random

import pytest

from dnsity.data.example import Language
from dnsity.data.generators.pairs import pairs

WORDS = [f"{head}{tail}" for head in ("ba", "do", "ke", "mi", "nu") for tail in ("lon", "rat", "s")]


@pytest.mark.parametrize("language", ["en", "ko"])
def test_every_pair_can_be_distinguished(language: Language) -> None:
    for seed in range(100):
        drawn = pairs(random.Random(seed), language, WORDS, 5, [4, 6])
        assert len(drawn) == 5
        keys = [frozenset(needle.entity.split()) for needle in drawn]
        assert len(set(keys)) == len(keys)
        for needle in drawn:
            assert needle.entity in needle.sentence
            assert needle.answer in needle.sentence
            assert all(needle.entity in question for question in needle.questions)
            assert not any(needle.answer in question for question in needle.questions)
            others = [other.sentence for other in drawn if other is not needle]
            assert not any(needle.answer in sentence for sentence in others)


def test_no_single_word_gives_most_answers_away() -> None:
    """A key with a word that no other pair has could be found by that word alone."""
    shared = told = 0
    for seed in range(200):
        keys = [set(n.entity.split()) for n in pairs(random.Random(seed), "en", WORDS, 5, [5])]
        for key in keys:
            others = set().union(*(other for other in keys if other is not key))
            told += 1
            shared += bool(key & others)
    assert shared / told > 0.5


def test_half_the_values_are_numbers_of_the_lengths_asked_for() -> None:
    drawn = [n for seed in range(200) for n in pairs(random.Random(seed), "ko", WORDS, 3, [4, 6])]
    numbers = [needle.answer for needle in drawn if needle.answer.isdecimal()]
    assert {len(number) for number in numbers} == {4, 6}
    # Clashes are rarer between numbers: somewhat more than half of what is kept.
    assert 0.45 < len(numbers) / len(drawn) < 0.7


def test_where_words_are_few_there_are_fewer_pairs() -> None:
    drawn = pairs(random.Random(0), "en", ["a", "b"], 50, [9])
    assert 1 <= len(drawn) < 50
    assert len({frozenset(needle.entity.split()) for needle in drawn}) == len(drawn)
