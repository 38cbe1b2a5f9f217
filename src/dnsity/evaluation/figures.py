"""Figures for reports: their style, and writing them to files without a display.

Functions that plot are decorated with `@style()`, which restores matplotlib's settings afterwards.
Matplotlib is optional, so this module is imported only where figures are made.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager, get_font

WIDTH = 9.0
"""Width of every figure in inches; shown 900 pixels wide, one point is 1.4 pixels."""
_DOTS_PER_INCH = 200
_LATIN, _KOREAN = "DejaVu Sans", "NanumGothic"
_SETTINGS: dict[Any, Any] = {
    "font.size": 8,
    "axes.titlesize": 9,
    "figure.titlesize": 10.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "hatch.linewidth": 0.6,
    "text.parse_math": False,  # names may contain dollar signs
    "svg.hashsalt": "dnsity",  # otherwise ids, and so files, differ between runs
}


@contextmanager
def style() -> Iterator[None]:
    """Apply the settings of this module only, regardless of the user's own."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({**_SETTINGS, "font.family": _families()})
        yield


def figure(height: float, title: str) -> Figure:
    """Create a figure with a title."""
    made = Figure(figsize=(WIDTH, height), layout="constrained")
    FigureCanvasAgg(made)
    made.suptitle(drawable(title))
    return made


def panels(made: Figure, count: int, columns: int) -> list[Axes]:
    """Add panels to a figure, in rows from left to right."""
    rows = -(-count // columns)
    return [made.add_subplot(rows, columns, number + 1) for number in range(count)]


@style()
def save(made: Figure, stem: Path) -> list[Path]:
    """Write a figure as PNG and as SVG; the files are the same in every run."""
    png, svg = (stem.with_name(f"{stem.name}.{kind}") for kind in ("png", "svg"))
    made.savefig(png, dpi=_DOTS_PER_INCH, metadata={"Software": None})
    made.savefig(svg, metadata={"Date": None, "Creator": None})
    return [png, svg]


def drawable(text: str, width: int = 110) -> str:
    """Wrap long lines, and replace characters that no font has with question marks."""
    lines = "\n".join(textwrap.fill(line, width) for line in text.splitlines())
    return "".join(x if x == "\n" or ord(x) in _letters() else "?" for x in lines)


@cache
def _families() -> list[str]:
    """Return the font families; includes a Korean font if it is installed."""
    if _KOREAN not in fontManager.get_font_names():
        carrier = find_spec("koreanize_matplotlib")  # importing it would change every plot
        folders = (carrier.submodule_search_locations or []) if carrier else []
        for path in (Path(folder) / "fonts" / f"{_KOREAN}.ttf" for folder in folders):
            if path.exists():
                fontManager.addfont(path)
    return [name for name in (_LATIN, _KOREAN) if name in fontManager.get_font_names()]


@cache
def _letters() -> frozenset[int]:
    paths = [fontManager.findfont(family) for family in _families()]
    return frozenset(code for path in paths for code in get_font(path).get_charmap())
