"""Where models run, and in what they compute."""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch

from dnsity.errors import BadInputError

Dtype: TypeAlias = Literal["float32", "bfloat16", "float16"]
"""Compute types, by torch's names for them."""


def require_device(name: str) -> None:
    """Refuse a device that is not there.

    Raises:
        BadInputError: If it is not.
    """
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        raise BadInputError(f"no device {name!r} on this machine; use --device cpu") from error


def bfloat16_is_fast() -> bool:
    """Say whether bfloat16 has instructions of its own here.

    A CPU without them emulates: ten times slower than float32 (measured with AVX2).
    """
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    features = torch.cpu.get_capabilities()
    return bool(features.get("avx512_bf16") or features.get("amx_bf16") or features.get("bf16"))


def compute_type(device: str) -> torch.dtype:
    """Say in what a model computes where nobody says so.

    On a GPU bfloat16, if it has instructions for it: half the memory, and what bases are stored in.
    """
    return torch.bfloat16 if device.startswith("cuda") and bfloat16_is_fast() else torch.float32


def device_name(name: str) -> str:
    """Name a device by its maker's name, where torch knows it."""
    return torch.cuda.get_device_name(name) if name.startswith("cuda") else name
