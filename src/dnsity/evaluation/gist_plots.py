"""Figures of the attention mask, and of the gists' attention over the document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from torch import Tensor

from dnsity.evaluation.figures import drawable, figure, panels, style
from dnsity.evaluation.styles import STYLES
from dnsity.gist.layout import Layout
from dnsity.gist.mask import visible

_KINDS = {"document": "#999999", "gist": STYLES["gist"].colour, "question": "#000000"}
_CELLS = 150
"""Number of columns for a document; more would be too fine to see."""
_EVEN, _FAR_ABOVE = 1.0, 100.0
"""Range of the colour scale, in multiples of uniform attention."""


@style()
def masks(layouts: Mapping[str, Layout]) -> Figure:
    """Plot the attention mask of each layout; the token of a row sees the coloured columns."""
    made = figure(3.6, "Attention mask: a question sees the gists and itself, never the document")
    for ax, (name, layout) in zip(
        panels(made, len(layouts), len(layouts)), layouts.items(), strict=True
    ):
        _mask(ax, layout)
        ax.set_title(drawable(name))
    handles = [Patch(color=colour, label=kind) for kind, colour in _KINDS.items()]
    made.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False)
    return made


def _mask(ax: Axes, layout: Layout) -> None:
    kinds = [segment.kind for segment in layout.segments() for _ in range(segment.length)]
    columns = [1 + list(_KINDS).index(kind) for kind in kinds]
    cells = np.where(visible(layout).numpy(), columns, 0)
    ax.pcolormesh(
        cells,
        cmap=ListedColormap(["#f4f4f4", *_KINDS.values()]),
        vmin=0,
        vmax=3,
        edgecolors="white",
    )
    names = [f"{kind[0]}{1 + kinds[:place].count(kind)}" for place, kind in enumerate(kinds)]
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_ticks(np.arange(len(kinds)) + 0.5, names)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.invert_yaxis()
    ax.set_aspect("equal")


@style()
def attention(weights: Float[Tensor, "L H G N"], marks: Mapping[str, Sequence[int]]) -> Figure:
    """Plot the attention of each gist over the document: one row per gist.

    Attention is averaged over heads and layers and given as a multiple of uniform attention. A
    column that covers several tokens shows the largest value among them.

    Args:
        weights: See `inference.gist_attention`.
        marks: Document tokens to mark with an arrow, by label.
    """
    mean = weights.mean(dim=(0, 1)).float().numpy()
    gists, tokens = mean.shape
    times = mean * tokens / mean.sum(axis=1, keepdims=True)
    borders = np.linspace(0, tokens, min(_CELLS, tokens) + 1).astype(int)
    cells = np.maximum.reduceat(times, borders[:-1], axis=1)
    made = figure(1.3 + 0.1 * gists, f"Attention of {gists} gists over {tokens:,} tokens")
    ax = made.add_subplot()
    mesh = ax.pcolormesh(
        borders,
        np.arange(gists + 1),
        cells,
        cmap=matplotlib.colormaps["cividis"],
        norm=LogNorm(_EVEN, _FAR_ABOVE, clip=True),
        rasterized=True,
    )
    for name, places in marks.items():
        ax.annotate(
            drawable(name),
            (float(np.mean(places)), 0),
            (0, 11),
            textcoords="offset points",
            ha="center",
            arrowprops={"arrowstyle": "->"},
        )
    ax.invert_yaxis()
    ax.set_yticks(np.arange(0, gists, max(1, gists // 5)) + 0.5)
    ax.set_yticklabels([str(1 + gist) for gist in range(0, gists, max(1, gists // 5))])
    ax.set_ylabel("gist")
    ax.set_xlabel("document token")
    bar = made.colorbar(mesh, ax=ax, fraction=0.03, pad=0.02)
    bar.set_ticks([1, 10, 100], labels=["1x", "10x", "100x"])
    bar.set_label("attention / uniform attention")
    return made
