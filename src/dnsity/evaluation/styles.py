"""Plot styles that distinguish methods, with or without colour."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import cycle
from typing import NamedTuple

from dnsity.evaluation.methods import METHODS, ordered, variant


class Style(NamedTuple):
    """The plot style of a method: colour, marker, line and hatch."""

    colour: str
    marker: str
    line: str | tuple[int, tuple[int, ...]]
    hatch: str


_PALETTE = (  # the palette of Okabe and Ito, and grey
    Style("#0072B2", "o", "-", ""),
    Style("#56B4E9", "X", "--", "///"),
    Style("#CC79A7", "v", ":", "\\\\\\"),
    Style("#0072B2", "<", "--", "oo"),
    Style("#56B4E9", ">", ":", "xx"),
    Style("#009E73", "d", "-.", "//"),
    Style("#FFFFFF", "h", "--", ""),
    Style("#000000", "s", "-.", ""),
    Style("#D55E00", "^", (0, (5, 1)), "..."),
    Style("#E69F00", "D", (0, (3, 1, 1, 1)), "xxx"),
    Style("#F0E442", "p", (0, (1, 1)), "ooo"),
    Style("#009E73", "P", (0, (6, 3)), "---"),
    Style("#999999", "*", (0, (3, 1, 1, 1, 1, 1)), "+++"),
    Style("#999999", "H", (0, (5, 1, 1, 1)), "**"),
    Style("#FFFFFF", ".", ":", ""),
)
STYLES = dict(zip(METHODS, cycle(_PALETTE), strict=False))
"""Styles by method name."""


def styles_of(names: Iterable[str]) -> dict[str, Style]:
    """Assign a style to every method; further variants of a method get a number as marker."""
    found: dict[str, Style] = {}
    counts: dict[str, int] = {}
    for name in ordered(names):
        method = variant(name).method
        counts[method] = counts.get(method, 0) + 1
        look, number = STYLES[method], counts[method]
        found[name] = look if number == 1 else look._replace(marker=f"${number}$")
    return found
