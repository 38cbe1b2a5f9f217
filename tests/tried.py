"""Counters of the cases that a test tries."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass
class Row:
    """Counts of one property."""

    cases: int = 0
    failures: int = 0
    seconds: float = 0.0


class Tried:
    """Counts the cases of one property.

    Attributes:
        long: Whether to try many cases (`--trust-long`).
    """

    def __init__(self, row: Row, long: bool) -> None:
        self._row = row
        self.long = long

    def __call__(self, cases: int = 1) -> None:
        """Add cases to the count."""
        self._row.cases += cases

    def times(self, short: int, long: int) -> Iterator[int]:
        """Yield the numbers of `short` or `long` cases, and count each."""
        for number in range(long if self.long else short):
            yield number
            self()
