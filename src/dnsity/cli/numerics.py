"""Tests of the numeric routines that dnsity uses, in a separate process.

Some builds of the libraries hang in one of these routines. Each result is compared with the same
routine in float64. The process uses the default number of threads and prints one line after each
routine, so the output of a process that had to be stopped shows where it hung.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

LIMIT_S = 60.0
"""Seconds for all routines together, including the import of torch; 5 to 10 are usual."""
_TOLERANCES = {"float32": 1e-3, "bfloat16": 0.05, "float16": 0.01}
"""Largest allowed difference from float64, relative to the largest absolute value."""
ROUTINES = ("matrix product", "attention", "least squares")


@lru_cache
def examine(device: str, dtype: str, limit_s: float = LIMIT_S) -> list[dict[str, Any]]:
    """Test every routine.

    Args:
        device: Device to test.
        dtype: Compute type; least squares always uses float32.
        limit_s: Seconds before the process is stopped.

    Returns:
        Per routine its `name`, the `seconds` it took (None if unknown), and the `problem`, which
        is empty if the result is right.
    """
    return in_process([sys.executable, "-m", __name__, device, dtype], limit_s)


def in_process(command: list[str], limit_s: float) -> list[dict[str, Any]]:
    """Run a process that prints one line per routine, and collect a result for each routine."""
    problem = ""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit_s, check=False)
        printed, said = done.stdout, done.stderr.strip().splitlines()
        if done.returncode:
            problem = f"ended with {done.returncode}: {said[-1][:200] if said else 'no message'}"
    except subprocess.TimeoutExpired as late:
        printed = late.stdout.decode(errors="replace") if late.stdout else ""
        problem = f"did not return in {limit_s:.0f} seconds; try OMP_NUM_THREADS=1"
    found = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
    for name in ROUTINES[len(found) :]:
        found.append({"name": name, "seconds": None, "problem": problem or "not tried"})
        problem = ""
    return found


def _main(device: str, dtype_name: str) -> None:
    import torch
    from torch.nn.functional import linear, scaled_dot_product_attention

    from dnsity.inference.least_squares import least_squares

    dtype = getattr(torch, dtype_name)
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> Any:
        return torch.randn(shape, generator=generator)

    def product(typed: Callable[[Any], Any]) -> Any:
        return linear(typed(left), typed(right))

    def attention(typed: Callable[[Any], Any]) -> Any:
        return scaled_dot_product_attention(typed(queries), typed(keys), typed(keys), typed(mask))

    def fit(typed: Callable[[Any], Any]) -> Any:
        solved = [least_squares(typed(a), typed(b), 0.3) for a, b in systems]
        return torch.cat([solution.flatten() for solution in solved])

    left, right = random(256, 512), random(1024, 512) / 512**0.5
    queries, keys = random(1, 4, 64, 64), random(1, 4, 512, 64)
    mask = torch.zeros(64, 512).masked_fill(torch.rand(64, 512, generator=generator) < 0.3, -1e4)
    # The shape for which the batched LU of one library never returned, and larger ones.
    systems = [(random(k, 2 * n, n).softmax(dim=-1), random(k, 2 * n, 16)) for k, n in _SYSTEMS]
    for name, routine in zip(ROUTINES, (product, attention, fit), strict=True):
        own = torch.float32 if routine is fit else dtype
        begun = time.perf_counter()
        found = routine(partial(torch.Tensor.to, device=device, dtype=own)).cpu().double()
        seconds = time.perf_counter() - begun
        expected = routine(torch.Tensor.double)
        away = float((found - expected).abs().max() / expected.abs().max())
        allowed = _TOLERANCES[str(own).removeprefix("torch.")]
        problem = "" if away <= allowed else f"differs from float64 by {away:.1e} of its scale"
        line = {"name": name, "seconds": seconds, "problem": problem}
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


_SYSTEMS = ((2, 200), (2, 256), (8, 256), (1, 512))

if __name__ == "__main__":
    _main(*sys.argv[1:])
