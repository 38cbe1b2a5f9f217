"""Types in which a language describes the facts that it can state.

The wordings are data in the folders of the languages; `needles` samples from them.
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
"""Which sentences, questions and names: all, those of training, or those held out from training.
`named` is for passkeys: the sentence and question of the original test (Mohtashami and Jaggi,
2305.16300), with named passkeys, since an instruct model that is asked for "the passkey" explains
what a passkey is."""
_UNSEEN_STEMS = 8
"""One name stem in so many is held out from training."""
_TWO_WORDS = 0.6
"""Share of the names in `Wording.about` that have two words."""
_LISTED = 0.5
"""Share of the persons in `Wording.about` that keep a usual name."""


@dataclass(frozen=True, slots=True)
class Value:
    """A random value: as the sentence shows it, and its shortest span that is an answer."""

    shown: str
    answer: str


@dataclass(frozen=True, slots=True)
class Group:
    """Entities of one type, each named by a stem and a sort ("Halden" + "Public Library").

    The two parts allow entities that differ in only one of them. `article` precedes the name in a
    sentence.
    """

    sorts: Sequence[str]
    stem: Callable[[random.Random], str]
    article: str = ""


@dataclass(frozen=True, slots=True)
class Kind:
    """One attribute of entities, with sentences that state it and questions that ask for it.

    If it has several names (`nouns`), sentence and question use the same one as `{n}`. The
    sentences of `further` are for training only, so that adding some does not change evaluation.
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
    """Sentences and questions on passkeys with noun `{n}`; `named` are nouns with a name."""

    nouns: Sequence[str]
    sentences: Sequence[str]
    questions: Sequence[str]
    further: Sequence[str] = ()
    named: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Wording:
    """Everything that needles need of one language; `fill` also takes care of the grammar.

    `hard` has attributes whose values cannot be guessed: `word`, `spoken` (five digits as words)
    and `uuid`. They are for needle tests, not for training. `variations` apply to training only.
    """

    groups: Mapping[str, Group]
    kinds: Sequence[Kind]
    hard: Mapping[str, Kind]
    passkeys: PasskeyWording
    fill: Callable[..., str]
    variations: Variations | None = None

    def sentence(self, rng: random.Random, template: str) -> str:
        """Vary the template of a sentence if this wording is for training."""
        return self.variations.sentence(rng, template) if self.variations else template

    def question(self, rng: random.Random, template: str) -> str:
        """Vary the template of a question if this wording is for training."""
        return self.variations.question(rng, template) if self.variations else template

    def part(self, part: Part) -> Wording:
        """Return one part of the sentences, questions and names; parts are disjoint.

        Unseen are the last sentence and question of every attribute, and stems of names with a
        certain hash, so the split does not depend on the random sequence.
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
        """Return a wording that names entities and half of the persons by these words."""

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
    def sampled(rng: random.Random) -> str:
        while True:
            name = stem(rng)
            unseen = zlib.crc32(name.encode()) % _UNSEEN_STEMS == 0
            if unseen == (part == "unseen"):
                return name

    return sampled


def code_value(rng: random.Random) -> Value:
    """Sample a five-digit code."""
    code = str(rng.randrange(10_000, 100_000))
    return Value(code, code)


def extension_number(rng: random.Random) -> str:
    """Sample a telephone extension of three or four digits."""
    return str(rng.randrange(100, 1000) if rng.random() < 0.6 else rng.randrange(1000, 10_000))


def uuid_value(rng: random.Random) -> Value:
    """Sample a random UUID: 32 hexadecimal digits in five groups."""
    text = str(uuid.UUID(int=rng.getrandbits(128), version=4))
    return Value(text, text)


def spoken_value(rng: random.Random, digits: Sequence[str], length: int = 5) -> Value:
    """Sample a number that is spelled digit by digit; `digits` are the words for 0 to 9."""
    text = " ".join(rng.choice(digits) for _ in range(length))
    return Value(text, text)
