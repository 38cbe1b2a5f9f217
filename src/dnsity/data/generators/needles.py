"""Needles: single sentences to remember, each with questions on what it says.

A model must not succeed by repeating the only unusual number. So the facts of a set share their
attribute, their entity or half of the entity's name, and only the question distinguishes them.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import combinations
from typing import Literal

from dnsity.data.example import Language
from dnsity.data.generators.languages import LANGUAGES
from dnsity.data.generators.wording import Kind, Part, Value, Wording
from dnsity.errors import BadInputError

ATTRIBUTES = sorted({kind.name for pack in LANGUAGES.values() for kind in pack.wording.kinds})
"""Attributes that a fact can state."""
# Probability that a fact shares the entity or the attribute of an earlier one of its set.
_SAME_ENTITY, _SAME_KIND = 0.3, 0.4
_TRIES_PER_FACT = 200


NeedleKind = Literal["passkey", "word", "spoken", "fact", "uuid"]
"""What a needle's value is, from easy to hard to copy; see `sample_needles`."""


@dataclass(frozen=True, slots=True)
class Needle:
    """A sentence to hide in a text.

    Attributes:
        sentence: What is hidden.
        questions: Wordings of one and the same question.
        answer: The shortest span of the sentence that answers it.
        kind: ``"passkey"`` or ``"fact:"`` and the attribute.
        entity: What the fact is about, without an article; empty for a passkey.
    """

    sentence: str
    questions: tuple[str, ...]
    answer: str
    kind: str
    entity: str = ""


@dataclass(frozen=True, slots=True)
class _Entity:
    """An entity in parts, so that entities with similar names can be made."""

    group: str
    stem: str
    sort: str


def number(rng: random.Random, digits: int, alphabet: int = 10) -> str:
    """Sample a number that does not begin with 0.

    Args:
        rng: The only source of randomness.
        digits: How many digits it has.
        alphabet: How many different digits it has at most. With few, digits repeat, and copying by
            "what followed this digit before" fails.

    Raises:
        ValueError: If `digits` is below 1 or `alphabet` outside 1 to 10.
    """
    if digits < 1:
        raise ValueError(f"a passkey needs at least one digit, got {digits}")
    allowed = "".join(sorted(rng.sample("0123456789", alphabet)))
    first = rng.choice(allowed.replace("0", "") or "1")
    return first + "".join(rng.choice(allowed) for _ in range(digits - 1))


def passkey(
    rng: random.Random,
    language: Language,
    digits: int = 5,
    alphabet: int = 10,
    part: Part = "all",
) -> Needle:
    """Sample a passkey without an owner.

    Args:
        rng: The only source of randomness.
        language: Language of sentence and questions.
        digits: How many digits it has; the first is never 0.
        alphabet: How many different digits it has at most, see `number`.
        part: Which sentences and questions.

    Returns:
        A needle whose questions use the noun of its sentence.

    Raises:
        ValueError: If `digits` is below 1.
    """
    return _unnamed(rng, _wording(language, part), number(rng, digits, alphabet), "passkey")


def passphrase(rng: random.Random, language: Language, value: str, part: Part = "all") -> Needle:
    """State a passkey that is made of words, in the sentences of `passkey`.

    Args:
        rng: The only source of randomness.
        language: Language of sentence and questions.
        value: The words.
        part: Which sentences and questions.

    Raises:
        ValueError: If no sentence can contain the words unchanged, as with two full stops in a row.
    """
    return _unnamed(rng, _wording(language, part), value, "passphrase")


def fact(rng: random.Random, language: Language) -> Needle:
    """Sample one fact about a named entity."""
    wording = _wording(language, "all")
    kind = rng.choice(wording.kinds)
    return _state(rng, wording, kind, _entity(rng, wording, rng.choice(kind.groups)))


def facts(
    rng: random.Random,
    language: Language,
    count: int,
    part: Part = "all",
    owners: Sequence[str] = (),
) -> list[Needle]:
    """Sample facts that are easily confused but never contradict or coincide.

    Args:
        rng: The only source of randomness.
        language: Language of sentences and questions.
        count: How many facts.
        part: Which sentences, questions and names.
        owners: Words to name the entities by instead, see `Wording.about`.

    Returns:
        Needles in the order of sampling. No two have the same entity and attribute, and no answer
        occurs in the sentence of another.

    Raises:
        BadInputError: If so many distinct facts could not be found.
    """
    wording = _wording(language, part, owners)
    return _distinct(rng, wording, wording.kinds, count)


def different_facts(
    rng: random.Random,
    language: Language,
    count: int,
    attributes: Sequence[str] = (),
    part: Part = "all",
    owners: Sequence[str] = (),
) -> list[Needle]:
    """Sample facts that are easy to distinguish: all attributes and entities differ.

    Args:
        rng: The only source of randomness.
        language: Language of sentences and questions.
        count: How many facts; at most as many as there are attributes.
        attributes: Names of the allowed attributes (empty: all).
        part: Which sentences, questions and names.
        owners: Words to name the entities by instead, see `Wording.about`.

    Raises:
        ValueError: If there are not so many attributes, or no distinct facts were found.
    """
    wording = _wording(language, part, owners)
    names = sorted({k.name for k in wording.kinds if not attributes or k.name in attributes})
    if count > len(names):
        raise ValueError(f"there are {len(names)} attributes, not {count}")
    for _ in range(_TRIES_PER_FACT):
        chosen = [[k for k in wording.kinds if k.name == n] for n in rng.sample(names, count)]
        found = [_distinct(rng, wording, kinds, 1)[0] for kinds in chosen]
        if not any(_clash(one, two) for one, two in combinations(found, 2)):
            return found
    raise ValueError(f"could not find {count} distinct facts")


def sample_needles(
    rng: random.Random,
    language: Language,
    kind: NeedleKind,
    count: int,
    digits: Sequence[int] = (5, 6, 7),
    part: Part = "all",
) -> list[Needle]:
    """Sample needles for a test.

    Args:
        rng: The only source of randomness.
        language: Language of sentences and questions.
        kind: `passkey`: a single one has no owner, several have owners; `word`: a code word;
            `spoken`: five digits in words; `fact`: facts of every attribute; `uuid`.
        count: How many; they are easily confused.
        digits: Lengths of passkeys, sampled uniformly.
        part: Which sentences, questions and names.

    Raises:
        BadInputError: If so many distinct needles could not be found.
    """
    if kind == "fact":
        return facts(rng, language, count, part)
    if kind == "passkey" and count == 1:
        return [passkey(rng, language, rng.choice(digits), part=part)]
    if kind == "passkey":
        return codes(rng, language, count, digits, part=part)
    wording = _wording(language, part)
    return _distinct(rng, wording, [wording.hard[kind]], count)


def codes(
    rng: random.Random,
    language: Language,
    count: int,
    digits: Sequence[int] = (5,),
    alphabet: int = 10,
    part: Part = "all",
    value_first: bool = False,
    owners: Sequence[str] = (),
) -> list[Needle]:
    """Sample codes whose owners have similar names.

    Args:
        rng: The only source of randomness.
        language: Language of sentences and questions.
        count: How many.
        digits: Lengths of the codes, sampled uniformly.
        alphabet: How many different digits a code has at most, see `number`.
        part: Which sentences, questions and names.
        value_first: Only in sentences that name the code before its owner ("40917 is the PIN of
            Halden Museum"), which a causal model finds far harder to look up (docs/log.md).
        owners: Words to name the owners by instead, see `Wording.about`.

    Raises:
        BadInputError: If so many distinct codes could not be found.
    """

    def value(rng: random.Random) -> Value:
        text = number(rng, rng.choice(digits), alphabet)
        return Value(text, text)

    wording = _wording(language, part, owners)
    kinds = [replace(each, value=value) for each in wording.kinds if each.name == "access_code"]
    if value_first:
        kinds = [replace(k, sentences=[*filter(_value_first, k.sentences)]) for k in kinds]
    return _distinct(rng, wording, kinds, count)


def _value_first(sentence: str) -> bool:
    return sentence.index("{v}") < sentence.index("{e}")


def _wording(language: Language, part: Part, owners: Sequence[str] = ()) -> Wording:
    wording = _part(language, part)
    return wording.about(owners) if owners else wording


@cache
def _part(language: Language, part: Part) -> Wording:
    return LANGUAGES[language].wording.part(part)


def _unnamed(rng: random.Random, wording: Wording, value: str, kind: str) -> Needle:
    """State a value without an owner."""
    noun = rng.choice(wording.passkeys.nouns)
    # A sentence that begins with the value has its first letter capitalized.
    fitting = [s for s in wording.passkeys.sentences if value in wording.fill(s, n=noun, v=value)]
    if not fitting:
        raise ValueError(f"no sentence can contain {value!r} unchanged")
    sentence = wording.fill(wording.sentence(rng, rng.choice(fitting)), n=noun, v=value)
    questions = tuple(
        wording.fill(wording.question(rng, question), n=noun)
        for question in wording.passkeys.questions
    )
    return Needle(sentence, questions, value, kind)


def _distinct(
    rng: random.Random, wording: Wording, allowed: Sequence[Kind], count: int
) -> list[Needle]:
    """Sample needles of these attributes that do not clash."""
    found: list[Needle] = []
    earlier: list[tuple[Kind, _Entity]] = []
    for _ in range(_TRIES_PER_FACT * count):
        if len(found) == count:
            break
        kind, entity = _related(rng, wording, allowed, earlier)
        needle = _state(rng, wording, kind, entity)
        if not any(_clash(needle, other) for other in found):
            found.append(needle)
            earlier.append((kind, entity))
    if len(found) < count:
        raise BadInputError(
            f"could find only {len(found)} distinct facts, not {count}; ask for fewer, or for "
            "numbers of more digits"
        )
    return found


def _clash(one: Needle, two: Needle) -> bool:
    """Return whether two facts in one text would make an answer ambiguous."""
    same = one.entity == two.entity and one.kind == two.kind
    return same or one.answer in two.sentence or two.answer in one.sentence


def _related(
    rng: random.Random,
    wording: Wording,
    kinds: Sequence[Kind],
    earlier: Sequence[tuple[Kind, _Entity]],
) -> tuple[Kind, _Entity]:
    """Sample attribute and entity of the next fact, mostly similar to an earlier fact."""
    relation = rng.random()
    if earlier and relation < _SAME_ENTITY:
        entity = rng.choice(earlier)[1]
        return rng.choice([kind for kind in kinds if entity.group in kind.groups]), entity
    if earlier and relation < _SAME_ENTITY + _SAME_KIND:
        kind, entity = rng.choice(earlier)
        return kind, _namesake(rng, wording, kind, entity)
    kind = rng.choice(kinds)
    return kind, _entity(rng, wording, rng.choice(kind.groups))


def _entity(rng: random.Random, wording: Wording, group: str) -> _Entity:
    return _Entity(group, wording.groups[group].stem(rng), rng.choice(wording.groups[group].sorts))


def _namesake(rng: random.Random, wording: Wording, kind: Kind, entity: _Entity) -> _Entity:
    """Sample another entity that may share one half of its name with the given one."""
    other = _entity(rng, wording, entity.group)
    half = rng.randrange(3)
    if half == 0:
        return _Entity(entity.group, entity.stem, other.sort)
    if half == 1:
        return _Entity(entity.group, other.stem, entity.sort)
    return _entity(rng, wording, rng.choice(kind.groups))


def _state(rng: random.Random, wording: Wording, kind: Kind, entity: _Entity) -> Needle:
    """State one attribute of an entity."""
    bare_name = f"{entity.stem} {entity.sort}".strip()
    name = wording.groups[entity.group].article + bare_name
    value, noun = kind.value(rng), rng.choice(kind.nouns)
    stated = wording.sentence(rng, rng.choice(kind.sentences))
    sentence = wording.fill(stated, e=name, n=noun, v=value.shown)
    questions = tuple(
        wording.fill(wording.question(rng, question), e=name, n=noun) for question in kind.questions
    )
    return Needle(sentence, questions, value.answer, f"fact:{kind.name}", bare_name)
