"""The most memory taken beyond what was in use before: of the process, or of torch on a GPU."""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress
from pathlib import Path

import torch

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_RESET_PEAK = "5"  # proc(5): reset the peak resident set size


class Peak:
    """Watches memory from its making on.

    Args:
        device: Where the model runs.
    """

    def __init__(self, device: torch.device) -> None:
        """Note what is in use: weights, data, libraries."""
        self.device = device
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            self._before = torch.cuda.memory_allocated(device)
            return
        _give_back_freed_memory()
        with suppress(OSError):  # where it is forbidden, an earlier peak hides smaller ones
            _CLEAR.write_text(_RESET_PEAK)
        self._before = _resident("VmRSS")

    def bytes(self) -> int:
        """Return the peak since then, beyond what was in use; 0 where the system does not say."""
        if self.device.type == "cuda":
            return int(torch.cuda.max_memory_allocated(self.device)) - self._before
        return max(0, _resident("VmHWM") - self._before)


def _resident(field: str) -> int:
    try:
        lines = _STATUS.read_text().splitlines()
    except OSError:  # not Linux
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(field)), 0)


def _give_back_freed_memory() -> None:
    """Let glibc return what was freed, else the next tensors would seem to take nothing."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
