"""English grammar of the question rules: what can be blanked, exchanged, listed and asked."""

from __future__ import annotations

import re
from collections.abc import Sequence

from dnsity.data.generators.en.facts import DATE, NAME, facts
from dnsity.data.generators.rules.page import BLANK, Rules, Span, whole

_STOP = frozenset(
    "a about after all also an and any are as at be been before between both but by can could did "
    "do does during each for from had has have he her hers him his how i if in into is it its many "
    "may more most much no not of on one only or other our out over she so some such text than "
    "that the their them then there these they this those through to under until up was we were "
    "what when where which while who whom whose will with within would year you".split()
)
# A sentence that opens with one of these refers to the one before it.
_REFERRING = re.compile(
    r"(?:He|She|It|They|We|You|I|His|Her|Hers|Its|Their|Our|My|Your|This|That|These|Those|Such|"
    r"Here|There|Then|Thus|Hence|Therefore|However|But|And|Or|So|Yet|Also|Both|Another|Other|"
    r"Others|Some|Many|Several|Most|Each|One|Two|Three|First|Second|Finally|Instead|Nevertheless|"
    r"Moreover|Furthermore|Besides|Later|Afterwards?|Meanwhile|Soon|Similarly|Conversely|Otherwise|"
    r"Consequently|Additionally|Eventually|Subsequently|Initially|Again|Still|Now|Today|Once|What|"
    r"Who|Which|Although|Because|Not|No|Neither|Nor|Only|Even|Indeed|Upon|Following|Further|"
    r"For (?:example|instance|that|this)|At (?:first|that|the time|this)|By (?:then|that|the time)|"
    r"As (?:a result|such|well|an? )|In (?:addition|fact|particular|turn|contrast|general|response|"
    r"return|all|short|other)|On the (?:other|contrary)|After (?:that|this|which)|"
    r"From (?:then|that)|During (?:that|this|the (?:same|period|time)))\b"
    r"|The (?:latter|former|same|following|above|other|others|two|three|second|third|rest|result|"
    r"first one)\b"
)
_POINTING = re.compile(
    r"\b(?:he|she|it|they|him|her|his|hers|its|them|their|this|these|those|latter|former|above|"
    r"below|following|aforementioned|respectively|thereafter|we|our|you|your|I|my|me|us|there|"
    r"[tT]he (?:next|same|other|previous))\b"
)
_LOST_WORD = re.compile(
    r"\b(?:of|in|by|to|at|the|a|an|and|from|with|for|as|or)[ ]?[,;:.)]"
    r"|\b(?:the|a|an) (?:of|is|was|are|were|and|in|at|to|by|for|from|with)\b"
    r"|\b(?:of|by|with|from) (?:at|and|is|was|are|of|by)\b|\bto at\b|\b(\w+) \1\b"
)
_QUOTED = re.compile(r'"[^"]*"|“[^“”]*”')  # in pairs from the left, of any length
_NUMBER = re.compile(
    r"(?<![\w.,:/–-])(?:US\$|[$€£¥])?(?P<n>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)"
    r"(?: (?:million|billion|trillion))?"
    r"(?![\w:/–-]|[.,]\d| ?°| (?:noon|[ap]\.?m\b|o'clock|BCE?|CE|AD))"
)
_WORD_NUMBERS = "two three four five six seven eight nine ten eleven twelve".split()
_COUNTED = re.compile(rf"(?<![\w-])(?:{'|'.join(_WORD_NUMBERS)})(?= [a-z]+s\b)")
_YEAR_BEFORE = re.compile(r"(?:\b[Ii]n|[A-Z]\w+ \d{1,2},|\d [A-Z]\w+) $")
# With these before a number, another number may be just as true.
_VAGUE = re.compile(
    r"(?:least|most|than|over|under|to|about|around|approximately|nearly|almost|roughly|some|"
    r"between|and|or|of|before|after|until|since|above|below|beyond|another|these|"
    r"those|other|last|first|by|within|[A-Z]\w*|n) $"
)
_STATE = re.compile(r"\b(?:there (?:was|were)|had|owned|still|remained|was a|were a)\b")
_COUNTRIES = (
    "Argentina Australia Austria Belgium Brazil Bulgaria Canada Chile China Colombia Cuba Denmark "
    "Egypt Ethiopia Finland France Germany Greece Hungary Iceland India Indonesia Iran Iraq "
    "Ireland Israel Italy Japan Kenya Malaysia Mexico Morocco Nepal Norway Pakistan "
    "Peru Poland Portugal Romania Russia Spain Sweden Switzerland Syria Thailand Turkey "
    "Ukraine Vietnam"
).split()
_COUNTRY = re.compile(
    rf"(?<=\b[Ii]n )(?:{'|'.join(_COUNTRIES)})(?=[,.]| (?:in|on|from|by|for|at|with|where)\b)"
)
_GIVEN = frozenset(
    "Albert Alexander Alfred Alice Andrew Anna Anne Anthony Arthur Benjamin Bernard Bill Bob Brian "
    "Bruce Carl Catherine Charles Chris Christopher Daniel David Diana Dick Donald Edgar Edmund "
    "Edward Elizabeth Emily Emma Eric Ernst Francis Frank Franz Frederick Friedrich Gary George "
    "Gerald Gordon Graham Hans Harold Harry Heinrich Helen Henry Herbert Howard Hugh Isaac Jack "
    "James Jane Jeff Jim Joe Johann John Joseph Karl Keith Kenneth Kevin Larry Laura Leonard Louis "
    "Ludwig Margaret Maria Mark Martin Mary Matthew Michael Mike Nancy Nicholas Oscar Otto Patrick "
    "Paul Peter Philip Ralph Raymond Richard Robert Roger Ronald Ruth Samuel Sarah Stephen Steve "
    "Stuart Susan Thomas Tim Timothy Tom Victor Walter William".split()
)
_NOT_NAMES = re.compile(
    r"(?:January|February|March|April|May|June|July|August|September|October|November|December|"
    r"Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday|I|The|Chapter|Figure|Table)\b"
)
# What shows that a name is longer than its capitals: "King Charles II", "the Society for ...".
_CONTINUES = re.compile(r"[-–]\w|,? (?:Jr|Sr|[IVX]+\b|\d)|['’]s? [A-Z]|(?: of| and| &| for)? [A-Z]")
_GOES_BACK = re.compile(
    r"(?:[A-Z][\w.'’-]*|\d|\b[A-Z]\.) $|[-–]$|[A-Z][\w-]+ for (?:the )?$"
    r"|(?:^|[^,])(?: [A-Z][\w-]*)+ (?:and|&) $"
)
_ADJECTIVE = re.compile(r"(?:an|ish|ese)$")
_LIST_LEAD = re.compile(r"(?:\bsuch as|\bincluding|\bincludes?|\bnamely|:) (?P<rest>[^;:()]+?)[.;]")
_NAME_ITEM = re.compile(rf"(?:the )?{NAME}$")
_PLAIN_ITEM = re.compile(r"[a-z][a-z'-]*(?: [a-z][a-z'-]*)?$")
_LOOSE_ITEM = re.compile(
    r"\b(?:on|in|of|at|by|to|as|for|with|many|more|other|others|all|both|various|etc|so|not|"
    r"being|having|some|any|\w+(?:al|ic|ous|ive|ary|ern|ish|able|ical|ly))$|^(?:on|in|of|at|by|to|as|many|other)\b"
)


def _intact(sentence: str) -> bool:
    return (
        whole(sentence, 45, 260)
        and (sentence[0].isupper() or sentence[0] in '"“')
        and sentence.endswith((".", '."', ".”"))
        and not _LOST_WORD.search(sentence)
    )


def _stands_alone(sentence: str) -> bool:
    return (
        not _REFERRING.match(sentence)
        and not _POINTING.search(sentence)
        and sentence[0] not in '"“'
        and "?" not in sentence
        and "!" not in sentence
    )


def _words(sentence: str) -> list[str]:
    found = re.findall(r"[^\W_]+(?:[.,]\d+)*", sentence.replace(BLANK, " ").casefold())
    return [word for word in found if word not in _STOP and (len(word) > 2 or word.isdigit())]


def _spans(sentence: str) -> list[Span]:
    """Return maximal spans: without a year inside a date or a number inside a name."""
    found = [Span(*m.span(), "date") for m in re.finditer(DATE, sentence) if " " in m.group()]
    found += [
        Span(m.start() + 1, m.end() - 1, "term")
        for m in _QUOTED.finditer(sentence)
        if re.fullmatch(r"[^\s](?:.{1,48}[^\s.,!?])", m.group()[1:-1])
        and not re.fullmatch(r"[a-z]+", m.group()[1:-1])  # as often irony as a term
    ]
    found += _names(sentence)
    for match in _NUMBER.finditer(sentence):
        year = re.fullmatch(r"1\d{3}|20\d\d", match.group())
        if year and not _YEAR_BEFORE.search(sentence[: match.start()]):
            continue
        part_of_name = not year and re.search(r"\b[A-Z]\w*\.? $", sentence[: match.start()])
        counts = match.group()[0] in "U$€£¥" or re.match(r" ?%| [a-z]", sentence[match.end() :])
        counts = counts or len(match["n"]) > 4 or re.search(r"\bis $", sentence[: match.start()])
        old_year = re.search(r"\b[Ii]n $", sentence[: match.start()]) and len(match["n"]) == 3
        if year or (len(match["n"]) > 1 and counts and not (part_of_name or old_year)):
            found.append(Span(*match.span(), "year" if year else "number"))
    kept: list[Span] = []
    for span in sorted(found, key=lambda each: (each.start, -each.end)):
        if not any(span.start < other.end and other.start < span.end for other in kept):
            kept.append(span)
    return kept


def _readings(sentence: str, span: Span) -> tuple[str, ...]:
    answer = sentence[span.start : span.end]
    unit = re.match(r" ?%| (?:percent|km|ft|kg|people|[a-z]{3,}s)\b", sentence[span.end :])
    return (answer, answer + unit.group()) if unit and span.kind == "number" else (answer,)


def _names(sentence: str) -> list[Span]:
    """Return names of at least two words without a capitalized word next to them."""
    found = []
    for match in re.finditer(rf"(?<![\w'’-]){NAME}", sentence):
        name = re.sub(r"['’]s?$", "", match.group())
        start, end = match.start(), match.start() + len(name)
        before, behind = sentence[:start], sentence[end:]
        if start == 0 or " " not in name or _NOT_NAMES.match(name) or re.search(r"['’]s ", name):
            continue
        if _CONTINUES.match(behind) or _GOES_BACK.search(before):
            continue
        if not (_ADJECTIVE.search(name) and re.match(r" [a-z]", behind)):
            found.append(Span(start, end, "name"))
    return found


def _swaps(sentence: str) -> list[Span]:
    found = [Span(*match.span(), "country") for match in _COUNTRY.finditer(sentence)]
    for match in _NUMBER.finditer(sentence):
        before = sentence[: match.start("n")]
        if re.fullmatch(r"1\d{3}|20\d\d", match["n"]):
            if _YEAR_BEFORE.search(before) and not _STATE.search(sentence):
                found.append(Span(*match.span("n"), "year"))
        elif len(match["n"]) > 1 and not _VAGUE.search(before.rstrip("US$€£¥") or "A "):
            found.append(Span(*match.span("n"), "number"))
    found += [
        Span(*match.span(), "count")
        for match in _COUNTED.finditer(sentence)
        if not _VAGUE.search(sentence[: match.start()])
    ]
    found += [
        Span(span.start, span.end, "person")
        for span in _names(sentence)
        if _is_person(sentence[span.start : span.end])
    ]
    return found


def _is_person(name: str) -> bool:
    return name.split()[0] in _GIVEN and " of " not in name


def _replacements(kind: str, sentences: Sequence[str]) -> list[str]:
    if kind == "count":
        return list(_WORD_NUMBERS)
    if kind == "country":
        return list(_COUNTRIES)
    names = {
        sentence[span.start : span.end]
        for sentence in sentences
        if kind == "person" and _intact(sentence)
        for span in _names(sentence)
    }
    return sorted(name for name in names if _is_person(name) and len(name.split()) == 2)


def _swap(sentence: str, span: Span, new: str) -> str:
    return sentence[: span.start] + new + sentence[span.end :]


def _lists(sentence: str) -> list[tuple[str, ...]]:
    """Return lists of names or nouns between a word that opens a list and a full stop."""
    found = []
    for match in _LIST_LEAD.finditer(sentence):
        parts = re.split(r", (?:and |or )?| and | or ", match["rest"])
        ends_well = re.search(r"(?:,| and| or) \S.*$", match["rest"]) and re.search(
            r"\b(?:and|or) [^,]+$", match["rest"]
        )
        alike = any(all(item.match(p) for p in parts) for item in (_NAME_ITEM, _PLAIN_ITEM))
        halved = len({len(part.split()) for part in parts[:-1]}) == 1 < len(parts[-1].split())
        loose = halved and " " not in parts[0] and parts[0].islower()
        loose = loose or any(_LOOSE_ITEM.search(part) for part in parts)
        mixed = len({part in _COUNTRIES for part in parts}) > 1
        if len(parts) >= 3 and ends_well and alike and not (mixed or loose):
            found.append(tuple(parts))
    return found


RULES = Rules(
    intact=_intact,
    stands_alone=_stands_alone,
    words=_words,
    spans=_spans,
    readings=_readings,
    swaps=_swaps,
    replacements=_replacements,
    swap=_swap,
    facts=facts,
    lists=_lists,
    fill=str.format,
    answers=("Yes", "No"),
    dotted_headings=True,
    templates={
        "cloze:number": (
            "Which number is missing from this sentence of the text? {s}",
            "According to the text, which number belongs in the blank? {s}",
        ),
        "cloze:year": (
            "Which year is missing from this sentence of the text? {s}",
            "According to the text, which year belongs in the blank? {s}",
        ),
        "cloze:date": (
            "Which date is missing from this sentence of the text? {s}",
            "According to the text, which date belongs in the blank? {s}",
        ),
        "cloze:name": (
            "Which name is missing from this sentence of the text? {s}",
            "According to the text, which name belongs in the blank? {s}",
        ),
        "cloze:term": (
            "Fill in the blank in this sentence of the text: {s}",
            "According to the text, what belongs in the blank? {s}",
        ),
        "yesno": (
            "Is this statement correct according to the text? {s}",
            "Does the text agree with the following statement? {s}",
            "According to the text, is the following true? {s}",
        ),
        "title": ("What is the title of the text?", "Which title does the text bear?"),
        "topic": ("What is the text mainly about?", "What is the subject of the text?"),
        "section:of": (
            'Under which heading does the text mention "{x}"?',
            'What is the heading of the section that mentions "{x}"?',
        ),
        "section:next": (
            'Which heading comes right after "{x}"?',
            'What is the heading of the section that follows "{x}"?',
        ),
        "list:count": (
            "The text gives a list that runs from {x} to {y}. How many items does it name?",
            "How many items are there in the list that begins with {x} and ends with {y}?",
        ),
        "list:next": (
            "In the list that begins with {x}, what is named right after {y}?",
            "Which item comes right after {y} in the list that begins with {x}?",
        ),
    },
)
