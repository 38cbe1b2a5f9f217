"""The training mixture: passkeys and facts hidden in ordinary prose, and prose to be quoted."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from typing import Literal

from pydantic import Field, field_validator

from dnsity.config import Config
from dnsity.data.corpus import Corpus
from dnsity.data.encode import TextEncoder
from dnsity.data.example import Example, Language
from dnsity.data.hide import fits, needle_example
from dnsity.data.needles import (
    ATTRIBUTES,
    Needle,
    codes,
    different_facts,
    facts,
    passkey,
    passphrase,
)
from dnsity.data.quote import quotes

DocumentKind = Literal["passkey", "passphrase", "codes", "facts", "alike", "quote"]
"""What a document hides: an unnamed passkey; one made of words of another document; codes of easily
mistaken owners; facts of different attributes; facts that are easily mistaken for one another;
nothing, its own words are asked for."""


_MOST_WORDS = 4
_EDGES = re.compile(r"^\W+|\W+$")


class MixtureConfig(Config):
    """What training documents are made of.

    Attributes:
        corpus: Prose per language, each source as `data.corpus.read_documents` takes it.
        corpus_characters: How much of each language to read.
        documents: Relative weight of each kind of document.
        digits: Lengths of passkeys and codes, drawn evenly.
        alphabets: From how many different digits passkeys and codes are drawn, drawn evenly. Few
            digits force a model to copy a number by place (docs/log.md).
        attributes: What documents of kind `facts` say of their entities (empty: anything).
        max_facts: Codes or facts hidden in one document, 1 to this many; each is asked.
        tokens_per_fact: A document holds at most one code or fact per so many tokens.
        tokens_per_quote: A document of kind `quote` is asked for its words once per so many tokens.
    """

    corpus: dict[Language, list[str]]
    corpus_characters: int = Field(default=30_000_000, ge=1)
    documents: dict[DocumentKind, float] = Field(
        default={"passkey": 1.0, "codes": 1.0, "facts": 1.0}, min_length=1
    )
    digits: list[int] = Field(default=[5], min_length=1)
    alphabets: list[int] = Field(default=[10], min_length=1)
    attributes: list[str] = Field(default=[])
    max_facts: int = Field(default=4, ge=1)
    tokens_per_fact: int = Field(default=48, ge=1)
    tokens_per_quote: int = Field(default=24, ge=1)

    @field_validator("attributes")
    @classmethod
    def _are_known(cls, names: list[str]) -> list[str]:
        if unknown := set(names) - set(ATTRIBUTES):
            raise ValueError(f"unknown {sorted(unknown)}, allowed are {ATTRIBUTES}")
        return names


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

    def draw(
        self,
        rng: random.Random,
        tokens: int,
        documents: Mapping[DocumentKind, float] | None = None,
    ) -> Example:
        """Draw a document of about so many tokens with everything hidden in it asked for.

        Args:
            rng: The only source of chance.
            tokens: Length of the document.
            documents: Weights of the kinds, instead of the configured ones.
        """
        language = self.language(rng)
        weights = documents or self.config.documents
        kind = rng.choices(list(weights), list(weights.values()))[0]
        while kind == "quote":
            passage, source = self.text(rng, language, tokens)
            asked = quotes(rng, language, passage, max(1, tokens // self.config.tokens_per_quote))
            if asked:
                return Example(passage, asked, language, source)
        most = min(self.config.max_facts, max(1, tokens // self.config.tokens_per_fact))
        count = rng.randint(1, most)
        while True:
            needles = self._needles(rng, language, kind, count)
            taken = sum(len(self.encoder.encode(needle.sentence)) for needle in needles)
            haystack, source = self.text(rng, language, max(4, tokens - taken))
            if all(fits(haystack, needle) for needle in needles):
                return needle_example(rng, haystack, language, needles, source=source)

    def _needles(
        self, rng: random.Random, language: Language, kind: DocumentKind, count: int
    ) -> list[Needle]:
        """What a document of this kind hides; now and then a passkey stands among the others."""
        alphabet = rng.choice(self.config.alphabets)
        key = passkey(rng, language, rng.choice(self.config.digits), alphabet)
        if kind == "passkey":
            return [key]
        if kind == "passphrase":
            return [passphrase(rng, language, self._words(rng, language))]
        if count > 1 and rng.random() < 0.5:
            others = self._owned(rng, language, kind, count - 1)
            if all(n.answer not in key.sentence and key.answer not in n.sentence for n in others):
                return [key, *others]
        return self._owned(rng, language, kind, count)

    def _words(self, rng: random.Random, language: Language) -> str:
        """Draw one to four neighbouring words of some document."""
        while True:
            words = self.text(rng, language, 40)[0].split()
            at = rng.randrange(len(words))
            phrase = _EDGES.sub("", " ".join(words[at : at + rng.randint(1, _MOST_WORDS)]))
            if phrase and ".." not in phrase:
                return phrase

    def _owned(
        self, rng: random.Random, language: Language, kind: DocumentKind, count: int
    ) -> list[Needle]:
        """Codes or facts about named entities."""
        if kind == "codes":
            alphabet = rng.choice(self.config.alphabets)
            return codes(rng, language, count, self.config.digits, alphabet)
        if kind == "facts":
            return different_facts(rng, language, count, self.config.attributes)
        return facts(rng, language, count)


def _characters_per_token(corpus: Corpus, encoder: TextEncoder) -> float:
    """Measure on a sample of articles."""
    sample = "".join(corpus.texts[:50])[:100_000]
    return len(sample) / len(encoder.encode(sample))
