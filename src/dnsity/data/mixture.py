"""The training mixture: documents with passkeys and facts hidden in ordinary prose."""

from __future__ import annotations

import random
from pathlib import Path

from pydantic import Field

from dnsity.config import Config
from dnsity.data.corpus import Corpus
from dnsity.data.encode import TextEncoder
from dnsity.data.example import Example, Language
from dnsity.data.needles import Needle, facts, passkey
from dnsity.data.niah import fits, needle_example


class MixtureConfig(Config):
    """What training documents are made of.

    Attributes:
        corpus: JSONL files of prose per language.
        corpus_characters: How much of each language to read.
        passkey_share: Share of documents that hide one passkey and nothing else.
        digits: Lengths of passkeys, drawn evenly.
        max_facts: Facts hidden in the other documents, 1 to this many; each is asked.
        tokens_per_fact: A document holds at most one fact per so many tokens.
    """

    corpus: dict[Language, list[Path]]
    corpus_characters: int = Field(default=30_000_000, ge=1)
    passkey_share: float = Field(default=0.5, ge=0, le=1)
    digits: list[int] = Field(default=[5], min_length=1)
    max_facts: int = Field(default=4, ge=1)
    tokens_per_fact: int = Field(default=48, ge=1)


class Mixture:
    """Draws training documents of a wanted length in tokens."""

    def __init__(self, config: MixtureConfig, encoder: TextEncoder) -> None:
        """Read the corpus and measure how many characters a token holds in each language."""
        self.config = config
        self.encoder = encoder
        self.corpora = {
            language: Corpus(paths, language, config.corpus_characters)
            for language, paths in config.corpus.items()
        }
        self._characters_per_token = {
            language: _characters_per_token(corpus, encoder)
            for language, corpus in self.corpora.items()
        }

    def text(self, rng: random.Random, language: Language, tokens: int) -> tuple[str, str]:
        """Draw plain prose of about so many tokens; returns text and source id."""
        characters = max(8, int(tokens * self._characters_per_token[language]))
        return self.corpora[language].passage(rng, characters)

    def language(self, rng: random.Random) -> Language:
        """Draw a language."""
        return rng.choice(sorted(self.corpora))

    def draw(self, rng: random.Random, tokens: int, passkey_share: float | None = None) -> Example:
        """Draw a document of about so many tokens with everything hidden in it asked for.

        Args:
            rng: The only source of chance.
            tokens: Length of the document.
            passkey_share: Instead of the configured share.
        """
        language = self.language(rng)
        share = self.config.passkey_share if passkey_share is None else passkey_share
        single = rng.random() < share
        most = min(self.config.max_facts, max(1, tokens // self.config.tokens_per_fact))
        count = 1 if single else rng.randint(1, most)
        while True:
            needles = self._needles(rng, language, single, count)
            taken = sum(len(self.encoder.encode(needle.sentence)) for needle in needles)
            haystack, source = self.text(rng, language, max(4, tokens - taken))
            if all(fits(haystack, needle) for needle in needles):
                return needle_example(rng, haystack, language, needles, source=source)

    def _needles(
        self, rng: random.Random, language: Language, single: bool, count: int
    ) -> list[Needle]:
        """One passkey, or facts with now and then a passkey among them."""
        key = passkey(rng, language, digits=rng.choice(self.config.digits))
        if single:
            return [key]
        if count > 1 and rng.random() < 0.5:
            others = facts(rng, language, count - 1)
            if all(n.answer not in key.sentence and key.answer not in n.sentence for n in others):
                return [key, *others]
        return facts(rng, language, count)


def _characters_per_token(corpus: Corpus, encoder: TextEncoder) -> float:
    """Measure on a sample of articles."""
    sample = "".join(corpus.texts[:50])[:100_000]
    return len(sample) / len(encoder.encode(sample))
