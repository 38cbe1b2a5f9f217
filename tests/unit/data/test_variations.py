"""Training varies sentences and questions, evaluation uses the plain templates."""

from __future__ import annotations

import random
import re

import pytest

from dnsity.data.example import Language
from dnsity.data.generators.en import variations as en
from dnsity.data.generators.ko import variations as ko
from dnsity.data.generators.languages import LANGUAGES as PACKS
from dnsity.data.generators.needles import Needle, facts, passkey
from dnsity.data.generators.wording import Part, Wording
from dnsity.data.text.particles import fill

WORDINGS: dict[Language, Wording] = {name: pack.wording for name, pack in PACKS.items()}
VARIATIONS = {"en": en.VARIATIONS, "ko": ko.VARIATIONS}
LANGUAGES: tuple[Language, ...] = ("en", "ko")
MANY = 400


def sampled(language: Language, part: Part) -> list[Needle]:
    rng = random.Random(5)
    return [
        needle
        for _ in range(MANY // 2)
        for needle in (passkey(rng, language, part=part), *facts(rng, language, 1, part))
    ]


def bare(needle: Needle) -> str:
    """The sentence without what was filled in."""
    return re.sub(r"\d", "#", needle.sentence.replace(needle.answer, "#"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_training_sees_passkeys_in_more_sentences_than_there_are_templates(
    language: Language,
) -> None:
    rng = random.Random(0)
    wording = WORDINGS[language]
    # Twice, for a Korean particle takes one of two forms after the number.
    possible = 2 * len(wording.passkeys.sentences) * len(wording.passkeys.nouns)
    for part, more in (("all", False), ("seen", True)):
        needles = [passkey(rng, language, part=part) for _ in range(4 * possible)]
        assert (len({bare(needle) for needle in needles}) > possible) is more, part


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("part", ["all", "unseen"])
def test_evaluation_uses_plain_templates(language: Language, part: Part) -> None:
    rng = random.Random(1)
    plain = WORDINGS[language].part(part).passkeys
    for _ in range(MANY):
        needle = passkey(rng, language, part=part)
        assert needle.sentence in {
            WORDINGS[language].fill(sentence, n=noun, v=needle.answer)
            for sentence in plain.sentences
            for noun in plain.nouns
        }
        assert len(needle.questions) == len(plain.questions)
        assert set(needle.questions) & {
            WORDINGS[language].fill(plain.questions[0], n=noun) for noun in plain.nouns
        }


@pytest.mark.parametrize("language", LANGUAGES)
def test_varied_questions_still_name_what_they_ask_for(language: Language) -> None:
    for needle in sampled(language, "seen"):
        assert needle.answer in needle.sentence
        for question in needle.questions:
            assert needle.answer not in question
            if needle.entity:
                assert needle.entity.casefold() in question.casefold()


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_variation_makes_a_seen_question_or_sentence_an_unseen_one(language: Language) -> None:
    rng, variations = random.Random(2), VARIATIONS[language]
    seen, unseen = (WORDINGS[language].part(part) for part in ("seen", "unseen"))
    for mine, theirs in zip(
        (*seen.kinds, seen.passkeys), (*unseen.kinds, unseen.passkeys), strict=True
    ):
        for template in mine.questions:
            assert {variations.question(rng, template) for _ in range(60)}.isdisjoint(
                theirs.questions
            )
        for template in mine.sentences:
            assert {variations.sentence(rng, template) for _ in range(20)}.isdisjoint(
                theirs.sentences
            )


def test_a_sentence_continues_in_lower_case_unless_it_begins_with_a_name() -> None:
    rng = random.Random(3)
    plain, named = "The {n} is {v}.", "{e} opens at {v}."
    for _ in range(MANY):
        for varied in (
            VARIATIONS["en"].sentence(rng, plain),
            VARIATIONS["en"].question(rng, "Which {n} is it?"),
        ):
            assert not re.search(r", (The|Which)\b", varied)
            assert not re.search(r"[.!?] (the|which)\b", varied)
        assert "{e} opens at {v}." in VARIATIONS["en"].sentence(rng, named)
    assert "I need the {n}." in {
        VARIATIONS["en"].question(rng, "I need the {n}.")[-len("I need the {n}.") :]
        for _ in range(MANY)
    }


def test_korean_frames_take_the_particle_of_the_name_that_is_asked_for() -> None:
    rng, asked = random.Random(4), "{n}{은는} 무엇인가요?"
    varied = [VARIATIONS["ko"].question(rng, asked) for _ in range(MANY)]
    vowel, consonant = ({fill(text, n=noun) for text in varied} for noun in ("암호", "핀 번호판"))
    assert "암호를 찾아 주세요." in vowel
    assert "핀 번호판을 찾아 주세요." in consonant
    assert not any("{" in text for text in vowel | consonant)


def test_a_question_that_names_only_its_entity_is_asked_for_no_name() -> None:
    """What is wanted ("언제") would be lost with the rest of the question."""
    rng = random.Random(6)
    for _ in range(MANY):
        question = VARIATIONS["ko"].question(rng, "{e}{은는} 언제 문을 여나요?")
        assert question != "{e}?"
        assert not question.startswith(("{e}{을를} 찾아", "{e} 부탁", "{e}{이가} 어떻게"))
