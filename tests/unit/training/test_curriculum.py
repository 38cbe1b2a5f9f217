"""The curriculum advances on accuracy and continues where it stopped."""

from __future__ import annotations

import random

import pytest

from dnsity.errors import BadInputError
from dnsity.training.curriculum import Curriculum, Mode, Stage


def _stages() -> list[Stage]:
    return [
        Stage(tokens=[16], share={"gist": 1.0, "full": 1.0}, advance_at=0.8),
        Stage(tokens=[32, 64], advance_at=0.8),
        Stage(tokens=[128]),
    ]


@pytest.mark.parametrize(("mode", "right"), [("gist", 79), ("full", 100)])
def test_stays_while_the_hardest_path_is_not_mastered(mode: Mode, right: int) -> None:
    curriculum = Curriculum(_stages())
    for _ in range(500):
        curriculum.observe(mode, right, 100)
    assert curriculum.index == 0


def test_advances_to_the_last_stage_and_no_further() -> None:
    curriculum = Curriculum(_stages())
    seen = []
    for _ in range(1000):
        curriculum.observe("gist", 2, 2)
        seen.append(curriculum.index)
    assert seen[0] == 0, "one lucky step is not mastery"
    assert sorted(set(seen)) == [0, 1, 2]
    assert seen == sorted(seen)


def test_a_new_stage_starts_without_the_old_accuracy() -> None:
    curriculum = Curriculum(_stages())
    while curriculum.index == 0:
        curriculum.observe("gist", 2, 2)
    assert curriculum.accuracy == {}


def test_draws_only_what_the_stage_holds() -> None:
    curriculum = Curriculum(_stages())
    rng = random.Random(0)
    assert {curriculum.sample(rng) for _ in range(100)} == {("gist", 16), ("full", 16)}


def test_restore_continues() -> None:
    one, other = Curriculum(_stages()), Curriculum(_stages())
    for _ in range(70):
        one.observe("gist", 9, 10)
    other.restore(one.state())
    assert (other.index, other.accuracy) == (one.index, one.accuracy)


def test_a_stage_ends_after_its_most_steps_however_little_was_learned() -> None:
    curriculum = Curriculum([Stage(tokens=[16], advance_at=0.8, most_steps=7), Stage(tokens=[32])])
    stages = []
    for _ in range(9):
        stages.append(curriculum.index)
        curriculum.observe("gist", 0, 3)
    assert stages == [0] * 7 + [1] * 2


def test_a_restored_stage_does_not_begin_anew() -> None:
    stages = [Stage(tokens=[16], most_steps=7), Stage(tokens=[32])]
    one, other = Curriculum(stages), Curriculum(stages)
    for _ in range(5):
        one.observe("gist", 1, 2)
    other.restore(one.state())
    other.observe("gist", 1, 2)
    assert other.index == 0
    other.observe("gist", 1, 2)
    assert other.index == 1


def test_a_checkpoint_beyond_the_last_stage_is_refused() -> None:
    state = {"index": 3, "steps": 0, "accuracy": {}}
    with pytest.raises(BadInputError, match="in stage 4, the configuration has 3"):
        Curriculum(_stages()).restore(state)


def test_a_step_that_asks_nothing_counts_as_a_step_only() -> None:
    curriculum = Curriculum([Stage(tokens=[16], most_steps=3), Stage(tokens=[32])])
    curriculum.observe("gist", 1, 1)
    before = dict(curriculum.accuracy)
    curriculum.observe("text", 0, 0)
    assert curriculum.accuracy == before
    curriculum.observe("gist", 0, 0)
    assert curriculum.index == 1
