"""The plot of a benchmark: time and memory of every method by length of the document."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from dnsity.evaluation.figures import figure, panels, style
from dnsity.evaluation.methods import METHODS
from dnsity.evaluation.styles import STYLES
from dnsity.io.units import data_size, duration

_WHITE = "#FFFFFF"


@style()
def costs(result: Mapping[str, Any]) -> Figure:
    """Plot the results of `dnsity bench`: logarithmic scales, one line per method.

    Args:
        result: The JSON that the command writes.
    """
    gists = f"gist {result['gists']}"
    rows = [row for row in result["rows"] if row["method"] == gists or "gist" not in row["method"]]
    shape = result["manifest"]["config"]["shape"]
    made = figure(3.4, f"Cost by length of the document, {shape} with random weights")
    axes = panels(made, 3, 3)
    _lines(axes[0], "time to first token, warm", rows, gists, _warm, duration)
    _lines(axes[1], "preparing a document, once", rows, gists, _ingest, duration)
    _lines(axes[2], "KV cache in use", rows, gists, _kv_bytes, data_size)
    handles, labels = axes[0].get_legend_handles_labels()
    made.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    return made


def _warm(row: Mapping[str, Any]) -> float:
    return float(row["warm_ttft_s"]["median"])


def _ingest(row: Mapping[str, Any]) -> float:
    return float(row["ingest_s"])


def _kv_bytes(row: Mapping[str, Any]) -> float:
    return float(row["kv_bytes"])


def _lines(
    ax: Axes,
    title: str,
    rows: Sequence[Mapping[str, Any]],
    gists: str,
    figure_of: Callable[[Mapping[str, Any]], float],
    write: Callable[[float], str],
) -> None:
    """Plot one line per method; zeros are left out of the logarithmic scale."""
    lengths = sorted({row["tokens"] for row in rows})
    for name in dict.fromkeys(row["method"] for row in rows):
        own = {row["tokens"]: figure_of(row) for row in rows if row["method"] == name}
        known = "gist" if name == gists else name
        look = STYLES[known]
        ax.plot(
            lengths,
            [own[tokens] or float("nan") for tokens in lengths],
            color="black" if look.colour == _WHITE else look.colour,
            linestyle=look.line,
            marker=look.marker,
            markerfacecolor=look.colour,
            markeredgecolor="black",
            markeredgewidth=0.6,
            label=f"{gists.split()[1]} gists" if name == gists else METHODS[known].heading,
        )
    ax.set_title(title)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xticks(lengths, [f"{tokens:,}" for tokens in lengths])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(lambda value, _: write(value))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.set_xlabel("document tokens")
    ax.grid(axis="y")
