"""Random names: words of other documents, and words of random tokens."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from functools import cached_property

from dnsity.data.encode import TextEncoder
from dnsity.data.example import Language
from dnsity.data.generators.languages import LANGUAGES

_TRIES = 1000
"""Largest number of passages that are sampled for words."""
_MOST_WORDS = 4
_LEAST_WORDS = 30
"""Words of a corpus; passages are sampled until there are so many."""
_MOST_TOKENS = 3
"""Largest number of tokens of a random word."""
_EDGES = re.compile(r"^\W+|\W+$")


class Names:
    """Random words from a corpus and from a vocabulary.

    With a list of names a model learns only that list, and it does not copy a token that it never
    copied in training, even if it finds its position (docs/log.md, 2026-11-27).
    """

    def __init__(
        self, prose: Callable[[random.Random, Language, int], str], encoder: TextEncoder
    ) -> None:
        """Take a function that samples a passage of so many tokens, and the vocabulary."""
        self._prose = prose
        self._encoder = encoder

    def phrase(self, rng: random.Random, language: Language) -> str:
        """Sample one to four consecutive words of a document."""
        while True:
            words = self._prose(rng, language, 40).split()
            at = rng.randrange(len(words))
            phrase = _EDGES.sub("", " ".join(words[at : at + rng.randint(1, _MOST_WORDS)]))
            if phrase and ".." not in phrase:
                return phrase

    def words(self, rng: random.Random, language: Language) -> list[str]:
        """Sample the words of some passages, without punctuation and repetition."""
        words: list[str] = []
        for _ in range(_TRIES):
            bare = (_EDGES.sub("", w) for w in self._prose(rng, language, 100).split())
            words += [word for word in bare if word and ".." not in word]
            if len(words) >= _LEAST_WORDS:
                break
        return list(dict.fromkeys(words))

    def made_up(self, rng: random.Random, language: Language) -> str:
        """Compose a word of random tokens, regardless of their frequency in prose."""
        words, endings = self._letter_tokens[language]
        if not endings:  # a vocabulary of bytes
            return self.phrase(rng, language)
        return rng.choice(words) + "".join(rng.choices(endings, k=rng.randrange(_MOST_TOKENS)))

    def made_up_phrase(self, rng: random.Random, language: Language) -> str:
        """Compose one to four such words."""
        count = rng.randint(1, _MOST_WORDS)
        return " ".join(self.made_up(rng, language) for _ in range(count))

    @cached_property
    def _letter_tokens(self) -> dict[Language, tuple[list[str], list[str]]]:
        """The tokens made of letters: all of them, and those that continue a word."""
        tokens = self._encoder.token_texts()
        return {
            language: (
                [t.strip() for t in tokens if pack.letters.fullmatch(t.strip())],
                [t for t in tokens if pack.letters.fullmatch(t)],
            )
            for language, pack in LANGUAGES.items()
        }
