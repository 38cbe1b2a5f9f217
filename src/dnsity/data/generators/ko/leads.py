"""Korean opening sentences of encyclopedia articles: which subject is defined, and as what."""

from __future__ import annotations

import re

from dnsity.data.generators.language_pack import LeadGrammar, Opening
from dnsity.data.generators.rules.page import BLANK
from dnsity.data.text.particles import particle

_OPEN = f"[{''.join(map(chr, range(0xAC00, 0xD7A4, 28)))}]"  # syllables that end in a vowel
# What ends a definition. A verb between two clauses may look like the copula (높이고, 활약하였다),
# and bare 다 is one only after a noun that ends in a vowel (배우다).
_ENDS = (
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
_PATTERN = re.compile(
    r"(?P<before>(?:\S+ ){0,3}\S+에서,? )?"
    r"(?P<subject>.{1,60}?)(?<![또혹같많작있하되없좋않높깊]) ?(?P<topic>은|는|이란|란),? "
    rf"(?P<definition>.+?)(?:{'|'.join(_ENDS)})"
)
_META = re.compile(r"(?:이|본) (?:문서|글|항목)|아래|다음|여기")
_NAMING = re.compile(r"(?:명칭|이름|본명|별칭|뜻|줄임말|약자)$")


def _define(match: re.Match[str]) -> Opening | None:
    before, subject = match["before"] or "", match["subject"]
    if _META.match(match.string) or _NAMING.search(subject):
        return None
    # The particle agreed with an aside that was removed; the blank does not say which form fits it.
    topic = particle(subject, "은/는") if match["topic"] in "은는" else match["topic"]
    rest = match.string[match.start("definition") :]
    sentence = f"{before}{subject}{topic} {rest}"
    return Opening(sentence, f"{before}{BLANK}은(는) {rest}", match["definition"])


LEADS = LeadGrammar(
    characters=(18, 200),
    pattern=_PATTERN,
    define=_define,
    title_letters=2,
    word_pattern=re.escape,  # also inside words, since particles are attached to the word
)
