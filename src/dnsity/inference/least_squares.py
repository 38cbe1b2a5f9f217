"""Batched least squares with a ridge, by a routine that returns."""

from __future__ import annotations

import logging

import torch
from jaxtyping import Bool, Float
from torch import Tensor

_log = logging.getLogger(__name__)
_RESIDUAL = 1e-3
"""Largest residual, as a share of the right-hand side, of a solution that is taken."""
_ATTEMPTS = 4
"""How often the ridge is raised tenfold before a system is given up."""


def least_squares(
    rows: Float[Tensor, "K Q G"], targets: Float[Tensor, "K Q D"], ridge: float
) -> Float[Tensor, "K G D"]:
    """Return X that minimises `|rows X - targets|^2 + pull |X|^2`, for each of K systems.

    The normal equations are symmetric and positive definite: Cholesky, not LU, which hangs in
    oneMKL on a batch of systems with two threads. A system whose factorisation fails or whose
    residual is too large is tried again with a stronger ridge; one that stays so gets zeros, and
    a warning says how many.

    Args:
        rows: Coefficients.
        targets: What they should give.
        ridge: `pull` as a share of the mean diagonal of `rows^T rows`.
    """
    squares, right = rows.mT @ rows, rows.mT @ targets
    # A head that never looks at the document has nothing to fit: keep its system solvable.
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
    """Solve positive definite systems; say which solutions are right."""
    factors, info = torch.linalg.cholesky_ex(systems)
    found = torch.cholesky_solve(right, factors)
    residual = (systems @ found - right).flatten(1).norm(dim=1)
    size = right.flatten(1).norm(dim=1)
    return found, (info == 0) & (residual <= _RESIDUAL * size)
