"""Plots of the bottleneck show the cells of the mask and the attention weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dnsity.gist.layout import Layout
from dnsity.gist.mask import visible

pytest.importorskip("matplotlib")
from dnsity.evaluation.gist_plots import attention, masks


def test_a_coloured_cell_is_a_visible_token() -> None:
    layouts = {name: Layout((6,), 3, (2,), name) for name in ("append", "spread")}  # type: ignore[arg-type]
    made = masks(layouts)
    assert [ax.get_title() for ax in made.axes] == list(layouts)
    for ax, layout in zip(made.axes, layouts.values(), strict=True):
        drawn = np.asarray(ax.collections[0].get_array()).reshape(11, 11)
        np.testing.assert_array_equal(drawn > 0, visible(layout).numpy())
        assert [label.get_text() for label in ax.get_xticklabels()][5:10] == [
            "d6",
            "g1",
            "g2",
            "g3",
            "q1",
        ]


def test_attention_is_plotted_at_its_token() -> None:
    weights = torch.full((2, 3, 4, 300), 1e-4)
    weights[:, :, 2, 151] = 0.5
    made = attention(weights, {"the needle": [150, 151]})
    ax = made.axes[0]
    drawn = np.asarray(ax.collections[0].get_array()).reshape(4, 150)  # two tokens a cell
    assert np.unravel_index(drawn.argmax(), drawn.shape) == (2, 75)
    even = weights.shape[-1] * 1e-4 / (300 * 1e-4)
    np.testing.assert_allclose(drawn[0], even, rtol=1e-5)  # float32 sums
    assert [text.get_text() for text in ax.texts] == ["the needle"]
    assert ax.texts[0].xy[0] == 150.5  # type: ignore[attr-defined]
