"""Objectives: pure functions of answer tokens' logits, sums so that any split adds up the same.

    loss = answer * cross-entropy(gold answer) + teacher * KL(full context || gist)

S counts the supervised tokens of a batch: those of the answers, row by row.
"""

from __future__ import annotations

from pathlib import Path

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from dnsity.config import Config
from dnsity.data.collate import IGNORE


class Objective(Config):
    """What is minimised when gists are trained.

    Attributes:
        answer: Weight of the cross-entropy of the gold answers.
        teacher: Weight of the divergence from the same base with the document before it.
        teacher_top: Tokens of the teacher's distribution that are kept; the rest is one bucket.
        teacher_cache: Directory that keeps the teacher's distributions between epochs and runs;
            None: computed anew each time. Needs a base that stays as it is (not scope `full`).
        least_weight: Weight tokens by how much the document helps to predict them, see
            `help_weights`: a token it does not help weighs this much. None: all weigh one.
    """

    answer: float = Field(default=1.0, ge=0)
    teacher: float = Field(default=0.0, ge=0)
    teacher_top: int = Field(default=64, ge=1)
    teacher_cache: Path | None = None
    least_weight: float | None = Field(default=None, ge=0, le=1)

    @property
    def needs_teacher(self) -> bool:
        """Whether full context has to be run as well."""
        return self.teacher > 0 or self.least_weight is not None


def supervised(
    logits: Float[Tensor, "B A vocab"], labels: Int[Tensor, "B A"]
) -> tuple[Float[Tensor, "S vocab"], Int[Tensor, " S"]]:
    """Pick the logits that predict a labelled token, and these tokens, row by row.

    Args:
        logits: Of the same positions as `labels`; position i predicts label i+1.
        labels: Token ids, `IGNORE` where no loss is taken.
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


def top_of(logits: Float[Tensor, "S vocab"], count: int) -> tuple[Tensor, Tensor]:
    """Keep the `count` likeliest tokens: ids `[S, count]` and log-probabilities `[S, count]`."""
    log_p, ids = logits.log_softmax(dim=-1).topk(min(count, logits.shape[-1]))
    return ids, log_p


def teacher_divergence(
    logits: Float[Tensor, "S vocab"],
    top_ids: Int[Tensor, "S top"],
    top_log_p: Float[Tensor, "S top"],
    weights: Float[Tensor, " S"] | None = None,
) -> Float[Tensor, ""]:
    """Sum KL(teacher || student) over the teacher's likeliest tokens and one bucket for the rest.

    Lumping tokens together never raises a divergence (data processing inequality), so this bounds
    the full one from below, and it is zero when the student agrees. With the whole vocabulary kept
    it is the full one. Distillation on answer tokens from top-k logits is what worked at the
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
    """Return the probability outside the given tokens; never zero, whose logarithm is infinite."""
    return (1 - log_p.exp().sum(dim=-1)).clamp(min=torch.finfo(log_p.dtype).eps)


def help_weights(
    with_document: Float[Tensor, " S"], without: Float[Tensor, " S"], least: float
) -> Float[Tensor, " S"]:
    """Weigh tokens by how much the document helps to predict them.

        weight = least + (1 - least) * clamp(log p(with document) - log p(without), 0, 1)

    What the base knows anyway (the end of an answer, "the", a unit) teaches a gist nothing about
    its document. One nat, a token made e times likelier, counts as full help. Weights are not
    normalised, so that they do not depend on how a batch is split.

    Args:
        with_document: Log-probability of each gold token in full context.
        without: The same with no document.
        least: Weight of a token that the document does not help.
    """
    return least + (1 - least) * (with_document - without).clamp(0, 1)


def exactly_right(
    logits: Float[Tensor, "B A vocab"], labels: Int[Tensor, "B A"]
) -> Bool[Tensor, " B"]:
    """Say for which rows greedy decoding would give the whole gold answer and stop."""
    wanted = labels[:, 1:]
    return ((logits[:, :-1].argmax(-1) == wanted) | (wanted == IGNORE)).all(dim=1)
