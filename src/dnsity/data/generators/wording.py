"""The shape in which a language describes the facts it can state.

The wordings themselves are data, one file per language; what draws from them is in `needles`.
"""

from __future__ import annotations

import random
import uuid
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from string import capwords
from typing import Literal, TypeVar

from dnsity.data.generators.variations import Variations

Part = Literal["all", "seen", "unseen", "named"]
"""Which sentences, questions and names: every one, those of training, those held out from it, or,
of passkeys, the sentence and question of the original test (Mohtashami and Jaggi, 2305.16300) on
passkeys with a name: asked for "the passkey", an instruct model explains what a passkey is."""
_UNSEEN_STEMS = 8
"""One stem in so many is kept from training."""
_TWO_WORDS = 0.6
"""Share of the names in `Wording.about` that have two."""
_LISTED = 0.5
"""Share of the persons in `Wording.about` that keep a name as people have it."""


@dataclass(frozen=True, slots=True)
class Value:
    """A drawn value: as the sentence shows it, and the shortest span of it that answers."""

    shown: str
    answer: str


@dataclass(frozen=True, slots=True)
class Group:
    """Entities of one nature, each named by a stem and a sort ("Halden" + "Public Library").

    Two parts, so that entities which differ in only one of them can be made on purpose. `article`
    stands before the name in a sentence.
    """

    sorts: Sequence[str]
    stem: Callable[[random.Random], str]
    article: str = ""


@dataclass(frozen=True, slots=True)
class Kind:
    """One attribute an entity may have, with the ways to state it and to ask for it.

    Where it has several names (`nouns`), sentence and question use the same one, as `{n}`. Only
    training sees the sentences of `further`: they may grow while evaluation stays what it was.
    """

    name: str
    groups: Sequence[str]
    value: Callable[[random.Random], Value]
    sentences: Sequence[str]
    questions: Sequence[str]
    nouns: Sequence[str] = ("",)
    further: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class PasskeyWording:
    """The ways to state a passkey and to ask for it; `{n}` is the noun used, `named` has names."""

    nouns: Sequence[str]
    sentences: Sequence[str]
    questions: Sequence[str]
    further: Sequence[str] = ()
    named: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Wording:
    """Everything one language brings: `fill` also sees to its grammar.

    `hard` holds attributes whose values no knowledge of the world helps to copy: `word`, `spoken`
    (a number digit by digit in words) and `uuid`. They serve needle tests, not training. `dress` is
    worn by what is seen in training alone.
    """

    groups: Mapping[str, Group]
    kinds: Sequence[Kind]
    hard: Mapping[str, Kind]
    passkeys: PasskeyWording
    fill: Callable[..., str]
    variations: Variations | None = None

    def sentence(self, rng: random.Random, template: str) -> str:
        """Dress a sentence's template where this is what training sees."""
        return self.variations.sentence(rng, template) if self.variations else template

    def question(self, rng: random.Random, template: str) -> str:
        """Dress a question's template where this is what training sees."""
        return self.variations.question(rng, template) if self.variations else template

    def part(self, part: Part) -> Wording:
        """Keep one part of the sentences, questions and names, such that parts share none.

        Unseen are the last sentence and the last question of every attribute, and the stems of
        names that a hash picks, so the split does not depend on what else is drawn.
        """
        if part == "all":
            return replace(self, variations=None)
        if part == "named":
            return replace(self, variations=None, passkeys=_named(self.passkeys))
        return replace(
            self,
            variations=self.variations if part == "seen" else None,
            groups={
                name: replace(group, stem=_stems(group.stem, part))
                for name, group in self.groups.items()
            },
            kinds=[_phrases(kind, part) for kind in self.kinds],
            hard={name: _phrases(kind, part) for name, kind in self.hard.items()},
            passkeys=_phrases(self.passkeys, part),
        )

    def about(self, words: Sequence[str]) -> Wording:
        """Name every entity, and half of the persons, by one or two of these words."""

        def stem(rng: random.Random) -> str:
            return rng.choice(words) if rng.random() < _TWO_WORDS else ""

        def named(kind: Kind) -> Kind:
            def person(rng: random.Random) -> Value:
                if rng.random() < _LISTED:
                    return kind.value(rng)
                name = capwords(f"{stem(rng)} {rng.choice(words)}")
                return Value(name, name)

            return replace(kind, value=person) if kind.name == "person" else kind

        return replace(
            self,
            groups={
                name: replace(group, sorts=words, stem=stem) for name, group in self.groups.items()
            },
            kinds=[named(kind) for kind in self.kinds],
        )


_Phrased = TypeVar("_Phrased", Kind, PasskeyWording)


def _phrases(phrased: _Phrased, part: Part) -> _Phrased:
    kept = slice(-1) if part == "seen" else slice(-1, None)
    further = phrased.further if part == "seen" else ()
    return replace(
        phrased,
        sentences=tuple(phrased.sentences[kept]) + tuple(further),
        questions=phrased.questions[kept],
        further=(),
    )


def _named(passkeys: PasskeyWording) -> PasskeyWording:
    """Keep "The passkey for X is V. Remember it. V is the passkey for X." and its question."""
    said_twice = next(text for text in passkeys.sentences if text.count("{v}") == 2)
    return PasskeyWording(passkeys.named, (said_twice,), passkeys.questions[:1])


def _stems(stem: Callable[[random.Random], str], part: Part) -> Callable[[random.Random], str]:
    def drawn(rng: random.Random) -> str:
        while True:
            name = stem(rng)
            unseen = zlib.crc32(name.encode()) % _UNSEEN_STEMS == 0
            if unseen == (part == "unseen"):
                return name

    return drawn


def code_value(rng: random.Random) -> Value:
    """Draws a five-digit code."""
    code = str(rng.randrange(10_000, 100_000))
    return Value(code, code)


def extension_number(rng: random.Random) -> str:
    """Draws a telephone extension of three or four digits."""
    return str(rng.randrange(100, 1000) if rng.random() < 0.6 else rng.randrange(1000, 10_000))


def uuid_value(rng: random.Random) -> Value:
    """Draws a random UUID: 32 hexadecimal digits in five groups."""
    text = str(uuid.UUID(int=rng.getrandbits(128), version=4))
    return Value(text, text)


def spoken_value(rng: random.Random, digits: Sequence[str], length: int = 5) -> Value:
    """Draws a number that is read out digit by digit; `digits` are the words for 0 to 9."""
    text = " ".join(rng.choice(digits) for _ in range(length))
    return Value(text, text)
