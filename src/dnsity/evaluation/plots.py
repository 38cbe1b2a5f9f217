"""The plots of a report, legible in grey and for every kind of colour vision.

    needles    score by length and depth, one panel per method
    quality    score against compression ratio or seconds per document, one panel per task
    costs      time to first token, key/value cache and memory, one bar per method

Besides colours, plots use figures, marker shapes, line styles or hatches.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from statistics import median
from typing import Any, NamedTuple

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator, PercentFormatter
from matplotlib.transforms import ScaledTranslation

from dnsity.evaluation.figures import WIDTH, drawable, figure, panels, style
from dnsity.evaluation.finished_runs import Entry, needle_grids, tasks
from dnsity.evaluation.methods import heading, ordered
from dnsity.evaluation.row import Cost, Interval
from dnsity.evaluation.styles import Style, styles_of
from dnsity.io.units import data_size, duration, percent


class Against(NamedTuple):
    """The cost on the x axis: plot title, axis label, value and number format."""

    title: str
    axis: str
    cost: Callable[[Cost], float | None]
    written: str


RATIO = Against(
    "Score against compression",
    "context tokens per slot",
    lambda cost: cost.compression_ratio,
    "{x:g}x",
)
SECONDS = Against(
    "Score against time to ingest a document",
    "seconds before the first question",
    lambda cost: cost.ingest_s,
    "{x:g} s",
)


class _Point(NamedTuple):
    """A score, its cost, and the number of its entry."""

    cost: float
    score: Interval
    entry: int


_LEVELS = {"full": "--", "none": ":"}
"""Ceiling and floor: scores without compression, plotted as horizontal lines."""
_GUESS = "random guess"
_ALIKE = 1.2
"""Markers of costs within this factor would overlap."""
_STEPS = [1, 2, 5, 10]
"""Spacing of ticks."""
_DECADES = 30
"""Values that differ by more than this factor are plotted on a logarithmic scale."""


@style()
def needles(entry: Entry, task: str) -> Figure:
    """Plot one panel per method: rows are depths, columns are lengths, cells are scores in %."""
    grids = needle_grids(entry, task)
    some = next(iter(grids.values()))
    columns = max(1, min(len(grids), 4, int((WIDTH - 1) / (0.35 + 0.5 * len(some.tokens)))))
    rows = -(-len(grids) // columns)
    height = 0.9 + rows * (0.35 + 0.24 * len(some.depths))
    made = figure(height, f"{task}, {entry.label}: score by document length and needle depth")
    axes = panels(made, len(grids), columns)
    by_method = {row.method: row for row in entry.of(task)}
    for number, (ax, (method, grid)) in enumerate(zip(axes, grids.items(), strict=True)):
        _cells(ax, np.array(grid.scores, dtype=np.float64))
        row = by_method[method]
        failed = f", {row.failed} failed" if row.failed else ""
        ax.set_title(f"{heading(method)}: {percent(row.score.value, 0)}{failed}")
        last, first = number + columns >= len(grids), number % columns == 0
        ax.set_xticklabels([f"{length:,}" for length in grid.tokens] if last else [])
        ax.set_yticklabels([percent(depth, 0) for depth in grid.depths] if first else [])
        ax.set_xlabel("document tokens" if last else "")
        ax.set_ylabel("depth" if first else "")
    shades = axes[0].collections[0]
    thin = (height - 0.7) / 0.15  # the same width for any number of rows
    made.colorbar(shades, ax=axes, format=PercentFormatter(1), aspect=thin, fraction=0.03, pad=0.02)
    return made


def _cells(ax: Axes, values: npt.NDArray[np.float64]) -> None:
    """Plot values as shaded cells with numbers."""
    shades = matplotlib.colormaps["cividis"]
    ax.pcolormesh(
        np.ma.masked_invalid(values), cmap=shades, norm=Normalize(0, 1), edgecolors="white"
    )
    for (row, column), value in np.ndenumerate(values):
        text, colour = "-", "black"
        if not np.isnan(value):
            text, colour = f"{100 * value:.0f}", _readable_on(shades(value))
        ax.text(column + 0.5, row + 0.5, text, color=colour, ha="center", va="center_baseline")
    ax.invert_yaxis()  # the start of the document on top
    ax.set_xticks(np.arange(values.shape[1]) + 0.5)
    ax.set_yticks(np.arange(values.shape[0]) + 0.5)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)


def _readable_on(shade: Sequence[float]) -> str:
    """Return black or white, whichever has more contrast (WCAG 2 relative luminance)."""
    red, green, blue = (x / 12.92 if x <= 0.04 else ((x + 0.055) / 1.055) ** 2.4 for x in shade[:3])
    return "black" if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 else "white"


@style()
def quality(found: Sequence[Entry], against: Against = RATIO) -> Figure:
    """Plot score against a cost, one panel per task; a line joins the entries of a method."""
    names = tasks(found)
    columns = {1: 1, 2: 2, 4: 2}.get(len(names), 3)
    rows = -(-len(names) // columns)
    title = against.title
    if len(found) > 1:
        title += "\n" + ", ".join(f"{n}: {one.label}" for n, one in enumerate(found, start=1))
    made = figure(1.0 + rows * (4.2 - 0.6 * columns), title)
    legend: dict[str, Any] = {}
    for number, (ax, task) in enumerate(zip(panels(made, len(names), columns), names, strict=True)):
        _quality(ax, task, found, against)
        ax.set_title(drawable(task, 110 // columns))
        ax.set_ylabel("score" if number % columns == 0 else "")
        ax.set_xlabel(against.axis if number + columns >= len(names) else "")
        handles, labels = ax.get_legend_handles_labels()
        legend.update(zip(labels, handles, strict=True))
    methods = (row.method for entry in found for row in entry.rows)
    order = [name for name in [*map(heading, ordered(methods)), _GUESS] if name in legend]
    made.legend(
        [legend[name] for name in order],
        order,
        loc="outside lower center",
        ncols=5,
        frameon=False,
        handlelength=3.5,
    )
    return made


def _quality(ax: Axes, task: str, found: Sequence[Entry], against: Against) -> None:
    points: dict[str, list[_Point]] = {}
    top = 0.1
    for number, entry in enumerate(found, start=1):
        for row in entry.of(task):
            top = max(top, row.score.high)
            if row.method in _LEVELS:
                line, name = _LEVELS[row.method], heading(row.method)
                ax.axhline(row.score.value, color="black", linestyle=line, linewidth=1, label=name)
            elif row.cost and (cost := against.cost(row.cost)):
                point = _Point(cost, row.score, number)
                points.setdefault(row.method, []).append(point)
            if row.random_guess is not None:
                ax.axhline(row.random_guess, color="#bbbbbb", lw=2, zorder=0, label=_GUESS)
    shifts = _shifts({name: median(p.cost for p in own) for name, own in points.items()})
    styles = styles_of(row.method for entry in found for row in entry.rows)
    for method, own in points.items():
        _series(ax, method, own, styles[method], shifts[method])
    if len(found) > 1:
        for cost, score, number in points.get("gist", []):
            ax.annotate(
                str(number), (cost, score.value), (5, 4), textcoords="offset points", zorder=4
            )
    reached = [point.cost for own in points.values() for point in own] or [1.0]
    _scale(ax, 0.8 * min(1.0, *reached), 1.6 * max(reached), against.written)
    ax.set_ylim(-0.04 * top, 1.06 * top)
    ax.yaxis.set_major_locator(MaxNLocator(6, steps=_STEPS))
    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    ax.grid(axis="y")


def _scale(ax: Axes, low: float, high: float, written: str) -> None:
    ax.set_xscale("log")
    ax.set_xlim(low, high)
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 3) if high > 100 * low else (1, 2, 5)))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(written)


def _series(ax: Axes, method: str, points: Sequence[_Point], look: Style, shift: float) -> None:
    """Plot the scores of a method with their intervals, shifted by `shift` points."""
    points = sorted(points, key=lambda point: point.cost)
    scores = [point.score for point in points]
    root = ax.get_figure(root=True)
    assert root is not None
    ax.errorbar(
        [point.cost for point in points],
        [score.value for score in scores],
        yerr=[
            [max(0.0, score.value - score.low) for score in scores],  # rounding may be below 0
            [max(0.0, score.high - score.value) for score in scores],
        ],
        transform=ax.transData + ScaledTranslation(shift / 72, 0, root.dpi_scale_trans),
        color=look.colour,
        label=heading(method),
        linestyle=look.line,
        linewidth=1.3,
        marker=look.marker,
        markersize=6.5,
        markeredgecolor="black",
        markeredgewidth=0.6,
        ecolor="#555555",
        elinewidth=0.9,
        zorder=3,
    )


def _shifts(costs: Mapping[str, float]) -> dict[str, float]:
    """Return shifts in points that separate markers of similar costs: 0, 5, -5, 10, ..."""
    by_cost = sorted(costs, key=lambda method: costs[method])
    groups = [by_cost[:1]]
    for one, following in pairwise(by_cost):
        if costs[following] > _ALIKE * costs[one]:
            groups.append([])
        groups[-1].append(following)
    return {
        method: 5.0 * (place // 2 + place % 2) * (1 if place % 2 else -1)
        for group in groups
        for place, method in enumerate(ordered(group))
    }


@style()
def costs(entry: Entry) -> Figure:
    """Plot costs as one bar per method: medians over tasks."""
    names = tasks([entry])
    answered: dict[str, list[Cost]] = {}
    for row in entry.rows:
        if row.cost is not None:
            answered.setdefault(row.method, []).append(row.cost)
    methods = ordered(answered)
    over = names[0] if len(names) == 1 else f"{len(names)} tasks, medians"
    made = figure(1.0 + 0.27 * len(methods), f"Cost of {entry.label} on {over}")
    axes = panels(made, 3, 3)
    warm = [median(cost.warm_ttft_s.median for cost in answered[method]) for method in methods]
    kept = [median(cost.kv_bytes for cost in answered[method]) for method in methods]
    peak = [median(cost.peak_bytes for cost in answered[method]) for method in methods]
    _bars(axes[0], "time to first token, warm", methods, warm, duration)
    _bars(axes[1], "KV cache in use", methods, kept, data_size)
    _bars(axes[2], "peak memory beyond weights", methods, peak, data_size)
    labels = []
    for method in methods:
        some = len(answered[method]) < len(names)
        of = f" ({len(answered[method])} of {len(names)} tasks)" if some else ""
        labels.append(heading(method) + of)
    axes[0].set_yticks(range(len(methods)), labels)
    return made


def _bars(
    ax: Axes,
    title: str,
    methods: Sequence[str],
    values: Sequence[float],
    write: Callable[[float], str],
) -> None:
    """Plot bars with their values at the ends."""
    positive = [value for value in values if value > 0] or [1.0]
    high, logarithmic = max(positive), max(positive) > _DECADES * min(positive)
    low = min(positive) / 2 if logarithmic else 0.0
    own = styles_of(methods).values()
    bars = ax.barh(
        range(len(methods)),
        [max(0.0, value - low) for value in values],
        left=low,
        height=0.72,
        color=[look.colour for look in own],
        edgecolor="black",
        linewidth=0.6,
        hatch=[look.hatch for look in own],
    )
    ax.bar_label(bars, [write(value) for value in values], padding=3)
    ax.set_title(title)
    ax.set_xscale("log" if logarithmic else "linear")
    ax.set_xlabel("log scale" if logarithmic else "")
    ax.set_xlim(low, high * (high / low) ** 0.4 if logarithmic else 1.4 * high)
    ax.xaxis.set_major_locator(LogLocator() if logarithmic else MaxNLocator(4, steps=_STEPS))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(lambda value, _: write(value))
    ax.set_yticks(range(len(methods)), [""] * len(methods))
    ax.tick_params(axis="y", length=0)
    ax.invert_yaxis()
    ax.grid(axis="x")
