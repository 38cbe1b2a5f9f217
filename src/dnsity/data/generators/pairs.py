"""Pairs of arbitrary words, which train only to distinguish needles.

    "river late one: 40213. river late glass: 77190."   "river late glass?" -> "77190"

Keys share words on purpose, so that no single word determines the answer. A model learns such tasks
(associative recall, Arora et al. 2023, 2312.04927) long before it distinguishes facts in natural
sentences, and learns facts faster afterwards (docs/log.md).
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from dnsity.data.example import Language
from dnsity.data.generators.languages import LANGUAGES
from dnsity.data.generators.needles import Needle, number

_MOST_WORDS = 3
"""Words of a key, and of a value."""
_TRIES_PER_PAIR = 50


def pairs(
    rng: random.Random,
    language: Language,
    words: Sequence[str],
    count: int,
    digits: Sequence[int],
    alphabet: int = 10,
) -> list[Needle]:
    """Sample pairs of a key and a value.

    Args:
        rng: The only source of randomness.
        language: Language of the templates.
        words: Words of keys and values.
        count: How many pairs.
        digits: Lengths of numbers, which half of the values are; sampled uniformly.
        alphabet: How many different digits a number has at most, see `needles.number`.

    Returns:
        Needles with different keys; no answer occurs in the sentence of another needle. Few words
        may give fewer than `count`.
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
        filled = {"k": " ".join(key), "v": value}
        sentence = rng.choice(templates.pair_sentences).format(**filled)
        asked = tuple(question.format(**filled) for question in templates.pair_questions)
        needle = Needle(sentence, asked, value, "pair", filled["k"])
        clash = any(value in other.sentence or other.answer in sentence for other in found)
        if set(key) not in map(set, keys) and value not in filled["k"] and not clash:
            found.append(needle)
            keys.append(key)
    return found


def _key(
    rng: random.Random, words: Sequence[str], keys: Sequence[tuple[str, ...]]
) -> tuple[str, ...]:
    """Sample a key; half of them differ from an earlier one in a single word."""
    if not keys or rng.random() < 0.5:
        return tuple(rng.choices(words, k=rng.randint(1, _MOST_WORDS)))
    near = list(rng.choice(keys))
    near[rng.randrange(len(near))] = rng.choice(words)
    return tuple(near)
