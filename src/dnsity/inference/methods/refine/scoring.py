"""How well slots stand in for a document: the loss they are trained by, and scores on rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from dnsity.inference.distillation import answer_cross_entropy, teacher_divergence
from dnsity.inference.study import ROWS_AT_ONCE, Lesson, Row, answered
from dnsity.model.gist_lm import GistLM
from dnsity.shapes import KeyValues

Pair = tuple[Row, Lesson]
"""A row and what the base says of it."""
_LEAST_GAP = 0.05
"""Nats per token that the document must be worth on held-out rows for a share of it to be told."""


@dataclass(frozen=True, slots=True)
class Score:
    """How slots do on held-out rows.

    Attributes:
        loss: What is trained, per row.
        gap: Share of what the document adds to no context that the slots keep, by the likelihood
            of the document's own words; None if it adds next to nothing.
        foreign: Divergence from the base, nats per token, on questions that the document does not
            answer and on text that has nothing to do with it.
        right: Held-out questions answered right by generation; None if they were not asked.
        abstains: Share of those questions, facts and quotations alike, to which greedy decoding
            would say that the document does not answer them; None if there are none.
    """

    loss: float
    gap: float | None
    foreign: float
    abstains: float | None
    right: int | None = None


@contextmanager
def frozen(lm: GistLM) -> Iterator[None]:
    """Let no weight of a model ask for a gradient: only what stands before the question learns."""
    with lm.frozen():
        yield


def loss_of(lm: GistLM, slots: KeyValues, pairs: Sequence[Pair]) -> Tensor:
    """Average over rows: KL from what the base says, and cross-entropy of the document's own words.

    Every row counts the same, however long its answer: an exact value is a few tokens.
    """
    kl, gold, _ = _losses(lm, slots, pairs)
    return (kl + gold).mean()


def abstains(pairs: Sequence[Pair], exact: Sequence[bool]) -> float | None:
    """Give the share of foreign questions that are answered by an abstention.

    Args:
        pairs: Rows, and what the base says of them.
        exact: Which rows are answered word for word.
    """
    found = [right for (row, _), right in zip(pairs, exact, strict=True) if row.kind == "foreign"]
    return sum(found) / len(found) if found else None


@torch.no_grad()
def score(lm: GistLM, slots: KeyValues, pairs: Sequence[Pair], floor: Sequence[float]) -> Score:
    """Score slots on rows.

    Args:
        lm: The model.
        slots: Keys and values `[1, K, G, D]` per layer.
        pairs: Held-out rows.
        floor: Mean log-probability of each row's answer behind nothing.
    """
    starts = range(0, len(pairs), ROWS_AT_ONCE)
    found = [_losses(lm, slots, pairs[at : at + ROWS_AT_ONCE]) for at in starts]
    kl, gold, exact = (torch.cat(parts).tolist() for parts in zip(*found, strict=True))
    own = [n for n, (row, _) in enumerate(pairs) if row.is_gold]
    foreign = [kl[n] for n, (row, _) in enumerate(pairs) if row.kind in ("foreign", "general")]
    worth = sum(float(pairs[n][1].log_p.mean()) - floor[n] for n in own)
    kept = sum(-gold[n] - floor[n] for n in own)
    return Score(
        loss=sum(kl + gold) / len(pairs),
        gap=kept / worth if worth > _LEAST_GAP * len(own) else None,
        foreign=sum(foreign) / max(1, len(foreign)),
        abstains=abstains(pairs, exact),
    )


def _losses(lm: GistLM, slots: KeyValues, pairs: Sequence[Pair]) -> tuple[Tensor, Tensor, Tensor]:
    """Per row: mean divergence from the base, mean cross-entropy (0 unless gold), exactly right."""
    logits, targets = answered(lm, slots, [row for row, _ in pairs])
    kl, gold, exact = [], [], []
    start = 0
    for row, lesson in pairs:
        own = slice(start, start + len(row.answer))
        start = own.stop
        # A clone: what was made under inference mode cannot be kept for a backward pass.
        top_ids, top_log_p = lesson.top_ids.clone(), lesson.top_log_p.clone()
        kl.append(teacher_divergence(logits[own], top_ids, top_log_p) / len(row.answer))
        one = answer_cross_entropy(logits[own], targets[own]) / len(row.answer)
        gold.append(one if row.is_gold else torch.zeros_like(one))
        exact.append((logits[own].argmax(dim=-1) == targets[own]).all())
    return torch.stack(kl), torch.stack(gold), torch.stack(exact)
