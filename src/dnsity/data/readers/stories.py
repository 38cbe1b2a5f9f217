"""Stories with questions in FairytaleQA's form: CSV, one question a row with its section.

Sections are in the story's order, but the row of a question on several sections has all of them,
adjacent or not, as one section. So sections are split into passages, and a story contains every
passage once.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from itertools import permutations
from pathlib import Path

from dnsity.errors import BadInputError
from dnsity.io.text import named_errors

NEEDED = ("story_name", "story_section", "question", "answer1")
"""Columns that must not be empty; `answer2` may be missing or empty."""
_SHORTEST = 40
"""Fewest characters of a passage; shorter texts may occur twice by chance."""


def read_rows(path: Path) -> Iterator[dict[str, str]]:
    """Yield the rows of a file.

    Args:
        path: The CSV file, in UTF-8.

    Yields:
        The cells of a row by column; missing ones are empty.

    Raises:
        BadInputError: If the file cannot be read, is no such CSV, or a row is incomplete; names
            file and row.
    """
    number = 0
    try:
        with named_errors(path), path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file, strict=True)
            missing = [name for name in NEEDED if name not in (rows.fieldnames or ())]
            if missing:
                found = ", ".join(rows.fieldnames or ()) or "nothing"
                raise BadInputError(
                    f"{path} has no column {missing[0]}; needed are {', '.join(NEEDED)}, found is "
                    f"{found:.120}"
                )
            for number, row in enumerate(rows, start=1):
                where = f"{path} row {number}"
                if None in row:
                    raise BadInputError(
                        f"{where} has more cells than the header has columns; put texts with "
                        "commas in quotes"
                    )
                cells = {name: value or "" for name, value in row.items()}
                empty = [name for name in NEEDED if not cells[name].strip()]
                if empty:
                    raise BadInputError(f"{where}: {empty[0]} is empty; fill it or remove the row")
                yield cells
    except csv.Error as error:
        raise BadInputError(
            f"{path} row {number + 1} is not CSV ({error}); copy or download it again"
        ) from error
    if not number:
        raise BadInputError(f"{path} has a header but no rows; write one question a row")


def whole_story(sections: Iterable[str]) -> str:
    """Join sections to a story: every passage once, in order, with blank lines between.

    Args:
        sections: Sections in the order of the rows; they may repeat and overlap.
    """
    texts = list(dict.fromkeys(map(_plain, sections)))
    passages: list[str] = []
    for text in sorted([*texts, *_overlaps(texts)], key=len):
        passages += _without(text, passages)
    story: list[str] = []
    for text in texts:
        inside = sorted((one for one in passages if one in text), key=text.find)
        known = [story.index(one) for one in inside if one in story]
        place = known[0] if known else len(story)
        for passage in inside:
            if passage in story:
                place = story.index(passage)
            else:
                story.insert(place, passage)
            place += 1
    return "\n\n".join(story)


def _overlaps(texts: Sequence[str]) -> Iterator[str]:
    """Yield texts that end one section and begin another."""
    for first, second in permutations(texts, 2):
        start = first.find(second[:_SHORTEST])
        if start >= 0 and len(first) - start >= _SHORTEST and second.startswith(first[start:]):
            yield first[start:]


def _without(text: str, passages: Sequence[str]) -> list[str]:
    """Return the parts of a text that are in no passage yet, without very short ones."""
    for passage in passages:
        text = text.replace(passage, "\0")
    return [rest.strip() for rest in text.split("\0") if len(rest.strip()) >= _SHORTEST]


def _plain(text: str) -> str:
    """Normalize spaces, keep line breaks, remove blank lines."""
    lines = (" ".join(line.split()) for line in text.splitlines())
    return "\n".join(line for line in lines if line)
