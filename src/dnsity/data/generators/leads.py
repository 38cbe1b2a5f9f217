"""The sentence an encyclopedia article opens with, taken apart: what it defines, and as what.

    In woodworking, a nail (or spike) is a pin-shaped object of metal, used as a fastener.
    before          subject              definition

The title says where the subject is: a sentence whose subject shares no word with it, or which
defines nothing ("was passed by", "is located in"), is not read. Precision before recall.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from dnsity.data.example import Language
from dnsity.data.generators.rules.check import rules_for
from dnsity.data.generators.rules.page import BLANK, split_sentences, whole
from dnsity.data.text.particles import particle

_ASIDE = re.compile(r"\s*(?:\([^()]*\)|\[[^\[\]]*\])|\s\](?=[\s,.])")
_LOST_WORD = re.compile(r"\b(\w+) \1\b|를로 |(?<![마가])을로 ")
_LENGTHS: dict[Language, tuple[int, int]] = {"en": (30, 320), "ko": (18, 200)}
_LONGEST_DEFINITION = 160
_LEAST_TELLING = 2
"""Content words a masked sentence must have left: "____ is a ____ genre." could open any text."""

_ENGLISH = re.compile(
    r"(?P<before>(?:In|Within|Among|Officially) ?[^,]{0,60}, )?(?P<subject>.{1,150}?),? "
    r"(?P<verb>is|was|are|were) "
    r"(?P<definition>(?!(?:\w+ed|\w+ing|also|not|both|known|held|found|made|built|given|set|that|"
    r"when|where|to)\b).+)\."
)
_NO_SUBJECT = re.compile(r"\b(?:where(?:by)?|which|who|that|takes|roles?|terms?)\b")
# What stands behind one of these adds to the definition; "that" and "in which" belong to it, and
# so does a name (Charles, Prince of Wales).
_ENGLISH_END = re.compile(r",(?= [^A-Z])|[;:] | [–—-] | and (?:is|was|are|were|has|had|served) |$")  # noqa: RUF001
_LEAST_WORDS = 3
# Not here: "an Austrian, and later American, logician", "the art of creating, granting arms".
_GOES_ON = re.compile(r"[A-Z]\w+(?:an|ish|ese)$|ing$|^the \w+(?:, \w+)*$")
_ENGLISH_STOP = frozenset("the and for from with that its his her who was are".split())

_OPEN = f"[{''.join(map(chr, range(0xAC00, 0xD7A4, 28)))}]"  # syllables that end in a vowel
# What ends a definition. A verb between two clauses may look like the copula (높이고, 활약하였다),
# and bare 다 is one only behind a noun that ends in a vowel (배우다).
_KOREAN_ENDS = (
    r"(?<![높줄보모쓰놓붙들숙먹죽끓녹속])이(?:다\.|었다\.|였다\.|며|자|고|었으며|었고|기도|면서)",
    r"(?<![하되쓰보붙])였(?:다\.|으며|고)",
    rf"(?<={_OPEN})(?<![르크하되쓰])다\.$",
    r"(?:을|를) (?:말한|뜻한|가리킨|의미한|일컫는|이른)다\.$",
    r"(?:으로|로)서?,",
    r"(?<=[한된진] 전[쟁투])(?:으로|로) ",
    r"(?<=인물|투수|루수|선수|배우|가수|대학|종친|장군|영화|트콤|라마|리즈)(?:으로|로) "
    r"(?!제작|만[든들]|각색|옮긴|[하한되된])",
)
# A verb before a noun ends like the particle: 하는, 작은, 또는.
_KOREAN = re.compile(
    r"(?P<before>(?:\S+ ){0,3}\S+에서,? )?"
    r"(?P<subject>.{1,60}?)(?<![또혹같많작있하되없좋않높깊]) ?(?P<topic>은|는|이란|란),? "
    rf"(?P<definition>.+?)(?:{'|'.join(_KOREAN_ENDS)})"
)
_META = re.compile(r"(?:이|본) (?:문서|글|항목)|아래|다음|여기")
_NAMING = re.compile(r"(?:명칭|이름|본명|별칭|뜻|줄임말|약자)$")


@dataclass(frozen=True, slots=True)
class Lead:
    """The first sentence of an article; asides in brackets are left out.

    Attributes:
        sentence: All of it.
        masked: The same with a blank for the subject, and for the words of the title elsewhere.
        definition: What the subject is said to be, up to the first addition.
    """

    sentence: str
    masked: str
    definition: str


def read_lead(paragraph: str, title: str, language: Language) -> Lead | None:
    """Read the first sentence of an article.

    Args:
        paragraph: Its first paragraph.
        title: Its title, without the aside that tells it from its namesakes.
        language: Its language.

    Returns:
        None if the sentence is damaged or does not say what the title is.
    """
    sentence = next(iter(split_sentences(_without_asides(paragraph))), "")
    if not whole(sentence, *_LENGTHS[language]) or _LOST_WORD.search(sentence):
        return None
    match = (_ENGLISH if language == "en" else _KOREAN).match(sentence)
    words = _title_words(title, language)
    if not match or not any(word in match["subject"].casefold() for word in words):
        return None
    before, subject, definition = match["before"] or "", match["subject"], match["definition"]
    rest = sentence[match.start("definition") :]
    if language == "en":
        defines = not _NO_SUBJECT.search(subject)
        definition = _shortened(definition)
        if "," not in subject:  # one that only closed an aside
            sentence = f"{before}{subject} {match['verb']} {rest}"
        opening = f"{BLANK} {match['verb']} "
    else:
        defines = not _META.match(sentence) and not _NAMING.search(subject)
        # The particle fitted the aside that is left out; which form fits the blank is not said.
        topic = particle(subject, "은/는") if match["topic"] in "은는" else match["topic"]
        sentence = f"{before}{subject}{topic} {rest}"
        opening = f"{BLANK}은(는) "
    masked = _mask(before + opening + rest, words, language)
    telling = len(rules_for(language).words(masked)) >= _LEAST_TELLING
    named = title.casefold() in definition.casefold()
    if not defines or not telling or named or len(definition) > _LONGEST_DEFINITION:
        return None
    return Lead(sentence, masked, definition)


def _without_asides(text: str) -> str:
    """Leave out what is in brackets, however deep, and mend the white space around it."""
    before = ""
    while text != before:
        before, text = text, _ASIDE.sub("", text)
    return re.sub(r",(?:\s*,)+", ",", re.sub(r"\s+([,.;])", r"\1", text))


def _shortened(definition: str) -> str:
    """Cut off what only adds to an English definition."""
    for end in _ENGLISH_END.finditer(definition):
        short = definition[: end.start()]
        goes_on = _GOES_ON.search(short) or short.count('"') % 2
        if len(short.split()) >= _LEAST_WORDS and not goes_on:
            return short
    return definition


def _title_words(title: str, language: Language) -> list[str]:
    """The words that give a title away, longest first."""
    words = re.findall(r"[^\W_]+", title.casefold())
    least = 2 if language == "ko" else 3
    telling = [word for word in words if len(word) >= least and word not in _ENGLISH_STOP]
    return sorted(telling or words, key=len, reverse=True)


def _mask(sentence: str, words: list[str], language: Language) -> str:
    """Blank the words of a title; in Korean also inside words, as particles are written on."""
    edge = r"\b" if language == "en" else ""
    shape = "|".join(rf"{edge}{re.escape(word)}{'s?' if edge else ''}{edge}" for word in words)
    return re.sub(rf"(?:{shape})(?:[ ·,]*(?:{shape}))*", BLANK, sentence, flags=re.IGNORECASE)
