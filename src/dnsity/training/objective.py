"""The objective of gist training; the losses are in `inference/distillation.py`.

    loss = answer * cross-entropy(gold answer) + teacher * KL(full context || gist)

S is the number of supervised tokens of a batch: those of the answers, in order.
"""

from __future__ import annotations

from pathlib import Path

from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor

from dnsity.config import Config
from dnsity.data.batch import IGNORE


class Objective(Config):
    """The loss that gist training minimises.

    Attributes:
        answer: Weight of the cross-entropy of the gold answers.
        teacher: Weight of the divergence from the teacher: the same base, conditioned on the whole
            document.
        teacher_top: Tokens of the teacher's distribution that are used; the rest is one bucket.
        teacher_cache: Directory that stores the teacher's distributions between epochs and runs;
            None: computed each time. Needs a base that is not trained (not scope `full`).
        least_weight: Weight tokens by how much the document helps to predict them, see
            `help_weights`. This is the weight of a token it does not help. None: all weights are 1.
    """

    answer: float = Field(default=1.0, ge=0)
    teacher: float = Field(default=0.0, ge=0)
    teacher_top: int = Field(default=64, ge=1)
    teacher_cache: Path | None = None
    least_weight: float | None = Field(default=None, ge=0, le=1)

    @property
    def needs_teacher(self) -> bool:
        """Whether the teacher has to be run."""
        return self.teacher > 0 or self.least_weight is not None


def help_weights(
    with_document: Float[Tensor, " S"], without: Float[Tensor, " S"], least: float
) -> Float[Tensor, " S"]:
    """Weigh tokens by how much the document helps to predict them.

        weight = least + (1 - least) * clamp(log p(with document) - log p(without), 0, 1)

    A token that the base predicts anyway (the end of an answer, "the", a unit) teaches a gist
    nothing about its document. Help of one nat (a token that becomes e times likelier) gives the
    full weight. Weights are not normalised, so they do not depend on how a batch is split.

    Args:
        with_document: Log-probability of each gold token in full context.
        without: Log-probability of each gold token without the document.
        least: Weight of a token that the document does not help.
    """
    return least + (1 - least) * (with_document - without).clamp(0, 1)


def exactly_right(
    logits: Float[Tensor, "B A vocab"], labels: Int[Tensor, "B A"]
) -> Bool[Tensor, " B"]:
    """Return for which questions greedy decoding gives the whole gold answer and then ends."""
    wanted = labels[:, 1:]
    return ((logits[:, :-1].argmax(-1) == wanted) | (wanted == IGNORE)).all(dim=1)
