"""Refusing numbers that are none: what overflowed once gives wrong answers without a sign."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from dnsity.errors import UnsupportedModelError
from dnsity.shapes import KeyValues


def require_finite(layers: KeyValues, what: str) -> None:
    """Refuse keys or values that hold NaN or infinity.

    Args:
        layers: Per layer keys and values.
        what: What they are, for the message.

    Raises:
        UnsupportedModelError: Naming the first layer, and what to do.
    """
    for number, pair in enumerate(layers):
        for kind, tensor in zip(("keys", "values"), pair, strict=True):
            if not finite([tensor]):
                raise UnsupportedModelError(
                    f"{what}: the {kind} of layer {number} are not finite numbers in "
                    f"{type_name(tensor.dtype)}; {advice(tensor.dtype)}"
                )


def finite(tensors: Iterable[Tensor]) -> bool:
    """Say whether all numbers are finite."""
    return all(bool(torch.isfinite(tensor).all()) for tensor in tensors)


def advice(dtype: torch.dtype) -> str:
    """Say what to do about numbers that are not finite in a compute type."""
    if dtype == torch.float16:
        return (
            "float16 ends at 65,504, which this model exceeds: use --dtype bfloat16 or float32 "
            '(in Python dtype="bfloat16")'
        )
    return "the model's weights may be damaged: download them again, or use another base"


def type_name(dtype: torch.dtype) -> str:
    """Name a compute type."""
    return str(dtype).removeprefix("torch.")
