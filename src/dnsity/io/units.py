"""Numbers, shares, bytes and seconds as text."""

from __future__ import annotations

MB, GB = 10**6, 10**9
"""Bytes; units of 1000, as in the sizes of downloads and disks."""


def percent(share: float, digits: int = 1) -> str:
    """Format a share of 1 as a percentage."""
    return f"{share:.{digits}%}"


def number(value: float) -> str:
    """Format three significant digits; numbers from 100 have all integer digits."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def data_size(count: float) -> str:
    """Format a number of bytes in the unit that suits it."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{number(count)} {unit}"
        count /= 1000
    return f"{number(count)} GB"


def megabytes(count: float) -> str:
    """Format a number of bytes as whole megabytes."""
    return f"{count / MB:.0f} MB"


def millions(count: float, digits: int = 1) -> str:
    """Format a number of parameters in millions, without the unit."""
    return f"{count / 10**6:,.{digits}f}"


def duration(seconds: float) -> str:
    """Format seconds; below one second as milliseconds."""
    return f"{number(1000 * seconds)} ms" if seconds < 1 else f"{number(seconds)} s"


def hours_and_minutes(seconds: float) -> str:
    """Format a long duration as hours and minutes, at least one minute."""
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{max(1, minutes)} min"
