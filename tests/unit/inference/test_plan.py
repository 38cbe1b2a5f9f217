"""The time limit of `refine`: work is planned by measured speed, and refused if too long."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from dnsity.errors import BadInputError
from dnsity.inference.methods.refine import Refine, examples
from dnsity.inference.methods.refine import compressor as refine
from dnsity.inference.methods.refine.plan import Plan, Speed, measure, plan, require_time
from tiny import LONG_DOCUMENT, tiny_base_model

TEXT = LONG_DOCUMENT[:200]
MOST = Plan(rows=256, written=32, sampled=16, rows_per_step=16, every_steps=20)
SMALL = {"gists": 2, "rows": 24, "rows_per_step": 8, "every_steps": 2}


class Killed(BaseException):
    """Ends a run in the middle."""


def _preparation(speed: Speed, found: Plan) -> float:
    """Seconds of what is still to do before the first step."""
    return 2 * speed.answers + 3 * speed.evaluation(found.rows) + (
        speed.seconds(found.sampled, 41) if found.sampled else 0
    )  # fmt: skip


@pytest.mark.parametrize("each", [1e-4, 1e-3, 3e-3])
@pytest.mark.parametrize("minutes", [1, 5, 20])
def test_preparation_takes_about_a_third_and_steps_the_rest(each: float, minutes: float) -> None:
    speed, seconds = Speed(10 * each, each), 60 * minutes
    spent = speed.seconds(1000) * 4
    found = plan(speed, spent, seconds, MOST, chat=True)
    least = 2 * speed.answers + 3 * speed.evaluation(16)
    assert spent + _preparation(speed, found) <= max(seconds / 3, spent + least) * 1.05
    assert 16 <= found.rows <= 256
    assert 2 <= found.rows_per_step <= 16
    left = seconds - spent - _preparation(speed, found) - found.reserve
    assert left / speed.step(found.rows_per_step) >= 4, "no steps"


def test_a_fast_model_does_all_that_was_asked_for_and_a_slow_one_writes_nothing() -> None:
    fast = plan(Speed(1e-5, 1e-6), 0.01, 300, MOST, chat=True)
    assert (fast.rows, fast.written, fast.sampled, fast.rows_per_step) == (256, 32, 16, 16)
    slow = plan(Speed(0.03, 3e-3), 12, 60, MOST, chat=True)
    assert slow.written == 0
    assert slow.rows < 100
    assert plan(Speed(1e-5, 1e-6), 0.01, 300, MOST, chat=False).written == 0


def test_a_time_in_which_no_step_fits_is_refused_with_the_minutes_needed() -> None:
    speed = Speed(0.05, 0.01)
    with pytest.raises(BadInputError, match=r"refine has 0.5 minutes; .* give --minutes") as error:
        require_time(speed, 1000, 30, repeated=True)
    needed = float(str(error.value).split("--minutes ")[1].split()[0])
    require_time(speed, 1000, 60 * needed, repeated=True)


def test_speed_is_measured_on_passes_of_the_model() -> None:
    model = tiny_base_model("llama")
    found = measure(model.loaded, [5, 6, 7])
    assert found.each > 0
    assert found.fixed >= 0
    assert found.seconds(100) < 5


def test_nothing_is_read_where_the_time_is_too_short(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_base_model("llama")
    monkeypatch.setattr(refine, "measure", lambda *_: Speed(1.0, 1.0))
    monkeypatch.setattr(refine, "select_key_values", lambda *_, **__: pytest.fail("work was done"))
    with pytest.raises(BadInputError, match="or more, or use --method select"):
        model.compress(TEXT, method=Refine(minutes=1, gists=2))


def test_a_resumed_run_keeps_its_plan(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    model = tiny_base_model("llama")
    planned = Plan(16, 0, 0, 3, 2, warm_up=2, reserve=0.01)
    monkeypatch.setattr(refine, "plan", lambda *_, **__: planned)
    counts: list[int] = []
    make_examples = examples.make_examples

    def counted(*given: Any, count: int, **more: Any) -> Any:
        counts.append(count)
        return make_examples(*given, count=count, **more)

    monkeypatch.setattr(refine, "make_examples", counted)

    def stop(done: int, total: int | None, now: str = "") -> None:
        stops.append(now)
        if sum("held-out" in line for line in stops) == 5:
            raise Killed

    stops: list[str] = []
    how = Refine(**SMALL, minutes=1, patience=3, state=tmp_path / "state")
    with pytest.raises(Killed):
        model.compress(TEXT, method=how, progress=stop)
    assert stops[0] == "measuring the model's speed"
    monkeypatch.setattr(refine, "plan", lambda *_, **__: pytest.fail("planned again"))
    done = model.compress(TEXT, method=how)
    assert counts == [16, 16]
    assert done.info.settings["plan"] == asdict(planned)
