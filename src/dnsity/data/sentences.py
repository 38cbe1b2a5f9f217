"""Where sentences end, in English and in Korean."""

from __future__ import annotations

import re

# A full stop ends no sentence after a single letter (initials, e.g.), after a title, or where it
# numbers a list item; a stop before a lower-case word is inside a sentence, and one between
# numbers, or behind the last of them, belongs to a Korean date (2024. 3. 14.). A single line
# break may be mere wrapping, so without a stop it counts only after a Korean verb ending. A blank
# line always counts, and there the place is the start of the new paragraph: behind a heading a
# sentence would become part of it.
_SENTENCE_END = re.compile(
    r"""
    (?: [!?…。\uff01\uff1f]
      | \. (?<!\b[A-Za-z]\.) (?<!\b[DMS][rst]\.) (?<!\bMrs\.) (?<!\bNo\.) (?<!\bvs\.)
           (?<!\bProf\.) (?<!^\d\.) (?<!^\d\d\.) (?!(?<=\d\.)\s+\d)
           (?<!\d\.\s\d\.) (?<!\d\.\s\d\d\.)
    )+
    ["'”\u2019»」』)\]]*
    (?= \s+[^\sa-z] | \s*\Z )
    | (?<=[다요죠까]) (?=\n)
    | (?<=\n\n) (?=\S)
    """,
    re.VERBOSE | re.MULTILINE,
)


def sentence_ends(text: str) -> list[int]:
    """Finds the places where a sentence may be put without breaking one.

    Args:
        text: English or Korean text.

    Returns:
        Ascending offsets, each right behind a sentence or at the start of a paragraph; always
        with 0 and ``len(text)``.
    """
    ends = {match.end() for match in _SENTENCE_END.finditer(text)}
    return sorted(ends | {0, len(text)})
