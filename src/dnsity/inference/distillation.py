"""Distillation losses: sums over answer tokens, so that the parts of a split batch add up.

S counts the supervised tokens of a batch: those of the answers, in order.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from dnsity.data.batch import IGNORE


def supervised(
    logits: Float[Tensor, "B A vocab"], labels: Int[Tensor, "B A"]
) -> tuple[Float[Tensor, "S vocab"], Int[Tensor, " S"]]:
    """Select the logits that predict a labelled token, and these tokens.

    Args:
        logits: Of the same positions as `labels`; position i predicts label i+1.
        labels: Token ids, `IGNORE` where there is no loss.
    """
    wanted = labels[:, 1:]
    kept = wanted != IGNORE
    return logits[:, :-1][kept].float(), wanted[kept]


def answer_cross_entropy(
    logits: Float[Tensor, "S vocab"],
    targets: Int[Tensor, " S"],
    weights: Float[Tensor, " S"] | None = None,
) -> Float[Tensor, ""]:
    """Sum the cross-entropy of answer tokens, each times its weight."""
    losses = functional.cross_entropy(logits, targets, reduction="none")
    return (losses if weights is None else losses * weights).sum()


def gold_log_p(logits: Float[Tensor, "S vocab"], targets: Int[Tensor, " S"]) -> Float[Tensor, " S"]:
    """Return the log-probability of each gold token."""
    return logits.log_softmax(dim=-1).gather(-1, targets[:, None])[:, 0]


def top_of(logits: Float[Tensor, "S vocab"], count: int) -> tuple[Tensor, Tensor]:
    """Return the `count` likeliest tokens: ids `[S, count]` and log-probabilities `[S, count]`."""
    log_p, ids = logits.log_softmax(dim=-1).topk(min(count, logits.shape[-1]))
    return ids, log_p


def teacher_divergence(
    logits: Float[Tensor, "S vocab"],
    top_ids: Int[Tensor, "S top"],
    top_log_p: Float[Tensor, "S top"],
    weights: Float[Tensor, " S"] | None = None,
) -> Float[Tensor, ""]:
    """Sum KL(teacher || student) over the teacher's likeliest tokens and one bucket for the rest.

    Merging tokens into a bucket never increases a divergence (data processing inequality), so this
    is a lower bound of the full divergence. It is zero if the student agrees, and equal to the full
    one if `top_ids` are the whole vocabulary. Top-k distillation on answer tokens worked at the
    highest published ratios (Still, 2606.07878; Cartridges, 2506.06266).

    Args:
        logits: The student's.
        top_ids: The teacher's likeliest tokens.
        top_log_p: Their log-probabilities.
        weights: Of each token.
    """
    student = logits.log_softmax(dim=-1).gather(-1, top_ids)
    divergence = (top_log_p.exp() * (top_log_p - student)).sum(dim=-1)
    rest, student_rest = _rest(top_log_p), _rest(student)
    divergence = divergence + rest * (rest.log() - student_rest.log())
    return (divergence if weights is None else divergence * weights).sum()


def _rest(log_p: Float[Tensor, "S top"]) -> Float[Tensor, " S"]:
    """Return the probability of all other tokens; never zero, because its logarithm is needed."""
    return (1 - log_p.exp().sum(dim=-1)).clamp(min=torch.finfo(log_p.dtype).eps)
