"""Needle in a haystack: sentences hidden in real prose, at any depth, each asked for.

    niah   one five-digit passkey; depths from start to end in equal steps
    facts  four facts about named entities, easily mistaken for one another; depths at random

Version 2 (1: without `facts`). Metric: exact match. The prose is held out from training (another
file, other articles); the values are drawn fresh and occur nowhere else in the document.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from dnsity.data.corpus import Corpus
from dnsity.data.encode import TextEncoder
from dnsity.data.example import Example, Language
from dnsity.data.needles import Needle, facts, passkey
from dnsity.data.niah import fits, needle_example

VERSION = 2
FACTS = 4
TASKS: Mapping[str, Callable[[random.Random, Language], list[Needle]]] = {
    "niah": lambda rng, language: [passkey(rng, language)],
    "facts": lambda rng, language: facts(rng, language, FACTS),
}


def examples(
    task: str,
    haystack: Path,
    language: Language,
    encoder: TextEncoder,
    *,
    tokens: Sequence[int],
    samples: int,
    seed: int,
) -> list[Example]:
    """Draw documents, evenly over lengths and, with a single needle, over depths.

    Args:
        task: A name in `TASKS`.
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
        # The needle task keeps the documents of version 1.
        rng = random.Random(f"{task}/1/{language}/{seed}/{number}")
        length = tokens[number % len(tokens)]
        step = number // len(tokens)
        depth = step / max(1, -(-samples // len(tokens)) - 1)
        needles = TASKS[task](rng, language)
        hidden = sum(len(encoder.encode(needle.sentence)) + 2 for needle in needles)
        while True:
            text, source = _fit(rng, corpus, encoder, length - hidden)
            if all(fits(text, needle) for needle in needles):
                break
        depths = [min(1.0, depth)] if len(needles) == 1 else None
        found.append(needle_example(rng, text, language, needles, depths=depths, source=source))
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
