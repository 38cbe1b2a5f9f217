"""Words that stand in no list of names: of other documents, and made up of any tokens."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from functools import cached_property

from dnsity.data.encode import TextEncoder
from dnsity.data.example import Language
from dnsity.data.generators.languages import LANGUAGES

_TRIES = 1000
"""Passages drawn before fewer words have to do."""
_MOST_WORDS = 4
_LEAST_WORDS = 30
"""Of a corpus; passages are drawn until there are so many."""
_MOST_PIECES = 3
"""Tokens of a word that is made up."""
_EDGES = re.compile(r"^\W+|\W+$")


class Names:
    """Draws words from a corpus and from a vocabulary.

    From a list only the names of the list are learned, and a token that was never copied is copied
    by nobody, however well its place is found (docs/log.md, 2026-11-27).
    """

    def __init__(
        self, prose: Callable[[random.Random, Language, int], str], encoder: TextEncoder
    ) -> None:
        """Take how a passage of about so many tokens is drawn, and the vocabulary."""
        self._prose = prose
        self._encoder = encoder

    def phrase(self, rng: random.Random, language: Language) -> str:
        """Draw one to four neighbouring words of some document."""
        while True:
            words = self._prose(rng, language, 40).split()
            at = rng.randrange(len(words))
            phrase = _EDGES.sub("", " ".join(words[at : at + rng.randint(1, _MOST_WORDS)]))
            if phrase and ".." not in phrase:
                return phrase

    def words(self, rng: random.Random, language: Language) -> list[str]:
        """Draw the words of some passages, without punctuation and repetition."""
        words: list[str] = []
        for _ in range(_TRIES):
            bare = (_EDGES.sub("", w) for w in self._prose(rng, language, 100).split())
            words += [word for word in bare if word and ".." not in word]
            if len(words) >= _LEAST_WORDS:
                break
        return list(dict.fromkeys(words))

    def made_up(self, rng: random.Random, language: Language) -> str:
        """Put a word together of any tokens: how often prose has one says nothing about names."""
        words, endings = self._pieces[language]
        if not endings:  # a vocabulary of bytes
            return self.phrase(rng, language)
        return rng.choice(words) + "".join(rng.choices(endings, k=rng.randrange(_MOST_PIECES)))

    def made_up_phrase(self, rng: random.Random, language: Language) -> str:
        """Put one to four such words together."""
        count = rng.randint(1, _MOST_WORDS)
        return " ".join(self.made_up(rng, language) for _ in range(count))

    @cached_property
    def _pieces(self) -> dict[Language, tuple[list[str], list[str]]]:
        """The vocabulary's tokens of letters: all, and those that can go on within a word."""
        tokens = self._encoder.pieces()
        return {
            language: (
                [t.strip() for t in tokens if pack.letters.fullmatch(t.strip())],
                [t for t in tokens if pack.letters.fullmatch(t)],
            )
            for language, pack in LANGUAGES.items()
        }
