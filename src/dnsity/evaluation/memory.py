"""Peak memory above a baseline, of the process or of torch on a GPU."""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress
from pathlib import Path

import torch

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_RESET_PEAK = "5"  # proc(5): reset the peak resident set size


class Peak:
    """Measures peak memory from its creation on.

    Args:
        device: Device of the model.
    """

    def __init__(self, device: torch.device) -> None:
        """Record the memory in use, which is the baseline."""
        self.device = device
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            self._before = torch.cuda.memory_allocated(device)
            return
        _return_freed_memory()
        with suppress(OSError):  # without permission, an earlier peak hides smaller ones
            _CLEAR.write_text(_RESET_PEAK)
        self._before = _resident("VmRSS")

    def bytes(self) -> int:
        """Return the peak above the baseline; 0 if the system does not report it."""
        if self.device.type == "cuda":
            return int(torch.cuda.max_memory_allocated(self.device)) - self._before
        return max(0, _resident("VmHWM") - self._before)


def _resident(field: str) -> int:
    try:
        lines = _STATUS.read_text().splitlines()
    except OSError:  # not Linux
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(field)), 0)


def _return_freed_memory() -> None:
    """Make glibc return freed memory, so that new tensors count towards the peak."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
