"""Where sentences end, in English and in Korean, and where a foreign one may be put."""

from __future__ import annotations

import re
from itertools import pairwise

# A full stop ends no sentence after a single letter (initials, e.g.), after a title, or where it
# numbers a list item; a stop before a lower-case word is inside a sentence, and one between
# numbers, or behind the last of them, belongs to a Korean date (2024. 3. 14.). A single line
# break may be mere wrapping, so without a stop it counts only after a Korean verb ending. A blank
# line always counts, and there the place is the start of the new paragraph: behind a heading a
# sentence would become part of it. Dots that stand alone ("in ... the") leave something out, and a
# remark in brackets belongs to the sentence before it.
_SENTENCE_END = re.compile(
    r"""
    (?: [!?…。\uff01\uff1f]
      | (?<!\s) (?<!\s\.) (?<!\s\.\.)
        \. (?<!\b[A-Za-z]\.) (?<!\b[DMSJ][rst]\.) (?<!\bMrs\.) (?<!\bNo\.) (?<!\bvs\.)
           (?<!\bProf\.) (?<!\bGen\.) (?<!\bCol\.) (?<!\bLt\.) (?<!\bCapt\.) (?<!\bRev\.)
           (?<!\bGov\.) (?<!\bSen\.) (?<!^\d\.) (?<!^\d\d\.) (?!(?<=\d\.)\s+\d)
           (?<!\d\.\s\d\.) (?<!\d\.\s\d\d\.)
    )+
    ["'”\u2019»」』)\]]*
    (?= \s+[^\sa-z(\uff08] | \s*\Z )
    | (?<=[다요죠까]) (?=\n)
    | (?<=\n\n) (?=[^\sa-z,])
    """,
    re.VERBOSE | re.MULTILINE,
)


def sentence_ends(text: str) -> list[int]:
    """Finds where sentences end.

    Args:
        text: English or Korean text.

    Returns:
        Ascending offsets, each right behind a sentence or at the start of a paragraph; always
        with 0 and ``len(text)``.
    """
    ends = {match.end() for match in _SENTENCE_END.finditer(text)}
    return sorted(ends | {0, len(text)})


_HEADING, _PARAGRAPH = 60, 60
"""A line of at most so many characters above one of more than so many is a heading."""
_ASIDE = re.compile(r"(?P<open>[(\[{\uff08「『《〈“])|(?P<close>[)\]}\uff09」』》〉”])|\"|\n")


def places(text: str) -> list[int]:
    """Finds where a foreign sentence may be put without breaking anything.

    Args:
        text: English or Korean text.

    Returns:
        Those `sentence_ends` that are neither inside a quotation or brackets nor between a heading
        and what it heads; ascending, always with 0 and ``len(text)``.
    """
    ends = sentence_ends(text)
    inside = _asides(text)
    found, span = [0], 0
    for before, end in pairwise(ends):
        while span < len(inside) and inside[span][1] <= end:
            span += 1
        in_aside = span < len(inside) and inside[span][0] < end
        if not in_aside and not _closes_heading(text, before, end):
            found.append(end)
    return found if found[-1] == len(text) else [*found, len(text)]


def starts_with_heading(text: str) -> bool:
    """Say whether the first line heads the second."""
    first, _, rest = text.partition("\n")
    return 0 < len(first) <= _HEADING and len(rest.partition("\n")[0]) > _PARAGRAPH


def _closes_heading(text: str, before: int, end: int) -> bool:
    """Say whether `end` closes a line of one sentence that heads the next line."""
    if not text.startswith("\n", end):
        return False
    start = text.rfind("\n", 0, end) + 1
    return before <= start and starts_with_heading(text[start : end + 2 + _PARAGRAPH])


def _asides(text: str) -> list[tuple[int, int]]:
    """Spans in quotation marks or brackets; what a line leaves open ends with it.

    A straight mark opens behind white space or a bracket and closes elsewhere; single marks are
    mostly apostrophes and do not count.
    """
    spans: list[tuple[int, int]] = []
    depth, start, quoted = 0, 0, False
    for match in _ASIDE.finditer(text):
        at = match.start()
        if match.group() == "\n":
            if depth:
                spans.append((start, at + 1))
            depth, quoted = 0, False
            continue
        if match.group() == '"':
            opens = not quoted and (at == 0 or text[at - 1].isspace() or text[at - 1] in "([{“")
            quoted = opens
        else:
            opens = match.lastgroup == "open"
        if opens:
            start = at if depth == 0 else start
            depth += 1
        elif depth:
            depth -= 1
            if depth == 0:
                spans.append((start, at + 1))
    if depth:
        spans.append((start, len(text) + 1))
    return spans
