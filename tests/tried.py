"""How many cases of a promise a test tried."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass
class Row:
    """What was tried of one promise."""

    cases: int = 0
    failures: int = 0
    seconds: float = 0.0


class Tried:
    """Counts the cases of one promise.

    Attributes:
        long: Whether the long form is wanted.
    """

    def __init__(self, row: Row, long: bool) -> None:
        self._row = row
        self.long = long

    def __call__(self, cases: int = 1) -> None:
        """Count cases that were tried."""
        self._row.cases += cases

    def times(self, short: int, long: int) -> Iterator[int]:
        """Number the cases, few or many; each counts."""
        for number in range(long if self.long else short):
            yield number
            self()
