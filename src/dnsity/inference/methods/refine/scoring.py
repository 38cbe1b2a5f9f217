"""The training loss of `refine`, and scores of slots on held-out examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dnsity.inference.distillation import answer_cross_entropy, teacher_divergence
from dnsity.inference.methods.refine.examples import Example
from dnsity.inference.methods.refine.teacher import (
    EXAMPLES_PER_PASS,
    TeacherOutput,
    answer_logits,
)
from dnsity.model.gist_lm import GistLM
from dnsity.shapes import KeyValues

Pair = tuple[Example, TeacherOutput]
_LEAST_GAP = 0.05
"""Smallest gain from the document, in nats per token, for which `Score.gap` is defined."""


@dataclass(frozen=True, slots=True)
class Score:
    """Scores of slots on held-out examples.

    Attributes:
        loss: The training loss per example.
        gap: Recovered share of what the document adds to no context, by the likelihood of the
            document's own words; None if it adds almost nothing.
        foreign: Divergence from the base, in nats per token, on foreign questions and general text.
        right: Held-out questions answered right by generation; None if they were not asked.
        abstains: Share of foreign questions on which greedy decoding abstains; None if there are
            none.
    """

    loss: float
    gap: float | None
    foreign: float
    abstains: float | None
    right: int | None = None


def loss_of(lm: GistLM, slots: KeyValues, pairs: Sequence[Pair]) -> Tensor:
    """Return the mean over examples of KL from the teacher plus cross-entropy of gold answers.

    Every example has the same weight, however long its answer: exact values are a few tokens.
    """
    kl, gold, _ = _losses(lm, slots, pairs)
    return (kl + gold).mean()


def abstains(pairs: Sequence[Pair], exact: Sequence[bool]) -> float | None:
    """Return the share of foreign questions that are answered by an abstention.

    Args:
        pairs: Examples with their teacher outputs.
        exact: Which examples are answered word for word.
    """
    found = [
        right for (example, _), right in zip(pairs, exact, strict=True) if example.kind == "foreign"
    ]
    return sum(found) / len(found) if found else None


@torch.no_grad()
def score(lm: GistLM, slots: KeyValues, pairs: Sequence[Pair], floor: Sequence[float]) -> Score:
    """Score slots on examples.

    Args:
        lm: The model.
        slots: Keys and values `[1, K, G, D]` per layer.
        pairs: Held-out examples with their teacher outputs.
        floor: Mean log-probability of each example's answer without any context.
    """
    starts = range(0, len(pairs), EXAMPLES_PER_PASS)
    found = [_losses(lm, slots, pairs[at : at + EXAMPLES_PER_PASS]) for at in starts]
    kl, gold, exact = (torch.cat(parts).tolist() for parts in zip(*found, strict=True))
    own = [n for n, (example, _) in enumerate(pairs) if example.is_gold]
    foreign = [
        kl[n] for n, (example, _) in enumerate(pairs) if example.kind in ("foreign", "general")
    ]
    worth = sum(float(pairs[n][1].log_p.mean()) - floor[n] for n in own)
    kept = sum(-gold[n] - floor[n] for n in own)
    return Score(
        loss=sum(kl + gold) / len(pairs),
        gap=kept / worth if worth > _LEAST_GAP * len(own) else None,
        foreign=sum(foreign) / max(1, len(foreign)),
        abstains=abstains(pairs, exact),
    )


def _losses(lm: GistLM, slots: KeyValues, pairs: Sequence[Pair]) -> tuple[Tensor, Tensor, Tensor]:
    """Return per example: mean KL from the teacher, mean cross-entropy (0 unless gold), exact."""
    logits, targets = answer_logits(lm, slots, [example for example, _ in pairs])
    kl, gold, exact = [], [], []
    start = 0
    for example, teacher in pairs:
        own = slice(start, start + len(example.answer))
        start = own.stop
        # Tensors made in inference mode cannot be saved for a backward pass; clones can.
        top_ids, top_log_p = teacher.top_ids.clone(), teacher.top_log_p.clone()
        kl.append(teacher_divergence(logits[own], top_ids, top_log_p) / len(example.answer))
        one = answer_cross_entropy(logits[own], targets[own]) / len(example.answer)
        gold.append(one if example.is_gold else torch.zeros_like(one))
        exact.append((logits[own].argmax(dim=-1) == targets[own]).all())
    return torch.stack(kl), torch.stack(gold), torch.stack(exact)
