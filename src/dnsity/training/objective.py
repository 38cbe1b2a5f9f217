"""Objectives as pure functions of logits and labels."""

from __future__ import annotations

from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from dnsity.data.collate import IGNORE


def answer_cross_entropy(
    logits: Float[Tensor, "B A vocab"], labels: Int[Tensor, "B A"]
) -> Float[Tensor, ""]:
    """Sum the cross-entropy of answer tokens (a sum, so that any batch split adds up the same).

    Args:
        logits: Of the same positions as `labels`; position i predicts label i+1.
        labels: Token ids, `IGNORE` where no loss is taken.
    """
    return functional.cross_entropy(
        logits[:, :-1].flatten(0, 1).float(),
        labels[:, 1:].flatten(),
        ignore_index=IGNORE,
        reduction="sum",
    )


def exactly_right(
    logits: Float[Tensor, "B A vocab"], labels: Int[Tensor, "B A"]
) -> Bool[Tensor, " B"]:
    """Say for which rows greedy decoding would give the whole gold answer and stop."""
    wanted = labels[:, 1:]
    return ((logits[:, :-1].argmax(-1) == wanted) | (wanted == IGNORE)).all(dim=1)
