"""The training mixture: facts hidden in prose, questions on prose, and ready-made records.

Facts use only the `seen` sentences, questions and names, so that evaluation can use unseen ones.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from dnsity.config import Config, Digits, Weight, some_weight
from dnsity.data.encode import TextEncoder
from dnsity.data.example import Example, Language
from dnsity.data.generators.articles import about, in_which_third, read_article, whether_about
from dnsity.data.generators.hide import fits, needle_example
from dnsity.data.generators.names import Names
from dnsity.data.generators.needles import (
    ATTRIBUTES,
    Needle,
    codes,
    different_facts,
    facts,
    passkey,
    passphrase,
)
from dnsity.data.generators.pairs import pairs
from dnsity.data.generators.quote import continuation, quotes, reconstruction
from dnsity.data.generators.rules.check import plain_title
from dnsity.data.packing import pack
from dnsity.data.readers.corpus import Corpus, read_documents
from dnsity.data.readers.overlap import HeldOut
from dnsity.data.readers.records import Records
from dnsity.errors import BadInputError

DocumentKind = Literal[
    "passkey",
    "repeated",
    "passphrase",
    "pairs",
    "codes",
    "value_first",
    "facts",
    "alike",
    "quote",
    "reconstruct",
    "continue",
    "article",
    "records",
]
"""What a document is and asks for:

    passkey       an unnamed passkey in prose
    repeated      an unnamed passkey in a few sentences that are repeated
    passphrase    an unnamed passkey made of words of another document
    pairs         pairs of arbitrary words
    codes         codes of owners with similar names
    value_first   such codes, stated before their owners
    facts         facts of different attributes
    alike         facts that are easily confused
    quote         a few words of the document
    reconstruct   a longer part of the document
    continue      the text that follows the document
    article       what an encyclopedia article as a whole is about
    records       the questions of a ready-made record
"""

UNSCORED = ("reconstruction", "continuation", "understanding")
"""Prefixes of the kinds of questions whose answers are not expected word for word. They are not
counted in the training accuracy, since a stage that waits for an accuracy would never end."""

_REPEATED_TOKENS = (16, 64)
"""Fewest and most tokens of the passage that a document of kind `repeated` repeats."""
_SENTENCE_SHARE = 0.25
"""Share of articles with a question whose answer is a sentence. The loss is a mean over answer
tokens, so long answers outweigh all others of a step (docs/log.md)."""
_TRIES = 1000
"""Passages sampled for one document before an error is raised."""
_NO_PROSE = "data.corpus holds no prose; set data.corpus.en or data.corpus.ko to [your.jsonl]"
_NO_RECORDS = (
    "`documents` has a weight for records, but data.records is empty; set it to [your.jsonl], or "
    "remove records from `documents` in data and stages"
)


class MixtureConfig(Config):
    """Which training documents are sampled.

    Attributes:
        corpus: Prose per language, as sources of `data.readers.corpus.read_documents`; required by
            every kind of document except `records`.
        corpus_characters: Characters of each language that are used.
        held_out: Corpora to evaluate on; documents that share 13 words in a row with them are
            skipped.
        documents: Relative weight of each kind of document.
        digits: Lengths of passkeys and codes, sampled uniformly.
        alphabets: Numbers of different digits in passkeys and codes, sampled uniformly. With few
            digits a model must copy a number by position (docs/log.md).
        attributes: Allowed attributes in documents of kind `facts` (empty: all).
        max_facts: Largest number of codes or facts in a document; each of them is asked for.
        tokens_per_fact: Fewest document tokens per code or fact.
        absent: Share of documents with needles that are also asked for one they do not contain.
        any_name: Share of documents of codes or facts in which owners and half of the persons have
            random words of other documents or random tokens as names, and share of passphrases
            that are random tokens. With a list of names a model learns only that list, and only
            the tokens that it often copied.
        tokens_per_quote: Document tokens per question in documents of kind `quote`.
        span_tokens: Maximum answer tokens in documents of kind `reconstruct` or `continue`.
        records: JSONL files of example records (`dnsity data niah`, ...), for kind `records`.
    """

    corpus: dict[Language, Annotated[list[str], Field(min_length=1)]] = Field(default={})
    corpus_characters: int = Field(default=30_000_000, ge=1)
    held_out: list[str] = Field(default=[])
    documents: Annotated[dict[DocumentKind, Weight], AfterValidator(some_weight)] = Field(
        default={"passkey": 1.0, "codes": 1.0, "facts": 1.0}, min_length=1
    )
    digits: list[Digits] = Field(default=[5], min_length=1)
    alphabets: list[Annotated[int, Field(ge=1, le=10)]] = Field(default=[10], min_length=1)
    attributes: list[str] = Field(default=[])
    max_facts: int = Field(default=4, ge=1)
    tokens_per_fact: int = Field(default=48, ge=1)
    absent: float = Field(default=0.0, ge=0, le=1)
    any_name: float = Field(default=0.0, ge=0, le=1)
    tokens_per_quote: int = Field(default=24, ge=1)
    span_tokens: int = Field(default=64, ge=1)
    records: list[str] = Field(default=[])

    @field_validator("attributes")
    @classmethod
    def _are_known(cls, names: list[str]) -> list[str]:
        if unknown := set(names) - set(ATTRIBUTES):
            raise ValueError(f"unknown {sorted(unknown)}, allowed are {ATTRIBUTES}")
        return names

    @model_validator(mode="after")
    def _has_sources(self) -> MixtureConfig:
        kinds = {kind for kind, weight in self.documents.items() if weight > 0}
        if "records" in kinds and not self.records:
            raise ValueError(_NO_RECORDS)
        most = self.max_facts + (self.absent > 0)
        if 0 < len(self.attributes) < most:
            lacking = " and one that is absent" if self.absent else ""
            raise ValueError(
                f"max_facts={self.max_facts}{lacking} different attributes cannot be sampled from "
                f"the {len(self.attributes)} of attributes; name more or lower max_facts"
            )
        if not self.corpus and (of_prose := sorted(kinds - {"records"})):
            raise ValueError(f"data.documents has {', '.join(of_prose)}, but {_NO_PROSE}")
        return self


class Mixture:
    """A source of random training documents of a given length in tokens."""

    def __init__(self, config: MixtureConfig, encoder: TextEncoder) -> None:
        """Read the corpora and measure the characters per token of each language.

        Raises:
            BadInputError: If a file of the corpus or of the records cannot be used; the message
                names the setting.
        """
        self.config = config
        self.encoder = encoder
        self.corpora: dict[Language, Corpus] = {}
        with _setting("data.held_out"):
            held_out = HeldOut(chain.from_iterable(map(read_documents, config.held_out)))
        for language, paths in config.corpus.items():
            with _setting(f"data.corpus.{language}"):
                self.corpora[language] = Corpus(
                    paths,
                    language,
                    config.corpus_characters,
                    held_out.shares if config.held_out else None,
                )
        with _setting("data.records"):
            self._records = Records(config.records, encoder) if config.records else None
        self._names = Names(lambda *arguments: self.text(*arguments)[0], encoder)
        self._characters_per_token = {
            language: _characters_per_token(corpus, encoder)
            for language, corpus in self.corpora.items()
        }

    def text(self, rng: random.Random, language: Language, tokens: int) -> tuple[str, str]:
        """Sample prose of about so many tokens; return text and source id."""
        characters = max(8, int(tokens * self._characters_per_token[language]))
        return self.corpora[language].passage(rng, characters)

    def language(self, rng: random.Random) -> Language:
        """Sample a language.

        Raises:
            BadInputError: If there is no corpus.
        """
        if not self.corpora:
            raise BadInputError(_NO_PROSE)
        return rng.choice(sorted(self.corpora))

    def sample(
        self,
        rng: random.Random,
        tokens: int,
        documents: Mapping[DocumentKind, float] | None = None,
    ) -> Example:
        """Sample a document of about so many tokens, with questions on all that it hides.

        Args:
            rng: The only source of randomness.
            tokens: Length of the document.
            documents: Weights of the kinds (default: the configured ones).

        Raises:
            BadInputError: If there is no corpus or record, no record is that short, or the corpus
                gives no document of the sampled kind.
        """
        language = self.language(rng) if self.corpora else None
        weights = documents or self.config.documents
        kind = rng.choices(list(weights), list(weights.values()))[0]
        if kind == "records":
            if self._records is None:
                raise BadInputError(_NO_RECORDS)
            return self._records.sample(rng, tokens)
        if language is None:
            raise BadInputError(_NO_PROSE)
        if kind == "article":
            return self._article(rng, language, tokens)
        if kind in ("quote", "reconstruct", "continue"):
            return self._own_words(rng, language, kind, tokens)
        most = min(self.config.max_facts, max(1, tokens // self.config.tokens_per_fact))
        count = rng.randint(1, most)
        # Only where configured, so that earlier configurations keep their random sequence.
        lacks = self.config.absent > 0 and rng.random() < self.config.absent
        for _ in range(_TRIES):
            needles = self._needles(rng, language, kind, count + lacks)
            needles, absent = (needles[:-1], needles[-1:]) if lacks else (needles, [])
            taken = sum(len(self.encoder.encode(needle.sentence)) for needle in needles)
            haystack, source = self._haystack(rng, language, kind, max(4, tokens - taken))
            if all(fits(haystack, needle) for needle in needles):
                return needle_example(
                    rng, haystack, language, needles, absent=absent, source=source
                )
        raise BadInputError(
            f"{_TRIES} passages of data.corpus.{language} contain an answer of kind {kind!r} "
            "before it is hidden; allow more digits in data.digits, or other prose"
        )

    def packed(self, rng: random.Random, language: Language, tokens: int) -> list[int]:
        """Return exactly so many ids of packed documents for language modeling, see `pack`."""
        return pack(rng, self.corpora[language].texts, self.encoder, tokens)

    def _own_words(
        self, rng: random.Random, language: Language, kind: DocumentKind, tokens: int
    ) -> Example:
        """Return prose with questions on its own words; sample again if it gives none."""
        span = self.config.span_tokens
        # A passage may be a quarter shorter than requested, and text must follow the document.
        wanted = (tokens + span) * 4 // 3 if kind == "continue" else tokens
        for _ in range(_TRIES):
            text, source = self.text(rng, language, wanted)
            if kind == "quote":
                count = max(1, tokens // self.config.tokens_per_quote)
                asked = quotes(rng, language, text, count)
            elif kind == "reconstruct":
                asked = reconstruction(rng, language, text, self.encoder, span)
            else:
                text, asked = continuation(rng, language, text, self.encoder, tokens, span)
            if asked:
                return Example(text, asked, language, source)
        raise BadInputError(
            f"{_TRIES} passages of data.corpus.{language} gave no question of kind {kind!r} on "
            f"{tokens} tokens; ask for longer documents, or for prose of more words"
        )

    def _article(self, rng: random.Random, language: Language, tokens: int) -> Example:
        """Return the body of an article with questions on what it is about."""
        corpus, characters = self.corpora[language], tokens * self._characters_per_token[language]
        for _ in range(_TRIES):
            found, other = corpus.document(rng), corpus.document(rng)
            article = read_article(found, language) if len(found.text) > characters else None
            border = self.encoder.offset_after(article.body, tokens) if article else None
            if article is None or border is None:
                continue
            document = article.body[:border]
            asked = [about(article, language, kind) for kind in ("title", "topic")]
            if rng.random() < _SENTENCE_SHARE:
                asked.append(about(article, language, rng.choice(("lead", "summary"))))
            asked.append(whether_about(article.title, language, yes=True))
            title = plain_title(other.title)
            if title and title.casefold() not in found.text.casefold():
                asked.append(whether_about(title, language, yes=False))
            part = in_which_third(rng, language, document)
            return Example(document, (*asked, *([part] if part else [])), language, found.id)
        raise BadInputError(
            f"{_TRIES} documents of data.corpus.{language} have no article of {tokens} tokens that "
            "opens with a definition of its title; ask for shorter ones, or remove `article`"
        )

    def _haystack(
        self, rng: random.Random, language: Language, kind: DocumentKind, tokens: int
    ) -> tuple[str, str]:
        """Return prose and its source; for kind `repeated` a short passage that is repeated."""
        if kind != "repeated":
            return self.text(rng, language, tokens)
        line, source = self.text(rng, language, min(tokens, rng.randint(*_REPEATED_TOKENS)))
        return " ".join([line] * max(1, tokens // len(self.encoder.encode(line)))), source

    def _needles(
        self, rng: random.Random, language: Language, kind: DocumentKind, count: int
    ) -> list[Needle]:
        """Return what a document of this kind hides; half of the sets have a passkey, too."""
        alphabet = rng.choice(self.config.alphabets)
        key = passkey(rng, language, rng.choice(self.config.digits), alphabet, "seen")
        if kind in ("passkey", "repeated"):
            return [key]
        if kind == "passphrase":
            phrase = self._names.made_up_phrase if self._any_name(rng) else self._names.phrase
            return [passphrase(rng, language, phrase(rng, language), "seen")]
        if kind == "pairs":
            words = self._names.words(rng, language)
            return pairs(rng, language, words, count, self.config.digits, alphabet)
        if count > 1 and kind != "value_first" and rng.random() < 0.5:
            others = self._owned(rng, language, kind, count - 1)
            if all(n.answer not in key.sentence and key.answer not in n.sentence for n in others):
                return [key, *others]
        return self._owned(rng, language, kind, count)

    def _any_name(self, rng: random.Random) -> bool:
        """Return whether names are random words of the corpus and of the vocabulary."""
        # Only where configured, so that earlier configurations keep their random sequence.
        return self.config.any_name > 0 and rng.random() < self.config.any_name

    def _owned(
        self, rng: random.Random, language: Language, kind: DocumentKind, count: int
    ) -> list[Needle]:
        """Return codes or facts about named entities."""
        owners = []
        if self._any_name(rng):
            owners = self._names.words(rng, language)
            owners += [self._names.made_up(rng, language) for _ in owners]
        if kind in ("codes", "value_first"):
            alphabet, first = rng.choice(self.config.alphabets), kind == "value_first"
            return codes(rng, language, count, self.config.digits, alphabet, "seen", first, owners)
        if kind == "facts":
            return different_facts(rng, language, count, self.config.attributes, "seen", owners)
        return facts(rng, language, count, "seen", owners)


@contextmanager
def _setting(key: str) -> Iterator[None]:
    """Name the wrong setting in errors."""
    try:
        yield
    except BadInputError as error:
        raise BadInputError(
            f"{key}: {error} (change {key} in the configuration or with --set {key}=[your.jsonl]; "
            "paths start from the working directory)"
        ) from error


def _characters_per_token(corpus: Corpus, encoder: TextEncoder) -> float:
    """Measure characters per token on the first documents."""
    sample = "".join(corpus.texts[:50])[:100_000]
    return len(sample) / len(encoder.encode(sample))
