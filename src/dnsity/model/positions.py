"""A numeric test that a base model is invariant to shifts of all positions.

Documents have negative positions while gists are made, and selected keys move to other slots. A
model must therefore use positions for rotations only. Some architectures use them elsewhere:
Ministral 3 scales queries by the logarithm of the position, which is NaN for negative ones. The
config shows the known cases. This test finds the others: it runs the same tokens at several
positions in one forward pass.
"""

from __future__ import annotations

from itertools import chain

import torch
from torch import Tensor
from transformers import PreTrainedModel

from dnsity.errors import UnsupportedModelError
from dnsity.model.architectures import ALTERNATIVES, require_compressible
from dnsity.model.attention import AtPositions, at_positions
from dnsity.model.finite import finite, require_finite

_NEAR = 1000
_FAR = 1 << 20
"""Distances that tokens are moved: `_NEAR`, and to the end of the window, `_FAR` at most."""


@torch.inference_mode()
def require_shift_invariant(base: PreTrainedModel) -> None:
    """Refuse a base whose results change when all positions are shifted by the same number.

    Takes one forward pass of 28 tokens. Each layer gets the same input at all positions. Scores
    before softmax, values and the final logits are compared; see `allowed` for the tolerance.

    Raises:
        UnsupportedModelError: If results change, or if the base overflows in its compute type.
    """
    require_compressible(base.config)
    text = base.config.get_text_config()
    far = min(int(text.max_position_embeddings), _FAR) - 1
    starts = (0, 3, -2, _NEAR, far, -_NEAR, -far)
    seen = at_positions(base, starts)
    name = f"base model {text.model_type}"
    require_finite(tuple((k[:1], v[:1]) for _, k, v in seen.layers), name)
    for what, rows in _compared(seen):
        for start, row in zip(starts, rows, strict=True):
            if not finite([row]) and finite([rows[0]]):
                raise _refused(name, what, start, "are not finite numbers")
            if _difference(row, rows[0]) > allowed(base.dtype, start):
                share = f"differ by {_difference(row, rows[0]):.0%}"
                raise _refused(name, what, start, share)


def allowed(dtype: torch.dtype, start: int) -> float:
    """Return the tolerance for rounding errors, relative to the largest value.

    Rotations are rounded to the compute type, angles to float32. Measured on SmolLM2-135M,
    Qwen2.5-Coder-0.5B and Gemma 3 270M, over all layers: scores at most 1.5e-5 in float32 (3.3e-4
    at position 32,760), 0.0026 in float16 and 0.021 in bfloat16, which is 2.7 times the type's
    resolution; logits at most 0.0091, values and embeddings 0. Queries scaled by the logarithm of
    their position, with the parameters of Ministral 3, differ by 0.28.

    Args:
        dtype: The compute type.
        start: The position compared with position 0.
    """
    return 8 * torch.finfo(dtype).eps + 1e-4 + abs(start) * 2.0**-24


def _compared(seen: AtPositions) -> list[tuple[str, Tensor]]:
    """Return the results that must not depend on the position, by name; one row per position."""
    layers = (
        [
            (f"the attention scores of layer {number}", _scores(queries, keys)),
            (f"the values of layer {number}", values),
        ]
        for number, (queries, keys, values) in enumerate(seen.layers)
    )
    return [("the embeddings", seen.embedded), *chain(*layers), ("the logits", seen.logits)]


def _scores(queries: Tensor, keys: Tensor) -> Tensor:
    """Return the products of queries and keys, `[R, K, H/K, T, T]`."""
    rows, heads = keys.shape[:2]
    grouped = queries.float().reshape(rows, heads, -1, *queries.shape[2:])
    products: Tensor = grouped @ keys[:, :, None].float().mT
    return products


def _difference(row: Tensor, first: Tensor) -> float:
    largest = first.float().abs().max().clamp(min=torch.finfo(torch.float32).tiny)
    return float((row.float() - first.float()).abs().max() / largest)


def _refused(name: str, what: str, start: int, why: str) -> UnsupportedModelError:
    return UnsupportedModelError(
        f"{name} not supported: {what} {why} when the same tokens are at position {start} instead "
        "of 0, so it uses positions for more than rotation and a document cannot be moved. "
        f"{ALTERNATIVES}"
    )
