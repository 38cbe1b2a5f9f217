"""Batched ridge regression by Cholesky decomposition."""

from __future__ import annotations

import logging

import torch
from jaxtyping import Bool, Float
from torch import Tensor

_log = logging.getLogger(__name__)
_RESIDUAL = 1e-3
"""Maximum residual of an accepted solution, relative to the right-hand side."""
_ATTEMPTS = 4
"""Number of attempts per system; each multiplies the ridge by ten."""


def least_squares(
    rows: Float[Tensor, "K Q G"], targets: Float[Tensor, "K Q D"], ridge: float
) -> Float[Tensor, "K G D"]:
    """Return X that minimises `|rows X - targets|^2 + pull |X|^2`, for each of K systems.

    The normal equations are symmetric and positive definite, so Cholesky suffices; LU hangs in
    oneMKL on a batch of systems with two threads. A system whose factorisation fails or whose
    residual is too large is tried again with a stronger ridge. If all attempts fail, its solution
    is zero, and a warning gives the number of such systems.

    Args:
        rows: Coefficients.
        targets: Right-hand sides.
        ridge: `pull` relative to the mean diagonal of `rows^T rows`.
    """
    squares, right = rows.mT @ rows, rows.mT @ targets
    # A head that never attends to the document has nothing to fit: keep its system solvable.
    pull = (ridge * squares.diagonal(dim1=-2, dim2=-1).mean(dim=-1)).clamp(min=1e-12)
    eye = torch.eye(rows.shape[-1], device=rows.device)
    solution = torch.zeros_like(right)
    left = torch.arange(len(rows), device=rows.device)
    for _ in range(_ATTEMPTS):
        system = squares[left] + pull[left, None, None] * eye
        found, good = _solved(system, right[left])
        solution[left[good]] = found[good]
        left = left[~good]
        if not len(left):
            return solution
        pull = 10 * pull
    _log.warning(
        "the values of %d of %d heads are not refitted: no stable least-squares solution",
        len(left),
        len(rows),
    )
    return solution


def _solved(
    systems: Float[Tensor, "K G G"], right: Float[Tensor, "K G D"]
) -> tuple[Float[Tensor, "K G D"], Bool[Tensor, " K"]]:
    """Return solutions of positive definite systems, and which of them are accurate."""
    factors, info = torch.linalg.cholesky_ex(systems)
    found = torch.cholesky_solve(right, factors)
    residual = (systems @ found - right).flatten(1).norm(dim=1)
    size = right.flatten(1).norm(dim=1)
    return found, (info == 0) & (residual <= _RESIDUAL * size)
