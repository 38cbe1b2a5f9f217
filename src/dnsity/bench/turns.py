"""Fair measuring: compared functions take turns, and memory is measured for each alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Generic, NamedTuple, TypeVar

from dnsity.evaluation.memory import Peak
from dnsity.inference.loaded import LoadedModel

_T = TypeVar("_T")


class Turns(NamedTuple, Generic[_T]):
    """Measurements of functions that took turns, by name.

    Attributes:
        seconds: Duration of every timed round.
        peaks: Peak bytes in addition to those in use before.
        results: Last result of each function.
    """

    seconds: dict[str, list[float]]
    peaks: dict[str, int]
    results: dict[str, _T]


def in_turns(
    loaded: LoadedModel,
    work: Mapping[str, Callable[[], _T]],
    rounds: int,
    limit_s: float = math.inf,
) -> Turns[_T]:
    """Run functions in turns, round after round, so that a slow minute affects all of them.

    Args:
        loaded: Model whose clock and memory are measured.
        work: Functions by name.
        rounds: Timed rounds, after a warm-up round in which memory is measured.
        limit_s: Seconds after which no round starts; at least one is timed.
    """
    turns: Turns[_T] = Turns({name: [] for name in work}, {}, {})
    for name, do in work.items():
        peak = Peak(loaded.device)
        turns.results[name] = do()
        turns.peaks[name] = peak.bytes()
    began = loaded.now()
    for number in range(rounds):
        if number and loaded.now() - began > limit_s:
            break
        for name, do in work.items():
            started = loaded.now()
            turns.results[name] = do()
            turns.seconds[name].append(loaded.now() - started)
    return turns
