"""Stored teacher output equals computed output in any batch, and is specific to a base."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from asked import EXAMPLES, asked_batch, small_lm
from dnsity.training.teacher import Teacher
from support import assert_same


def _same(one: Any, other: Any) -> None:
    for name in one._fields:
        mine, theirs = getattr(one, name), getattr(other, name)
        if mine.dtype.is_floating_point:
            assert_same(mine, theirs, name)
        else:
            assert torch.equal(mine, theirs), name


def test_stored_output_is_as_computed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lm = small_lm()
    fresh = Teacher(lm, 7)(asked_batch())
    keeper = Teacher(lm, 7, tmp_path, "base")
    _same(keeper(asked_batch()), fresh)
    assert len(list(tmp_path.iterdir())) == len(EXAMPLES)
    # From now on the base is never asked: the documents come alone, and in another order.
    monkeypatch.setattr(lm, "read", None)
    _same(keeper(asked_batch()), fresh)
    alone = [keeper(asked_batch([example])) for example in EXAMPLES]
    swapped = keeper(asked_batch(EXAMPLES[::-1]))
    _same(swapped, type(fresh)(*(torch.cat(pair[::-1]) for pair in zip(*alone, strict=True))))


@pytest.mark.parametrize("change", ["identity", "top", "answer", "document"])
def test_output_is_stored_by_all_that_it_depends_on(tmp_path: Path, change: str) -> None:
    lm = small_lm()
    Teacher(lm, 7, tmp_path, "base")(asked_batch())
    batch, top, identity = asked_batch(), 7, "base"
    if change == "identity":
        identity = "another base"
    elif change == "top":
        top = 8
    elif change == "answer":
        batch.input_ids[:, -2] += 1
    else:
        batch.document_ids[:, -1] += 1
    Teacher(lm, top, tmp_path, identity)(batch)
    assert len(list(tmp_path.iterdir())) == 2 * len(EXAMPLES)


def test_damaged_output_is_computed_again(tmp_path: Path) -> None:
    lm = small_lm()
    keeper = Teacher(lm, 7, tmp_path, "base")
    fresh = keeper(asked_batch())
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes()[:-9])
    _same(keeper(asked_batch()), fresh)
    _same(keeper(asked_batch()), fresh)


def test_teaching_leaves_dropout_and_mode_as_they_were() -> None:
    lm = small_lm().train()
    Teacher(lm, 7)(asked_batch())
    assert lm.training


def test_the_teacher_runs_without_dropout() -> None:
    lm = small_lm().train()
    for module in lm.modules():
        if hasattr(module, "attention_dropout"):
            module.attention_dropout = 0.5
    teacher = Teacher(lm, 7)
    _same(teacher(asked_batch()), teacher(asked_batch()))
