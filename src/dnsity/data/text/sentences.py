"""Ends of sentences in English and Korean, and positions where a sentence can be inserted."""

from __future__ import annotations

import re
from itertools import pairwise

# A full stop does not end a sentence after a single letter (initials, e.g.), after a title, or
# after the number of a list item. A stop before a lower-case word is inside a sentence, and one
# between or after numbers belongs to a Korean date (2024. 3. 14.). A single line break may be
# wrapping, so without a stop it counts only after a Korean verb ending. A blank line always counts,
# and the position is the start of the new paragraph, since a sentence after a heading would become
# part of it. Dots between spaces ("in ... the") mark an omission, and a remark in brackets belongs
# to the sentence before it.
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
    """Return the offsets at which sentences end.

    Args:
        text: English or Korean text.

    Returns:
        Ascending offsets, each right after a sentence or at the start of a paragraph, including 0
        and ``len(text)``.
    """
    ends = {match.end() for match in _SENTENCE_END.finditer(text)}
    return sorted(ends | {0, len(text)})


_HEADING, _PARAGRAPH = 60, 60
"""Maximum characters of a heading, and of a line after it that is not a paragraph."""
_ASIDE = re.compile(r"(?P<open>[(\[{\uff08「『《〈“])|(?P<close>[)\]}\uff09」』》〉”])|\"|\n")


def places(text: str) -> list[int]:
    """Return the offsets at which another sentence can be inserted.

    Args:
        text: English or Korean text.

    Returns:
        Those `sentence_ends` that are neither inside a quotation or brackets nor between a heading
        and its text, in ascending order, including 0 and ``len(text)``.
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
    """Return whether the first line is a heading of the second."""
    first, _, rest = text.partition("\n")
    return 0 < len(first) <= _HEADING and len(rest.partition("\n")[0]) > _PARAGRAPH


def _closes_heading(text: str, before: int, end: int) -> bool:
    """Return whether `end` ends a heading of one sentence."""
    if not text.startswith("\n", end):
        return False
    start = text.rfind("\n", 0, end) + 1
    return before <= start and starts_with_heading(text[start : end + 2 + _PARAGRAPH])


def _asides(text: str) -> list[tuple[int, int]]:
    """Return spans in quotation marks or brackets; an open one ends with its line.

    A straight mark opens after white space or a bracket and closes elsewhere; single marks are
    mostly apostrophes and are ignored.
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
