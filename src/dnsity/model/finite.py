"""Checks for NaN and infinity, which otherwise lead to wrong answers silently."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from dnsity.errors import UnsupportedModelError
from dnsity.shapes import KeyValues


def require_finite(layers: KeyValues, what: str) -> None:
    """Refuse keys or values that contain NaN or infinity.

    Args:
        layers: Per layer keys and values.
        what: Description for the message.

    Raises:
        UnsupportedModelError: If there are any, naming the first layer and a remedy.
    """
    for number, pair in enumerate(layers):
        for kind, tensor in zip(("keys", "values"), pair, strict=True):
            if not finite([tensor]):
                raise UnsupportedModelError(
                    f"{what}: the {kind} of layer {number} are not finite numbers in "
                    f"{type_name(tensor.dtype)}; {advice(tensor.dtype)}"
                )


def finite(tensors: Iterable[Tensor]) -> bool:
    """Return whether all values are finite."""
    return all(bool(torch.isfinite(tensor).all()) for tensor in tensors)


def advice(dtype: torch.dtype) -> str:
    """Return what to do about values that are not finite in a compute type."""
    if dtype == torch.float16:
        return (
            "float16 ends at 65,504, which this model exceeds: compute in bfloat16 or float32 "
            '(in Python dtype="bfloat16", in an evaluation dtype: bfloat16)'
        )
    return "the model's weights may be damaged: download them again, or use another base"


def type_name(dtype: torch.dtype) -> str:
    """Return the name of a compute type."""
    return str(dtype).removeprefix("torch.")
