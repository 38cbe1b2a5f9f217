"""The default compute type follows a measurement, which these tests replace."""

from __future__ import annotations

import time
from typing import Any

import pytest
import torch

from dnsity.inference import hardware
from dnsity.inference.hardware import Speeds, bfloat16_is_fast, compute_type

MEASURE = hardware.cpu_speeds  # before tests replace it


@pytest.mark.parametrize(
    ("float32", "bfloat16", "chosen"),
    [
        (2.0, 1.0, torch.bfloat16),
        (1.3, 1.0, torch.bfloat16),
        (1.2, 1.0, torch.float32),
        (1.0, 1.0, torch.float32),
        (1.0, 9.0, torch.float32),
    ],
)
def test_bfloat16_is_chosen_where_it_is_clearly_faster(
    monkeypatch: pytest.MonkeyPatch, float32: float, bfloat16: float, chosen: torch.dtype
) -> None:
    monkeypatch.setattr(hardware, "cpu_speeds", lambda: Speeds(float32, bfloat16))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert compute_type("cpu") == compute_type("cpu", "smollm2") == chosen
    assert bfloat16_is_fast() == (chosen == torch.bfloat16)
    assert compute_type("cpu", "mini") == torch.float32
    assert compute_type("mps") == torch.float32


def test_a_gpu_is_asked_for_its_instructions(monkeypatch: pytest.MonkeyPatch) -> None:
    def never() -> Speeds:
        raise AssertionError("measured the CPU")

    monkeypatch.setattr(hardware, "cpu_speeds", never)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for supported, chosen in [(True, torch.bfloat16), (False, torch.float32)]:
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda s=supported, **_: s)
        assert compute_type("cuda:1") == chosen
        assert bfloat16_is_fast() == supported


class _Clock:
    """Counts the seconds that products take by their type, and as many again that others take."""

    def __init__(self, **seconds: float) -> None:
        self.now, self.seconds, self.products = 0.0, seconds, 0

    def linear(self, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        warm = 0.1 if self.products < 2 else 0.0
        self.products += 1
        self.now += self.seconds[str(x.dtype).removeprefix("torch.")] + warm
        return x


@pytest.mark.parametrize(
    ("seconds", "most"),
    [({"float32": 0.004, "bfloat16": 0.002}, 12), ({"float32": 0.01, "bfloat16": 0.5}, 4)],
)
def test_the_measurement_is_short_and_leaves_the_warm_up_out(
    monkeypatch: pytest.MonkeyPatch, seconds: dict[str, Any], most: int
) -> None:
    clock = _Clock(**seconds)
    monkeypatch.setattr(hardware, "linear", clock.linear)
    monkeypatch.setattr(time, "perf_counter", lambda: 2 * clock.now)
    monkeypatch.setattr(time, "thread_time", lambda: clock.now)
    MEASURE.cache_clear()
    state = torch.random.get_rng_state()
    found = MEASURE()
    MEASURE.cache_clear()
    assert clock.products <= most
    assert (found.float32, found.bfloat16) == pytest.approx(tuple(seconds.values()))
    assert torch.equal(torch.random.get_rng_state(), state)


def test_it_is_made_once_per_process() -> None:
    assert MEASURE() is MEASURE()
    assert min(MEASURE().float32, MEASURE().bfloat16) > 0
