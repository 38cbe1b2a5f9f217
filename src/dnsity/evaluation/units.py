"""Figures as people read them."""

from __future__ import annotations


def percent(share: float, digits: int = 1) -> str:
    """Write a share of 1 as a percentage."""
    return f"{share:.{digits}%}"


def number(value: float) -> str:
    """Write three significant digits, and large numbers in full."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def data_size(count: float) -> str:
    """Write a number of bytes, in units of 1000."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{number(count)} {unit}"
        count /= 1000
    return f"{number(count)} GB"


def duration(seconds: float) -> str:
    """Write seconds, below one as milliseconds."""
    return f"{number(1000 * seconds)} ms" if seconds < 1 else f"{number(seconds)} s"
