"""The one module that Trainer (and DDP around it) trains: batches in, loss sums out."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from dnsity.inference.distillation import (
    answer_cross_entropy,
    supervised,
    teacher_divergence,
)
from dnsity.model.gist_lm import GistLM
from dnsity.training.answers import answers
from dnsity.training.objective import Objective, exactly_right, help_weights
from dnsity.training.settings import GistPath
from dnsity.training.teacher import Teacher


class Passes(nn.Module):
    """A `GistLM` with its objective.

    Args:
        lm: What is trained.
        objective: What is minimised in mode `gist`; the other modes take plain cross-entropy.
        path: How gist batches are run.
        teacher: Needed if the objective asks for one.
    """

    def __init__(
        self,
        lm: GistLM,
        objective: Objective | None = None,
        path: GistPath = "two_pass",
        teacher: Teacher | None = None,
    ) -> None:
        """Nothing is run yet."""
        super().__init__()
        self.lm = lm
        self.objective = objective or Objective()
        self.path = path
        self.teacher = teacher

    def forward(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        """Run one batch, which says its `mode`.

        Returns:
            `loss`, the sum over supervised tokens; `right` `[R]`, for which rows greedy decoding
            would give the gold answer.
        """
        labels = batch["labels"]
        logits = answers(self.lm, batch, batch["mode"], self.path)
        picked, targets = supervised(logits, labels)
        right = exactly_right(logits.detach(), labels)
        if batch["mode"] != "gist":
            return {"loss": answer_cross_entropy(picked, targets), "right": right}
        aim = self.objective
        weights = lesson = None
        if self.teacher is not None:
            lesson = self.teacher(batch)
            if aim.least_weight is not None:
                weights = help_weights(
                    lesson.gold_log_p, lesson.gold_log_p_without, aim.least_weight
                )
        loss = aim.answer * answer_cross_entropy(picked, targets, weights)
        if lesson is not None and aim.teacher:
            loss = loss + aim.teacher * teacher_divergence(
                picked, lesson.top_ids, lesson.top_log_p, weights
            )
        return {"loss": loss, "right": right}
