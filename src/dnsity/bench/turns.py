"""Fair measuring: things that are compared take turns, and memory is what each takes alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from dnsity.evaluation.memory import Peak
from dnsity.inference.loaded import LoadedModel

_T = TypeVar("_T")


def in_turns(
    loaded: LoadedModel, work: Mapping[str, Callable[[], _T]], repeats: int
) -> tuple[dict[str, list[float]], dict[str, _T]]:
    """Time things one after the other, over and over, so that a slow minute falls on all.

    The first round warms up and does not count.

    Returns:
        Seconds of every round, and what each gave last.
    """
    seconds: dict[str, list[float]] = {name: [] for name in work}
    results: dict[str, _T] = {}
    for turn in range(repeats + 1):
        for name, do in work.items():
            started = loaded.now()
            results[name] = do()
            if turn:
                seconds[name].append(loaded.now() - started)
    return seconds, results


def peak_of(loaded: LoadedModel, do: Callable[[], Any]) -> int:
    """Do it, and return how many bytes it took at most beyond what was in use before."""
    peak = Peak(loaded.device)
    result = do()
    taken = peak.bytes()
    del result
    return taken
