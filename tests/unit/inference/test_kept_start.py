"""Refined slots are saved only if they answer more held-out questions than their start."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from dnsity.inference.check import held_out_probes
from dnsity.inference.methods.refine import Refine, compressor, training
from dnsity.inference.methods.refine.examples import make_examples
from dnsity.inference.methods.select import select_key_values
from support import assert_same_keys
from tiny import LONG_DOCUMENT, tiny_base_model

TEXT = LONG_DOCUMENT[:200]
SHORT: dict[str, Any] = {
    "steps": 8, "every_steps": 4, "rows": 24, "rows_per_step": 8, "gists": 2,
}  # fmt: skip


def _answering(monkeypatch: pytest.MonkeyPatch, *counts: int) -> None:
    """Let full context, the start and each later evaluation answer so many questions right."""
    left = list(counts)

    def right(loaded: Any, prefix: Any, probes: Sequence[Any]) -> list[bool]:
        count = left.pop(0) if len(left) > 1 else left[0]
        return [number < count for number in range(len(probes))]

    monkeypatch.setattr(training, "answered_right", right)


@pytest.mark.parametrize("counts", [(3, 2, 1), (3, 0, 0), (3, 2, 2)])
def test_slots_that_answer_no_more_questions_are_not_saved(
    monkeypatch: pytest.MonkeyPatch, counts: tuple[int, ...]
) -> None:
    """Whatever their loss."""
    _answering(monkeypatch, *counts)
    model = tiny_base_model("llama")
    gist = model.compress(TEXT, method=Refine(**SHORT))
    said = gist.info.settings
    assert said["kept_start"] is True
    assert (said["right_full"], said["right_before"], said["right_after"]) == (
        counts[0], counts[1], counts[1],
    )  # fmt: skip
    assert said["loss_after"] == said["loss_before"]
    start = select_key_values(model.loaded, model.loaded.encoder.encode(TEXT), 4)
    assert_same_keys(gist.layers, start)


@pytest.mark.parametrize("counts", [(3, 1, 2), (3, 3, 3), (0, 0, 0)])
def test_slots_that_answer_more_at_a_lower_loss_are_saved(
    monkeypatch: pytest.MonkeyPatch, counts: tuple[int, ...]
) -> None:
    """Where the start answers as many as full context, the loss decides."""
    _answering(monkeypatch, *counts)
    gist = tiny_base_model("llama").compress(TEXT, method=Refine(**SHORT))
    said = gist.info.settings
    assert said["kept_start"] is False
    assert said["loss_after"] < said["loss_before"]
    assert (said["right_before"], said["right_after"]) == counts[1:]
    assert gist.info.check is not None
    assert (gist.info.check.full, gist.info.check.gists) == (counts[0], counts[2])


def test_progress_names_what_it_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    _answering(monkeypatch, 3, 1, 2)
    lines: list[str] = []

    def progress(done: int, total: int | None, now: str = "") -> None:
        lines.append(now)

    tiny_base_model("llama").compress(TEXT, method=Refine(**SHORT), progress=progress)
    last = "held-out answers 2 of 3 (start 1, full context 3)"
    asked = len(held_out_probes(tiny_base_model("llama").loaded, TEXT))
    assert lines[-1].endswith(last.replace("of 3", f"of {asked}"))
    assert not any("%" in line for line in lines)


def test_no_row_asks_for_a_value_that_is_held_out() -> None:
    loaded = tiny_base_model("llama").loaded
    ids = loaded.encoder.encode(LONG_DOCUMENT)
    probes = held_out_probes(loaded, LONG_DOCUMENT)
    assert len(probes) > 3
    values = {probe.gold for probe in probes}
    for given, some in (([], True), (probes, False)):
        rows = make_examples(loaded, LONG_DOCUMENT, ids, count=60, seed=0, held_out=given)
        asked = {loaded.encoder.decode(row.answer).strip() for row in rows
                 if row.kind in ("value", "rule", "quote")}  # fmt: skip
        assert any(gold in answer for gold in values for answer in asked) == some


def test_a_run_without_time_for_a_step_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine preparation can take all of the time that the plan left for training."""
    monkeypatch.setattr(compressor, "require_time", lambda *_, **__: None)
    gist = tiny_base_model("llama").compress(TEXT, method=Refine(minutes=0.001, gists=2))
    said = gist.info.settings
    assert (said["steps"], said["kept_start"]) == (0, True)
    assert "no step fitted into the time" in Refine.report(said).warning
