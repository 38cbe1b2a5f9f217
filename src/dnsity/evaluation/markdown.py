"""Markdown tables that stay tables when they are read as text."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Write a table: the first column to the left, figures to the right, columns aligned."""
    cells = [[cell(text) for text in line] for line in (header, *rows)]
    widths = [max(3, *map(_width, column)) for column in zip(*cells, strict=True)]
    rule = "|".join(
        "-" * (width + 2) if number == 0 else "-" * (width + 1) + ":"
        for number, width in enumerate(widths)
    )
    first, *others = (_line(line, widths) for line in cells)
    return [first, f"|{rule}|", *others]


def cell(text: str) -> str:
    """Keep a text on one line and inside its cell."""
    return " ".join(text.split()).replace("|", "\\|")


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padding = [" " * (width - _width(text)) for text, width in zip(cells, widths, strict=True)]
    aligned = [
        text + space if number == 0 else space + text
        for number, (text, space) in enumerate(zip(cells, padding, strict=True))
    ]
    return f"| {' | '.join(aligned)} |"


def _width(text: str) -> int:
    """Count columns of a terminal: Korean letters take two."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)
