"""Needle in a haystack: one five-digit passkey in real prose, at any depth.

Version 1. Metric: exact match. The prose is held out from training (another file, other articles);
the value is drawn fresh and occurs nowhere else in the document.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

from dnsity.data.corpus import Corpus
from dnsity.data.encode import TextEncoder
from dnsity.data.example import Example, Language
from dnsity.data.needles import passkey
from dnsity.data.niah import fits, needle_example

VERSION = 1


def examples(
    haystack: Path,
    language: Language,
    encoder: TextEncoder,
    *,
    tokens: Sequence[int],
    samples: int,
    seed: int,
) -> list[Example]:
    """Draw passkey documents, evenly over lengths and depths.

    Args:
        haystack: JSONL of held-out prose.
        language: Its language.
        encoder: Tokenizer in which lengths are counted.
        tokens: Document lengths; a document has at most this many tokens, by less than a sentence.
        samples: Documents in all.
        seed: Same seed, same documents.
    """
    corpus = Corpus([haystack], language, characters=50_000_000)
    found: list[Example] = []
    for number in range(samples):
        rng = random.Random(f"niah/{VERSION}/{language}/{seed}/{number}")
        length = tokens[number % len(tokens)]
        step = number // len(tokens)
        depth = step / max(1, -(-samples // len(tokens)) - 1)
        needle = passkey(rng, language)
        while True:
            text = _fit(rng, corpus, encoder, length - len(encoder.encode(needle.sentence)) - 2)
            if fits(text[0], needle):
                break
        found.append(
            needle_example(
                rng, text[0], language, [needle], depths=[min(1.0, depth)], source=text[1]
            )
        )
    return found


def _fit(rng: random.Random, corpus: Corpus, encoder: TextEncoder, tokens: int) -> tuple[str, str]:
    """Draw a passage of at most so many tokens, close to it."""
    characters = 4 * tokens
    while True:
        text, source = corpus.passage(rng, characters)
        have = len(encoder.encode(text))
        if 0.9 * tokens <= have <= tokens:
            return text, source
        characters = max(8, int(characters * 0.97 * tokens / have))
