"""How one chunk of a document becomes gists: two algorithms with one result.

    one segment    [document][gists] ──▶ keys and values of the gists
    two segments   [document] ──▶ its keys and values;  [gists] after them ──▶ those of the gists

One segment is faster and needs less memory (docs/adr/0006-one-segment.md). It is possible where
document and gists have the same weights and gists attend to all earlier tokens.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers import PreTrainedModel

from dnsity.gist.mask import gist_sees_document
from dnsity.gist.spec import GistSpec
from dnsity.model import backbone
from dnsity.model.key_values import all_slots, concatenate
from dnsity.model.switches import Switches
from dnsity.shapes import KeyValues


@dataclass(frozen=True, slots=True)
class Chunk:
    """One chunk of each document in a batch, ready for a forward pass.

    Attributes:
        ids: Tokens of the chunk, left-padded.
        real: True at real tokens.
        padded: Whether there is padding.
        positions: Positions of the tokens.
        rows: Input embeddings of the gists.
        row_positions: Positions of the gists.
        prefix: Keys and values that precede it; None: nothing does.
        head: How many of each document's first real tokens are the head's copy.
    """

    ids: Int[Tensor, "B N"]
    real: Bool[Tensor, "B N"]
    padded: bool
    positions: Int[Tensor, "B N"]
    rows: Float[Tensor, "B G hidden"]
    row_positions: Int[Tensor, "B G"]
    prefix: KeyValues | None
    head: int


def one_segment(base: PreTrainedModel, chunk: Chunk, switches: Switches) -> KeyValues:
    """Compress in one forward pass: gists follow the document like further tokens.

    Args:
        base: The causal LM.
        chunk: What to compress.
        switches: Turns the adapter on and off.

    Returns:
        Per layer the gists' keys and values, `[B, K, G, D]`. The document's keys of a layer are
        freed before the next layer runs.
    """
    before, own = all_slots(chunk.prefix, chunk.real), torch.ones_like(chunk.row_positions).bool()
    with switches.acting_on("document"):
        embedded = base.get_input_embeddings()(chunk.ids)  # an adapter may act on it, too
        return backbone.segment_keys(
            base,
            torch.cat([embedded, chunk.rows], dim=1),
            torch.cat([chunk.positions, chunk.row_positions], dim=1),
            torch.cat([before, chunk.real, own], dim=1) if chunk.padded else None,
            chunk.prefix,
            keep=chunk.rows.shape[1],
        )


def two_segments(
    base: PreTrainedModel, chunk: Chunk, spec: GistSpec, switches: Switches
) -> KeyValues:
    """Compress in two forward passes, so that gists may have a separate mask or weights.

    Args:
        base: The causal LM.
        chunk: What to compress.
        spec: Scope and placement.
        switches: Turns the adapter on and off.

    Returns:
        Per layer the gists' keys and values, `[B, K, G, D]`.
    """
    prefix = chunk.prefix
    # The second pass may stop inside the last layer, before it attends to the document's keys.
    unneeded = int(backbone.ends_early(base))
    with switches.acting_on("document"), _document_graph(spec, prefix):
        before = all_slots(prefix, chunk.real)
        document = backbone.segment_keys(
            base,
            base.get_input_embeddings()(chunk.ids),
            chunk.positions,
            torch.cat([before, chunk.real], dim=1) if chunk.padded else None,
            prefix,
            unneeded=unneeded,
        )
    with switches.acting_on("gist"):
        return backbone.segment_keys(
            base,
            chunk.rows,
            chunk.row_positions,
            _gist_masks(base, chunk, spec),
            document if prefix is None else concatenate(prefix[: len(document)], document),
        )


def _document_graph(spec: GistSpec, prefix: KeyValues | None) -> AbstractContextManager[Any]:
    """Return a context without gradients if nothing in the document's pass is trained.

    This is the case in scope `gist`, unless the document attends to earlier gists.
    """
    return torch.no_grad() if spec.scope == "gist" and prefix is None else nullcontext()


def _gist_masks(base: PreTrainedModel, chunk: Chunk, spec: GistSpec) -> backbone.Masks:
    """Return the masks of the second pass: over prefix, document and earlier gists."""
    batch, gists = chunk.row_positions.shape
    device = chunk.ids.device
    before = all_slots(chunk.prefix, chunk.real)
    before_positions = torch.arange(before.shape[1], device=device).expand(batch, -1)
    earlier = torch.ones(gists, gists, dtype=torch.bool, device=device).tril()
    seen = torch.cat(
        [
            before[:, None].expand(-1, gists, -1),
            gist_sees_document(gists, chunk.real, spec.placement, chunk.head),
            earlier.expand(batch, -1, -1),
        ],
        dim=2,
    )
    key_positions = torch.cat([before_positions, chunk.positions, chunk.row_positions], dim=1)
    return backbone.masks(base, seen, chunk.row_positions, key_positions)
