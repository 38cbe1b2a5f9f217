"""Particles must fit the word before them, whatever it is written in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsity.data.text.particles import fill, particle

PAIRS = ("은/는", "이/가", "을/를", "과/와", "으로/로", "이에요/예요")


@pytest.mark.parametrize(
    ("word", "topic", "toward"),
    [
        ("도서관", "은", "으로"),
        ("보건소", "는", "로"),
        ("수영장", "은", "으로"),
        ("교실", "은", "로"),
        ("주민센터", "는", "로"),
        ("120", "은", "으로"),
        ("41", "은", "로"),
        ("42", "는", "로"),
        ("43", "은", "으로"),
        ("44", "는", "로"),
        ("45", "는", "로"),
        ("46", "은", "으로"),
        ("47", "은", "로"),
        ("48", "은", "로"),
        ("49", "는", "로"),
        ("PIN", "은", "으로"),
        ("URL", "은", "로"),
        ("USB", "는", "로"),
        ("Google", "은", "로"),
        ("Internet", "은", "으로"),
        ("Facebook", "은", "으로"),
        ("Windows", "는", "로"),
        ("서울(Seoul)", "은", "로"),
        ("'보건소'", "는", "로"),
        ("30%", "는", "로"),
        ("1f0c-5ab", "는", "로"),
    ],
)
def test_particle_follows_the_last_sound(word: str, topic: str, toward: str) -> None:
    assert particle(word, "은/는") == topic
    assert particle(word, "으로/로") == toward


@pytest.mark.parametrize("pair", PAIRS)
def test_consonant_takes_the_first_form_and_vowel_the_second(pair: str) -> None:
    first, second = pair.split("/")
    assert particle("책", pair) == first
    assert particle("나무", pair) == second


@pytest.mark.parametrize("pair", [pair for pair in PAIRS if pair != "으로/로"])
def test_rieul_is_a_consonant_for_all_but_euro(pair: str) -> None:
    assert particle("물", pair) == pair.split("/")[0]


@given(
    head=st.text(alphabet=st.characters(min_codepoint=0xAC00, max_codepoint=0xD7A3), max_size=5),
    last=st.sampled_from("가나다라마바사"),
)
def test_only_the_last_syllable_counts(head: str, last: str) -> None:
    for pair in PAIRS:
        assert particle(head + last, pair) == particle(last, pair)


@pytest.mark.parametrize("pair", ["은는", "은/", "/는", ""])
def test_a_pair_needs_two_forms(pair: str) -> None:
    with pytest.raises(ValueError, match="two forms"):
        particle("책", pair)


def test_fill_fits_particles_to_values_and_to_plain_words() -> None:
    template = "{place}{은는} 번호{을를} {code}{으로} 바꾸었고, {code}{이가} 새 번호{이에요}."
    assert fill(template, place="도서관", code="48217") == (
        "도서관은 번호를 48217로 바꾸었고, 48217이 새 번호예요."
    )
    assert fill(template, place="보건소", code="52") == (
        "보건소는 번호를 52로 바꾸었고, 52가 새 번호예요."
    )


def test_fill_refuses_an_unknown_field() -> None:
    with pytest.raises(KeyError):
        fill("{place}{은는} {missing}", place="도서관")
