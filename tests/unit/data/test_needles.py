"""Needles must be answerable from their sentence, and never confusable by accident."""

from __future__ import annotations

import random
import re
from itertools import chain, combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsity.data.example import Language
from dnsity.data.generators import languages
from dnsity.data.generators.needles import (
    Needle,
    NeedleKind,
    codes,
    different_facts,
    fact,
    facts,
    passkey,
    passphrase,
    sample_needles,
)
from dnsity.data.generators.wording import Wording
from dnsity.data.text.particles import particle

LANGUAGES: tuple[Language, ...] = ("en", "ko")
WORDINGS = {language: pack.wording for language, pack in languages.LANGUAGES.items()}
KINDS = {
    "access_code",
    "extension",
    "opening_time",
    "closing_time",
    "fee",
    "phone",
    "room",
    "person",
    "capacity",
    "deadline",
    "street",
}
MANY = 400

languages = st.sampled_from(LANGUAGES)
seeds = st.integers(min_value=0, max_value=2**32)


def draw_many(language: Language, seed: int = 0) -> list[Needle]:
    rng = random.Random(seed)
    return [fact(rng, language) for _ in range(MANY)]


@given(seed=seeds, language=languages, digits=st.integers(min_value=1, max_value=12))
def test_passkey_has_its_digits_and_is_in_its_sentence(
    seed: int, language: Language, digits: int
) -> None:
    needle = passkey(random.Random(seed), language, digits)
    assert re.fullmatch(rf"\d{{{digits}}}", needle.answer)
    assert needle.answer in needle.sentence
    assert needle.kind == "passkey"
    assert all(needle.answer not in question for question in needle.questions)


@given(seed=seeds, language=languages)
def test_passkey_question_uses_the_noun_of_the_sentence(seed: int, language: Language) -> None:
    needle = passkey(random.Random(seed), language)
    nouns = WORDINGS[language].passkeys.nouns
    assert any(
        noun in needle.sentence and all(noun in question for question in needle.questions)
        for noun in nouns
    )


def test_the_plain_passkey_question_is_always_listed() -> None:
    rng = random.Random(0)
    named = [
        needle
        for needle in (passkey(rng, "en") for _ in range(MANY))
        if "passkey" in needle.sentence
    ]
    assert named
    assert all("What is the passkey?" in needle.questions for needle in named)


@given(seed=seeds, language=languages, value=st.sampled_from(["river", "Kansas of", "바람이 분"]))
def test_a_passphrase_stands_in_its_sentence_as_it_is(
    seed: int, language: Language, value: str
) -> None:
    needle = passphrase(random.Random(seed), language, value)
    assert value in needle.sentence
    assert (needle.answer, needle.kind) == (value, "passphrase")
    assert all(value not in question for question in needle.questions)


def test_a_passphrase_that_no_sentence_can_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="unchanged"):
        passphrase(random.Random(0), "en", "and .. so")


@pytest.mark.parametrize("language", LANGUAGES)
def test_codes_have_owners_of_every_nature(language: Language) -> None:
    rng = random.Random(0)
    sentences = [needle.sentence for _ in range(200) for needle in codes(rng, language, 1)]
    for group in WORDINGS[language].groups.values():
        assert any(sort in sentence for sentence in sentences for sort in group.sorts)


@pytest.mark.parametrize("language", LANGUAGES)
def test_codes_can_all_stand_before_their_owners(language: Language) -> None:
    """Sentences of either order are drawn otherwise, so that the wish has something to do."""
    rng = random.Random(0)

    def orders(value_first: bool) -> set[bool]:
        drawn = [codes(rng, language, 2, value_first=value_first) for _ in range(100)]
        return {n.sentence.index(n.answer) < n.sentence.index(n.entity) for n in chain(*drawn)}

    assert orders(value_first=True) == {True}
    assert orders(value_first=False) == {True, False}


@pytest.mark.parametrize("language", LANGUAGES)
def test_owners_can_be_named_by_any_words(language: Language) -> None:
    """One or two of them, and by nothing from the lists of places and projects."""
    words = ["river", "glass", "lantern", "수레", "바람"]
    rng = random.Random(0)
    drawn = [
        *chain(*(codes(rng, language, 3, owners=words) for _ in range(30))),
        *chain(*(facts(rng, language, 3, owners=words) for _ in range(30))),
        *chain(*(different_facts(rng, language, 3, owners=words) for _ in range(30))),
    ]
    named = [needle.entity.split() for needle in drawn]
    assert set(chain(*named)) == set(words)
    assert {len(name) for name in named} == {1, 2}
    for needle in drawn:
        assert "  " not in needle.sentence
        assert needle.entity.casefold() in needle.sentence.casefold()  # one may begin it
        assert all(needle.entity in question for question in needle.questions)


@pytest.mark.parametrize("language", LANGUAGES)
def test_different_facts_have_an_attribute_each(language: Language) -> None:
    rng = random.Random(0)
    for _ in range(50):
        kinds = [needle.kind for needle in different_facts(rng, language, len(KINDS))]
        assert len(set(kinds)) == len(KINDS)


def test_passkey_refuses_no_digits() -> None:
    with pytest.raises(ValueError, match="at least one digit"):
        passkey(random.Random(0), "en", 0)


@pytest.mark.parametrize("wording", WORDINGS.values(), ids=WORDINGS.keys())
def test_there_are_enough_different_wordings(wording: Wording) -> None:
    passkeys = wording.passkeys
    assert len(set(passkeys.sentences)) >= 8
    assert len(set(passkeys.nouns)) >= 5
    assert len(set(passkeys.questions)) >= 4
    assert {kind.name for kind in wording.kinds} == KINDS
    for kind in wording.kinds:
        assert len(set(kind.sentences)) >= 4, kind.name
        assert len(set(kind.questions)) >= 3, kind.name


@given(seed=seeds, language=languages)
def test_fact_is_stated_once_and_asked_about_its_entity(seed: int, language: Language) -> None:
    needle = fact(random.Random(seed), language)
    assert needle.sentence.count(needle.answer) == 1
    assert needle.entity in needle.sentence
    assert all(needle.entity in question for question in needle.questions)
    assert all(needle.answer not in question for question in needle.questions)
    assert needle.kind.removeprefix("fact:") in KINDS


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_field_is_left_open_and_every_sentence_is_closed(language: Language) -> None:
    for needle in draw_many(language):
        for text in (needle.sentence, *needle.questions):
            assert not set("{}") & set(text)
            assert "  " not in text
            assert not text[0].islower()
        assert re.search(r"[^.]\.$", needle.sentence)
        assert all(question[-1] in "?." for question in needle.questions)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_kind_is_drawn_and_entities_rarely_repeat(language: Language) -> None:
    needles = draw_many(language)
    assert {needle.kind for needle in needles} == {f"fact:{kind}" for kind in KINDS}
    assert len({needle.entity for needle in needles}) > 0.95 * MANY


def test_korean_particles_fit_the_entity() -> None:
    checked = 0
    for needle in draw_many("ko"):
        for text in (needle.sentence, *needle.questions):
            for pair in ("은/는", "을/를"):
                first, second = pair.split("/")
                found = re.search(rf"{re.escape(needle.entity)}({first}|{second}) ", text)
                if found:
                    checked += 1
                    assert found.group(1) == particle(needle.entity, pair), text
    assert checked > MANY // 10


@given(seed=seeds, language=languages, count=st.integers(min_value=0, max_value=24))
def test_no_two_facts_collide(seed: int, language: Language, count: int) -> None:
    needles = facts(random.Random(seed), language, count)
    assert len(needles) == count
    for one, two in combinations(needles, 2):
        assert (one.entity, one.kind) != (two.entity, two.kind)
        assert one.answer not in two.sentence
        assert two.answer not in one.sentence


@pytest.mark.parametrize("language", LANGUAGES)
def test_sets_of_facts_hold_hard_distractors(language: Language) -> None:
    sets = [facts(random.Random(seed), language, 4) for seed in range(100)]
    same_entity = sum(len({needle.entity for needle in found}) < len(found) for found in sets)
    same_kind = sum(len({needle.kind for needle in found}) < len(found) for found in sets)
    assert same_entity > len(sets) // 4
    assert same_kind > len(sets) // 4


@given(seed=seeds, language=languages)
def test_the_seed_decides_everything(seed: int, language: Language) -> None:
    def draw() -> list[Needle]:
        rng = random.Random(seed)
        return [passkey(rng, language), fact(rng, language), *facts(rng, language, 5)]

    assert draw() == draw()


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_unseen_is_never_seen(language: Language) -> None:
    """A sentence, a question and a name of one part occur in the other in no attribute."""
    seen, unseen = (WORDINGS[language].part(part) for part in ("seen", "unseen"))

    def phrases(wording: Wording, field: str) -> set[str]:
        phrased = (*wording.kinds, *wording.hard.values(), wording.passkeys)
        return {text for each in phrased for text in getattr(each, field)}

    for field in ("sentences", "questions"):
        assert phrases(seen, field).isdisjoint(phrases(unseen, field))
        both = phrases(seen, field) | phrases(unseen, field)
        trained = phrases(WORDINGS[language], "further") if field == "sentences" else set()
        assert both - trained == phrases(WORDINGS[language], field)
        assert trained.isdisjoint(phrases(WORDINGS[language], field))
    rng = random.Random(0)
    for group in WORDINGS[language].groups:
        names = [{w.groups[group].stem(rng) for _ in range(MANY)} for w in (seen, unseen)]
        assert names[0].isdisjoint(names[1])
        assert len(names[1]) >= 4


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", ["passkey", "word", "spoken", "fact", "uuid"])
def test_needles_of_a_part_are_put_in_its_words(language: Language, kind: NeedleKind) -> None:
    rng = random.Random(1)
    asked = {
        part: {
            question.replace(needle.entity, "")
            for _ in range(MANY)
            for needle in sample_needles(rng, language, kind, 2, part=part)
            for question in needle.questions
            if needle.entity
        }
        for part in ("seen", "unseen")
    }
    assert asked["seen"].isdisjoint(asked["unseen"])
