"""English opening sentences of encyclopedia articles: which subject is defined, and as what."""

from __future__ import annotations

import re

from dnsity.data.generators.language_pack import LeadGrammar, Opening
from dnsity.data.generators.rules.page import BLANK

_PATTERN = re.compile(
    r"(?P<before>(?:In|Within|Among|Officially) ?[^,]{0,60}, )?(?P<subject>.{1,150}?),? "
    r"(?P<verb>is|was|are|were) "
    r"(?P<definition>(?!(?:\w+ed|\w+ing|also|not|both|known|held|found|made|built|given|set|that|"
    r"when|where|to)\b).+)\."
)
_NO_SUBJECT = re.compile(r"\b(?:where(?:by)?|which|who|that|takes|roles?|terms?)\b")
# Text after one of these adds to the definition; "that" and "in which" belong to it, as does a
# name (Charles, Prince of Wales).
_END = re.compile(r",(?= [^A-Z])|[;:] | [–—-] | and (?:is|was|are|were|has|had|served) |$")
_LEAST_WORDS = 3
# Not here: "an Austrian, and later American, logician", "the art of creating, granting arms".
_CONTINUES = re.compile(r"[A-Z]\w+(?:an|ish|ese)$|ing$|^the \w+(?:, \w+)*$")


def _define(match: re.Match[str]) -> Opening | None:
    before, subject, verb = match["before"] or "", match["subject"], match["verb"]
    if _NO_SUBJECT.search(subject):
        return None
    sentence = match.string
    rest = sentence[match.start("definition") :]
    if "," not in subject:  # a comma after the subject only closed an aside
        sentence = f"{before}{subject} {verb} {rest}"
    return Opening(sentence, f"{before}{BLANK} {verb} {rest}", _shortened(match["definition"]))


def _shortened(definition: str) -> str:
    """Remove the parts that only add to a definition."""
    for end in _END.finditer(definition):
        short = definition[: end.start()]
        continues = _CONTINUES.search(short) or short.count('"') % 2
        if len(short.split()) >= _LEAST_WORDS and not continues:
            return short
    return definition


LEADS = LeadGrammar(
    characters=(30, 320),
    pattern=_PATTERN,
    define=_define,
    title_letters=3,
    word_pattern=lambda word: rf"\b{re.escape(word)}s?\b",
)
