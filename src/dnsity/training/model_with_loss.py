"""The module that Trainer (and DDP or FSDP around it) trains: a batch in, its loss out."""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Bool
from torch import Tensor, nn

from dnsity.data.batch import Batch, TextBatch
from dnsity.inference.distillation import (
    answer_cross_entropy,
    supervised,
    teacher_divergence,
)
from dnsity.model.gist_lm import GistLM
from dnsity.training.answers import answers, text_logits
from dnsity.training.objective import Objective, exactly_right, help_weights
from dnsity.training.settings import GistPath
from dnsity.training.teacher import Teacher


class BatchLoss(NamedTuple):
    """The result of one batch.

    Attributes:
        loss: The sum over supervised tokens.
        right: True for each question whose expected answer greedy decoding would give.
    """

    loss: Tensor
    right: Bool[Tensor, " R"]


class ModelWithLoss(nn.Module):
    """A `GistLM` with its objective.

    Args:
        lm: The model to train.
        objective: What is minimised in mode `gist`; the other modes use plain cross-entropy.
        path: How gist batches are run.
        teacher: Required if the objective needs one.
    """

    def __init__(
        self,
        lm: GistLM,
        objective: Objective | None = None,
        path: GistPath = "two_pass",
        teacher: Teacher | None = None,
    ) -> None:
        """Store the parts."""
        super().__init__()
        self.lm = lm
        self.objective = objective or Objective()
        self.path = path
        self.teacher = teacher

    def forward(self, batch: Batch) -> BatchLoss:
        """Run one batch in its mode."""
        if isinstance(batch, TextBatch):
            logits = text_logits(self.lm, batch)
        else:
            logits = answers(self.lm, batch, batch.mode, self.path)
        picked, targets = supervised(logits, batch.labels)
        right = exactly_right(logits.detach(), batch.labels)
        if batch.mode != "gist":
            return BatchLoss(answer_cross_entropy(picked, targets), right)
        objective = self.objective
        weights = taught = None
        if self.teacher is not None:
            taught = self.teacher(batch)
            if objective.least_weight is not None:
                weights = help_weights(
                    taught.gold_log_p, taught.gold_log_p_without, objective.least_weight
                )
        loss = objective.answer * answer_cross_entropy(picked, targets, weights)
        if taught is not None and objective.teacher:
            loss = loss + objective.teacher * teacher_divergence(
                picked, taught.top_ids, taught.top_log_p, weights
            )
        return BatchLoss(loss, right)
