"""Batched least squares: solutions are right, and every call returns."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest
import torch
from torch import Tensor

from dnsity.inference import least_squares as module
from dnsity.inference.least_squares import least_squares


def system(count: int, size: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(count, 2 * size, size, generator=generator).softmax(dim=-1)
    return rows, torch.randn(count, 2 * size, 5, generator=generator)


def by_hand(rows: Tensor, targets: Tensor, ridge: float) -> Tensor:
    rows, targets = rows.double(), targets.double()
    found = []
    for a, b in zip(rows, targets, strict=True):
        squares = a.T @ a
        squares += ridge * squares.diagonal().mean() * torch.eye(len(squares)).double()
        found.append(torch.linalg.solve(squares, a.T @ b))
    return torch.stack(found)


@pytest.mark.parametrize("ridge", [0.3, 0.01, 10.0])
@pytest.mark.parametrize("size", [1, 7, 60])
def test_it_is_the_solution(ridge: float, size: int) -> None:
    rows, targets = system(3, size)
    expected = by_hand(rows, targets, ridge)
    found = least_squares(rows, targets, ridge).double()
    assert float((found - expected).abs().max() / expected.abs().max()) < 1e-4


def test_nothing_seen_means_no_change() -> None:
    rows, targets = system(3, 8)
    rows[1] = 0
    found = least_squares(rows, targets, 0.3)
    assert (found[1] == 0).all()
    assert torch.allclose(found[::2].double(), by_hand(rows[::2], targets[::2], 0.3), rtol=1e-3)


def test_a_system_that_fails_alone_does_not_spoil_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rows, targets = system(4, 12)
    rows[2, 0, 0] = torch.nan
    with caplog.at_level(logging.WARNING):
        found = least_squares(rows, targets, 0.3)
    assert "1 of 4 heads are not refitted" in caplog.text
    assert (found[2] == 0).all()
    kept = [0, 1, 3]
    assert torch.allclose(found[kept].double(), by_hand(rows[kept], targets[kept], 0.3), rtol=1e-3)


def test_a_weak_ridge_is_raised_until_the_system_is_stable(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Equal columns: without a ridge there is no solution."""
    rows, targets = system(2, 6)
    rows[1] = rows[1, :, :1]
    with caplog.at_level(logging.WARNING):
        found = least_squares(rows, targets, 1e-9)
    assert not caplog.records
    assert torch.isfinite(found).all()
    assert float((found[0].double() - by_hand(rows, targets, 1e-9)[0]).abs().max()) < 1e-2


def test_a_solution_with_a_large_residual_is_not_taken(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(torch, "cholesky_solve", lambda right, factors: 1.5 * right)
    with caplog.at_level(logging.WARNING):
        found = least_squares(*system(2, 6), 0.3)
    assert (found == 0).all()
    assert "2 of 2 heads" in caplog.text


_TWO_THREADS = """
import torch
torch.set_num_threads(2)
from dnsity.inference.{module} import least_squares
for count, size in ((2, 200), (2, 333), (3, 260), (8, 256)):
    rows = torch.randn(count, 400, size).softmax(dim=-1)
    assert torch.isfinite(least_squares(rows, torch.randn(count, 400, 64), 0.3)).all()
print("returned")
"""


def test_it_returns_with_two_threads() -> None:
    """Batched LU does not, with some builds of oneMKL."""
    script = _TWO_THREADS.format(module=module.__name__.rpartition(".")[2])
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True,
                          timeout=120, check=True)  # fmt: skip
    assert done.stdout == "returned\n"
