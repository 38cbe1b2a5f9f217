"""Plot styles that distinguish methods, with or without colour."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import cycle
from typing import NamedTuple

from dnsity.evaluation.methods import METHODS, ordered, variant


class Look(NamedTuple):
    """The plot style of a method: colour, marker, line and hatch."""

    colour: str
    marker: str
    line: str | tuple[int, tuple[int, ...]]
    hatch: str


_STYLES = (  # the palette of Okabe and Ito, and grey
    Look("#0072B2", "o", "-", ""),
    Look("#56B4E9", "X", "--", "///"),
    Look("#CC79A7", "v", ":", "\\\\\\"),
    Look("#0072B2", "<", "--", "oo"),
    Look("#56B4E9", ">", ":", "xx"),
    Look("#009E73", "d", "-.", "//"),
    Look("#FFFFFF", "h", "--", ""),
    Look("#000000", "s", "-.", ""),
    Look("#D55E00", "^", (0, (5, 1)), "..."),
    Look("#E69F00", "D", (0, (3, 1, 1, 1)), "xxx"),
    Look("#F0E442", "p", (0, (1, 1)), "ooo"),
    Look("#009E73", "P", (0, (6, 3)), "---"),
    Look("#999999", "*", (0, (3, 1, 1, 1, 1, 1)), "+++"),
    Look("#999999", "H", (0, (5, 1, 1, 1)), "**"),
    Look("#FFFFFF", ".", ":", ""),
)
LOOKS = dict(zip(METHODS, cycle(_STYLES), strict=False))
"""Styles by method name."""


def looks(names: Iterable[str]) -> dict[str, Look]:
    """Assign a style to every method; further variants of a method get a number as marker."""
    found: dict[str, Look] = {}
    counts: dict[str, int] = {}
    for name in ordered(names):
        method = variant(name).method
        counts[method] = counts.get(method, 0) + 1
        look, number = LOOKS[method], counts[method]
        found[name] = look if number == 1 else look._replace(marker=f"${number}$")
    return found
