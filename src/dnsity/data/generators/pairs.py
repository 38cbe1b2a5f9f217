"""Pairs of arbitrary words: the bare skill of telling needles apart, without any wording.

    "river late one: 40213. river late glass: 77190."   "river late glass?" -> "77190"

Keys share words with one another on purpose, so that no single word gives the answer away. Tasks of
this kind (associative recall, Arora et al. 2023, 2312.04927) are learned long before facts in
natural sentences are told apart, and facts then build on them (docs/log.md).
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from dnsity.data.example import Language
from dnsity.data.generators.languages import LANGUAGES
from dnsity.data.generators.needles import Needle, number

_MOST_WORDS = 3
"""Of a key, and of a value."""
_TRIES_PER_PAIR = 50


def pairs(
    rng: random.Random,
    language: Language,
    words: Sequence[str],
    count: int,
    digits: Sequence[int],
    alphabet: int = 10,
) -> list[Needle]:
    """Draws pairs of a key and a value.

    Args:
        rng: The only source of chance.
        language: Language of what little is said around them.
        words: What keys and values are made of.
        count: How many pairs.
        digits: Lengths of the values that are numbers (half of them), drawn evenly.
        alphabet: How many different digits these are drawn from, see `needles.number`.

    Returns:
        Needles with different keys, none of whose answers occurs in another's sentence; fewer than
        asked for if there are not words enough.
    """
    templates = LANGUAGES[language].questions
    found: list[Needle] = []
    keys: list[tuple[str, ...]] = []
    for _ in range(_TRIES_PER_PAIR * count):
        if len(found) == count:
            break
        key = _key(rng, words, keys)
        if rng.random() < 0.5:
            value = number(rng, rng.choice(digits), alphabet)
        else:
            value = " ".join(rng.choices(words, k=rng.randint(1, _MOST_WORDS)))
        told = {"k": " ".join(key), "v": value}
        sentence = rng.choice(templates.pair_sentences).format(**told)
        asked = tuple(question.format(**told) for question in templates.pair_questions)
        needle = Needle(sentence, asked, value, "pair", told["k"])
        clash = any(value in other.sentence or other.answer in sentence for other in found)
        if set(key) not in map(set, keys) and value not in told["k"] and not clash:
            found.append(needle)
            keys.append(key)
    return found


def _key(
    rng: random.Random, words: Sequence[str], keys: Sequence[tuple[str, ...]]
) -> tuple[str, ...]:
    """Draw a key; every other one differs from an earlier one in a single word."""
    if not keys or rng.random() < 0.5:
        return tuple(rng.choices(words, k=rng.randint(1, _MOST_WORDS)))
    near = list(rng.choice(keys))
    near[rng.randrange(len(near))] = rng.choice(words)
    return tuple(near)
