"""Objectives against values worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from dnsity.data.batch import IGNORE
from dnsity.inference.distillation import (
    answer_cross_entropy,
    supervised,
    teacher_divergence,
    top_of,
)
from dnsity.training.objective import exactly_right, help_weights

# Two classes; the first token is right with odds 3:1, the second evenly.
LOGITS = torch.tensor([[0.0, math.log(3.0)], [0.0, 0.0]])
TARGETS = torch.tensor([1, 0])
LOSSES = (-math.log(3 / 4), -math.log(1 / 2))


def _random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_only_labelled_tokens_are_supervised() -> None:
    logits = _random(2, 4, 5)
    labels = torch.tensor([[IGNORE, IGNORE, 3, 1], [IGNORE, 2, IGNORE, 4]])
    picked, targets = supervised(logits, labels)
    assert targets.tolist() == [3, 1, 2, 4]
    places = [(0, 1), (0, 2), (1, 0), (1, 2)]  # one before the label: it predicts it
    assert torch.equal(picked, torch.stack([logits[row, place] for row, place in places]))


def test_cross_entropy_is_the_weighted_sum_over_answer_tokens() -> None:
    assert answer_cross_entropy(LOGITS, TARGETS).item() == pytest.approx(sum(LOSSES))
    weighted = answer_cross_entropy(LOGITS, TARGETS, torch.tensor([1.0, 0.25]))
    assert weighted.item() == pytest.approx(LOSSES[0] + 0.25 * LOSSES[1])


def test_divergence_lumps_what_the_teacher_finds_unlikely() -> None:
    teacher = torch.tensor([[0.5, 0.25, 0.125, 0.125]]).log()
    student = torch.tensor([[0.25, 0.25, 0.25, 0.25]]).log()
    two = teacher_divergence(student, *top_of(teacher, 2))
    # 0.5 log(0.5/0.25) + 0.25 log(0.25/0.25) + rest 0.25 log(0.25/0.5)
    assert two.item() == pytest.approx(0.5 * math.log(2) - 0.25 * math.log(2))
    whole = teacher_divergence(student, *top_of(teacher, 4))
    # 0.5 log 2 + 0 + 2 * 0.125 log(0.5)
    assert whole.item() == pytest.approx(0.25 * math.log(2), rel=1e-5)
    half = teacher_divergence(student, *top_of(teacher, 2), torch.tensor([0.5]))
    assert half.item() == pytest.approx(two.item() / 2)


@pytest.mark.parametrize("top", [1, 3, 9])
def test_divergence_is_zero_for_the_teacher_itself_and_never_negative(top: int) -> None:
    teacher, student = _random(6, 9), _random(6, 9, seed=1).requires_grad_()
    assert teacher_divergence(teacher, *top_of(teacher, top)).item() == pytest.approx(0, abs=1e-5)
    divergence = teacher_divergence(student, *top_of(teacher, top))
    assert divergence.item() > 0
    full = torch.nn.functional.kl_div(
        student.log_softmax(-1), teacher.log_softmax(-1), log_target=True, reduction="sum"
    )
    assert divergence.item() <= full.item() + 1e-5
    divergence.backward()
    assert student.grad is not None
    assert student.grad.isfinite().all()


def test_divergence_stays_finite_when_the_teacher_is_certain() -> None:
    certain = torch.tensor([[200.0, 0.0, 0.0]])
    student = torch.tensor([[0.0, 300.0, 0.0]], requires_grad=True)
    divergence = teacher_divergence(student, *top_of(certain, 1))
    divergence.backward()
    assert divergence.item() == pytest.approx(300, rel=0.1)
    assert student.grad is not None
    assert student.grad.isfinite().all()


def test_tokens_weigh_by_how_much_the_document_helps() -> None:
    with_document = torch.tensor([-0.1, -0.1, -0.1, -2.0])
    without = torch.tensor([-0.1, -0.6, -5.0, -1.0])
    weights = help_weights(with_document, without, 0.2)
    assert weights.tolist() == pytest.approx([0.2, 0.2 + 0.8 * 0.5, 1.0, 0.2])


def test_exactly_right_needs_every_answer_token() -> None:
    labels = torch.tensor([[IGNORE, IGNORE, 2, 0], [IGNORE, 1, 2, 0]])
    logits = torch.zeros(2, 4, 3)
    for row, wanted in enumerate([[2, 2, 0], [1, 1, 0]]):  # the second row errs at label 2
        for position, token in enumerate(wanted):
            logits[row, position, token] = 1
    assert exactly_right(logits, labels).tolist() == [True, False]
