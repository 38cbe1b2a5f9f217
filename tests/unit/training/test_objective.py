"""Objectives against values worked out by hand."""

from __future__ import annotations

import math

import torch

from dnsity.data.collate import IGNORE
from dnsity.training.objective import answer_cross_entropy, exactly_right


def test_cross_entropy_is_the_sum_over_answer_tokens() -> None:
    # Two classes; position 0 predicts label 1 with odds 3:1, position 1 predicts label 0 evenly.
    logits = torch.tensor([[[0.0, math.log(3.0)], [0.0, 0.0], [9.0, -9.0]]])
    labels = torch.tensor([[IGNORE, 1, 0]])
    expected = -math.log(3 / 4) - math.log(1 / 2)
    assert math.isclose(answer_cross_entropy(logits, labels).item(), expected, rel_tol=1e-6)


def test_ignored_positions_take_no_part() -> None:
    logits = torch.randn(1, 4, 5, generator=torch.Generator().manual_seed(0))
    some = answer_cross_entropy(logits, torch.tensor([[IGNORE, IGNORE, 3, 1]]))
    changed = logits.clone()
    changed[:, 0] += 7  # predicts the ignored label 1
    assert torch.equal(some, answer_cross_entropy(changed, torch.tensor([[IGNORE, IGNORE, 3, 1]])))


def test_exactly_right_needs_every_answer_token() -> None:
    labels = torch.tensor([[IGNORE, IGNORE, 2, 0], [IGNORE, 1, 2, 0]])
    logits = torch.zeros(2, 4, 3)
    for row, wanted in enumerate([[2, 2, 0], [1, 1, 0]]):  # the second row errs at label 2
        for position, token in enumerate(wanted):
            logits[row, position, token] = 1
    assert exactly_right(logits, labels).tolist() == [True, False]
