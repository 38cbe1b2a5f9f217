"""Fair measuring: things that are compared take turns, and memory is what each takes alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Generic, NamedTuple, TypeVar

from dnsity.evaluation.memory import Peak
from dnsity.inference.loaded import LoadedModel

_T = TypeVar("_T")


class Turns(NamedTuple, Generic[_T]):
    """What was measured of things that took turns, each by name.

    Attributes:
        seconds: Of every round that counts.
        peaks: Most bytes taken beyond what was in use before.
        results: What each gave last.
    """

    seconds: dict[str, list[float]]
    peaks: dict[str, int]
    results: dict[str, _T]


def in_turns(
    loaded: LoadedModel,
    work: Mapping[str, Callable[[], _T]],
    rounds: int,
    enough_s: float = math.inf,
) -> Turns[_T]:
    """Do things one after the other, over and over, so that a slow minute falls on all.

    Args:
        loaded: Whose clock and whose memory are read.
        work: What to do, by name.
        rounds: Behind a first one that warms up: its memory counts, its time does not.
        enough_s: No further round begins after so many seconds, but one that counts always does.
    """
    turns: Turns[_T] = Turns({name: [] for name in work}, {}, {})
    for name, do in work.items():
        peak = Peak(loaded.device)
        turns.results[name] = do()
        turns.peaks[name] = peak.bytes()
    began = loaded.now()
    for number in range(rounds):
        if number and loaded.now() - began > enough_s:
            break
        for name, do in work.items():
            started = loaded.now()
            turns.results[name] = do()
            turns.seconds[name].append(loaded.now() - started)
    return turns
