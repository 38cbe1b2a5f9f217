"""The opening sentence of an encyclopedia article: which subject it defines, and as what.

    In woodworking, a nail (or spike) is a pin-shaped object of metal, used as a fastener.
    before          subject              definition

The title tells where the subject is. A sentence whose subject shares no word with the title, or
that defines nothing ("was passed by", "is located in"), is not used: precision before recall.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from dnsity.data.example import Language
from dnsity.data.generators.language_pack import LeadGrammar
from dnsity.data.generators.languages import LANGUAGES
from dnsity.data.generators.rules.page import BLANK, split_sentences, whole

_ASIDE = re.compile(r"\s*(?:\([^()]*\)|\[[^\[\]]*\])|\s\](?=[\s,.])")
_LOST_WORD = re.compile(r"\b(\w+) \1\b|를로 |(?<![마가])을로 ")
_LONGEST_DEFINITION = 160
_LEAST_TELLING = 2
"""Fewest content words of a masked sentence: "____ is a ____ genre." could open many texts."""
_STOP_WORDS = frozenset("the and for from with that its his her who was are".split())
"""Words of English titles, which Korean articles have too, that do not give a title away."""


@dataclass(frozen=True, slots=True)
class Lead:
    """The first sentence of an article, without asides in brackets.

    Attributes:
        sentence: The whole sentence.
        masked: The same with a blank for the subject, and for the title's words elsewhere.
        definition: What the subject is said to be, up to the first addition.
    """

    sentence: str
    masked: str
    definition: str


def read_lead(paragraph: str, title: str, language: Language) -> Lead | None:
    """Parse the first sentence of an article.

    Args:
        paragraph: Its first paragraph.
        title: Its title, without an aside such as "(mathematics)".
        language: Its language.

    Returns:
        None if the sentence is damaged or does not say what the title is.
    """
    pack = LANGUAGES[language]
    sentence = next(iter(split_sentences(_without_asides(paragraph))), "")
    if not whole(sentence, *pack.leads.characters) or _LOST_WORD.search(sentence):
        return None
    match = pack.leads.pattern.match(sentence)
    words = _title_words(title, pack.leads.title_letters)
    if not match or not any(word in match["subject"].casefold() for word in words):
        return None
    opening = pack.leads.define(match)
    if opening is None:
        return None
    masked = _mask(opening.blanked, words, pack.leads)
    telling = len(pack.rules.words(masked)) >= _LEAST_TELLING
    named = title.casefold() in opening.definition.casefold()
    if not telling or named or len(opening.definition) > _LONGEST_DEFINITION:
        return None
    return Lead(opening.sentence, masked, opening.definition)


def _without_asides(text: str) -> str:
    """Remove text in nested brackets and repair the white space around it."""
    before = ""
    while text != before:
        before, text = text, _ASIDE.sub("", text)
    return re.sub(r",(?:\s*,)+", ",", re.sub(r"\s+([,.;])", r"\1", text))


def _title_words(title: str, least: int) -> list[str]:
    """Return the words that give a title away, longest first."""
    words = re.findall(r"[^\W_]+", title.casefold())
    telling = [word for word in words if len(word) >= least and word not in _STOP_WORDS]
    return sorted(telling or words, key=len, reverse=True)


def _mask(sentence: str, words: list[str], grammar: LeadGrammar) -> str:
    """Blank the words of a title."""
    shape = "|".join(map(grammar.word_pattern, words))
    return re.sub(rf"(?:{shape})(?:[ ·,]*(?:{shape}))*", BLANK, sentence, flags=re.IGNORECASE)
