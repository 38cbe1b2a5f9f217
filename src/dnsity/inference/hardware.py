"""Devices, and the compute type that is faster on each."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import lru_cache
from math import inf
from typing import Literal, TypeAlias

import torch
from torch.nn.functional import linear

from dnsity.errors import BadInputError
from dnsity.model.names import BUNDLED

Dtype: TypeAlias = Literal["float32", "bfloat16", "float16"]
"""Compute types, by torch's names for them."""
_PRODUCT = (256, 1024, 2048)
"""Tokens, width and inner width of the product that is timed."""
_CLEARLY_FASTER = 1.3
"""Least ratio of times at which bfloat16 is used."""
_ATTEMPTS, _BUDGET_S = 6, 0.5
"""Maximum number of measurements per type, and seconds after which no further one begins."""


def require_device(name: str) -> None:
    """Refuse a device that does not exist.

    Raises:
        BadInputError: If torch cannot use it.
    """
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        raise BadInputError(f"no device {name!r} on this machine; use --device cpu") from error


@dataclass(frozen=True, slots=True)
class Speeds:
    """CPU time of one matrix product.

    Attributes:
        float32: Seconds in float32.
        bfloat16: Seconds in bfloat16.
    """

    float32: float
    bfloat16: float

    @property
    def gain(self) -> float:
        """How many times faster bfloat16 is."""
        return self.float32 / self.bfloat16

    @property
    def bfloat16_wins(self) -> bool:
        """Whether bfloat16 is faster by more than the measurement's noise and a model's overhead.

        The rest of a model gains less than its matrix products: a product 2.2 times as fast made a
        prefill 1.6 times as fast and left decoding as it was.
        """
        return self.gain >= _CLEARLY_FASTER


@lru_cache(maxsize=1)
def cpu_speeds() -> Speeds:
    """Time a matrix product of a prefill in both types; once per process, in about 0.2 s.

    The CPU's list of instructions does not answer this: some CPUs that list bfloat16 instructions
    are slower with them than without. CPU time of the calling thread is measured, not wall time,
    because a command must not change its type with the machine's load: while other processes ran,
    the ratio of wall times varied from 2.2 to 10.6 on one machine, that of CPU times from 1.7 to
    3.1.
    """
    best = {torch.float32: inf, torch.bfloat16: inf}
    with torch.inference_mode():
        generator = torch.Generator().manual_seed(0)  # the global random state is not touched
        tokens, width, wide = _PRODUCT
        operands = [torch.randn(n, width, generator=generator) for n in (tokens, wide)]
        typed = {dtype: [tensor.to(dtype) for tensor in operands] for dtype in best}
        begun = time.perf_counter()
        for attempt in range(_ATTEMPTS):
            for dtype, (x, weight) in typed.items():
                started = time.thread_time()
                linear(x, weight)
                if attempt:  # the first warms up
                    best[dtype] = min(best[dtype], time.thread_time() - started)
            if attempt and time.perf_counter() - begun > _BUDGET_S:
                break
    return Speeds(best[torch.float32], best[torch.bfloat16])


def bfloat16_is_fast(device: str | None = None) -> bool:
    """Return whether bfloat16 is faster than float32 on a device.

    On a GPU its instructions decide; on a CPU a matrix product is timed.

    Args:
        device: The device (default: the first GPU if there is one, else the CPU).
    """
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda"):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device == "cpu" and cpu_speeds().bfloat16_wins


def compute_type(device: str, model: str | None = None) -> torch.dtype:
    """Return the default compute type of a model.

    It is bfloat16 where that is faster, which also halves the memory; most bases are stored in it.
    `mini` computes in float32 everywhere, as for its published answers.

    Args:
        device: Device of the model.
        model: Name of the model.
    """
    if model == BUNDLED or not bfloat16_is_fast(device):
        return torch.float32
    return torch.bfloat16


def device_name(name: str) -> str:
    """Return the product name of a GPU; other devices keep their name."""
    return torch.cuda.get_device_name(name) if name.startswith("cuda") else name
