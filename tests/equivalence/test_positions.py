"""A document at negative positions is the same document; refused where that does not hold."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from dnsity.errors import UnsupportedModelError
from dnsity.gist.layout import Layout
from dnsity.gist.mask import visible
from dnsity.gist.spec import GistSpec
from dnsity.model import backbone
from dnsity.model.gist_lm import GistLM
from dnsity.model.masked import run_masked
from support import (
    FAMILIES,
    PLACEMENTS,
    assert_same,
    compress_chunks,
    gap,
    layout_ids,
    parts,
    tiny_base,
)

pytestmark = pytest.mark.usefixtures("no_grad")

ROPES: dict[str, dict[str, Any]] = {
    "default": {"rope_type": "default"},
    "linear": {"rope_type": "linear", "factor": 2.0},
    "llama3": {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64,
    },
    "yarn": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64},
}
MOVING: dict[str, dict[str, Any]] = {
    "dynamic": {"rope_type": "dynamic", "factor": 4.0},
    "longrope": {
        "rope_type": "longrope",
        "factor": 4.0,
        "short_factor": [1.0] * 4,
        "long_factor": [3.0] * 4,
        "original_max_position_embeddings": 16,
    },
}
LAYOUTS = [Layout((21,), 4, (5,)), Layout((7, 12, 9), 4, (5,))]


def with_rope(rope: dict[str, Any], **overrides: Any) -> PreTrainedModel:
    return tiny_base("llama", rope_parameters={"rope_theta": 10_000.0, **rope}, **overrides)


def absolute_logits(model: GistLM, ids: Tensor, layout: Layout, shift: int) -> Tensor:
    """Run the masked sequence by hand, everything moved up by `shift` positions."""
    embeds = model.base.get_input_embeddings()(ids)
    for segment in layout.segments():
        if segment.kind == "gist":
            embeds[:, segment.start : segment.stop] = model.gist_rows
    positions = torch.tensor([layout.positions()]) + shift
    masks = backbone.masks(model.base, visible(layout)[None], positions, positions)
    return backbone.masked_logits(model.base, embeds, positions, masks)


def assert_shift_changes_nothing(base: PreTrainedModel, layout: Layout) -> None:
    """Compare negative positions with absolute ones: document at 0, question after the gists."""
    model = GistLM(base, GistSpec(gists=4, scope="full", placement=layout.placement)).eval()
    ids = layout_ids(layout)
    shift = -min(layout.positions())
    assert shift > 0
    absolute = absolute_logits(model, ids, layout, shift)
    # 1e-5 as everywhere: rotations by other angles round differently, measured at most 2.1e-6.
    assert_same(run_masked(model, ids, layout), absolute, "masked logits")
    gists = compress_chunks(model, parts(ids, layout, "document"))
    (question,) = parts(ids, layout, "question")
    assert_same(model.answer(gists, question), absolute[:, -5:], "two-pass logits")


@pytest.mark.parametrize("layout", LAYOUTS, ids=["one chunk", "three chunks"])
@pytest.mark.parametrize("rope", ROPES)
def test_negative_positions_equal_absolute_ones(rope: str, layout: Layout) -> None:
    assert_shift_changes_nothing(with_rope(ROPES[rope]), layout)


@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize("family", FAMILIES)
def test_negative_positions_in_every_family(family: str, placement: str) -> None:
    layout = Layout((21,), 4, (5,), placement)  # type: ignore[arg-type]
    assert_shift_changes_nothing(tiny_base(family), layout)


@pytest.mark.parametrize("rope", MOVING)
def test_rotations_that_look_at_the_length_are_refused(rope: str) -> None:
    with pytest.raises(UnsupportedModelError, match=f"rope type {rope} is not shift-invariant"):
        GistLM(with_rope(MOVING[rope]), GistSpec(scope="full"))


@pytest.mark.parametrize("rope", MOVING)
def test_the_refusal_has_a_reason(rope: str) -> None:
    """The same prompt 24 positions later gives other logits; with a static rotation it does not."""
    ids = layout_ids(Layout((21,), 4, (5,)))

    def change(base: PreTrainedModel) -> float:
        embeds = base.get_input_embeddings()(ids)
        positions = torch.arange(ids.shape[1])[None]
        seen = torch.ones(1, ids.shape[1], ids.shape[1], dtype=torch.bool).tril()
        here, there = (
            backbone.masked_logits(base, embeds, p, backbone.masks(base, seen, p, p))
            for p in (positions - 21, positions + 3)
        )
        return gap(there, here)

    assert change(with_rope(ROPES["default"])) < 1e-5
    assert change(with_rope(MOVING[rope], max_position_embeddings=16)) > 1e-3


def test_one_position_off_is_noticed() -> None:
    """A gap in the positions is far larger than the tolerance of these comparisons."""
    layout = LAYOUTS[0]
    model = GistLM(tiny_base("llama"), GistSpec(gists=4, scope="full")).eval()
    ids = layout_ids(layout)
    (document,), (question,) = parts(ids, layout, "document"), parts(ids, layout, "question")
    right = model.answer(model.compress(document), question)
    wrong = model.answer(model.compress(document, offset=1), question)
    assert gap(wrong, right) > 1e-2
