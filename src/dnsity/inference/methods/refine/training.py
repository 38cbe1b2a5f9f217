"""One document's training: rows are learned from, the best slots on held-out rows are kept."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, get_args

import torch

from dnsity.errors import DivergedError
from dnsity.inference.check import Probe, right
from dnsity.inference.gist_cache import Progress
from dnsity.inference.loaded import LoadedModel
from dnsity.inference.plan import Plan
from dnsity.inference.slots import Best, Slots, State
from dnsity.inference.study import Kind, Lesson, Row, lessons
from dnsity.inference.trial import Pair, abstains, frozen, loss_of, score
from dnsity.model.finite import type_name
from dnsity.shapes import KeyValues

if TYPE_CHECKING:
    from dnsity.inference.methods.refine import Refine

_HELD_OUT: dict[Kind, int] = {"foreign": 2}
"""Of a kind, one row in so many is not learned from; of others one in 8. Few are foreign, and they
have to tell whether harm is done."""
_LEAST_RATE = 0.03


class Run:
    """One document's training.

    Args:
        settings: What was asked for.
        plan: How much of everything there is time for.
        loaded: Model and tokenizer.
        slots: What is trained.
        rows: All that is studied.
        probes: Questions that are answered by generation; no row asks for their values.
        document: The document's keys and values.
        began: When the clock of `seconds` began.
        progress: See `Refine.compress`.
    """

    def __init__(  # noqa: PLR0913 - what preparation made
        self, settings: Refine, plan: Plan, loaded: LoadedModel, slots: Slots, rows: list[Row],
        probes: list[Probe], document: KeyValues, began: float, progress: Progress,
    ) -> None:  # fmt: skip
        """Divide the rows; the teacher answers those that are held out."""
        self.settings, self.plan, self.loaded, self.slots = settings, plan, loaded, slots
        self.began, self.progress = began, progress
        self.document, self.probes = document, probes
        self.said: dict[int, Lesson] = {}
        held_out: list[Row] = []
        self.rows: list[Row] = []
        for kind in get_args(Kind):
            for number, row in enumerate(row for row in rows if row.kind == kind):
                learned = number % _HELD_OUT.get(kind, 8)
                (self.rows if learned else held_out).append(row)
        random.Random(settings.seed).shuffle(self.rows)
        said = lessons(loaded, held_out, document)
        self.held_out = list(zip(held_out, said, strict=True))
        guessed = lessons(loaded, held_out, None)
        self.floor = [float(lesson.log_p.mean()) for lesson in guessed]

    @property
    def abstains(self) -> float | None:
        """Share of foreign questions that the base abstains from with the whole document."""
        exact = [lesson.top_ids[:, 0].tolist() == row.answer for row, lesson in self.held_out]
        return abstains(self.held_out, exact)

    @property
    def elapsed(self) -> float:
        """Seconds of this document, those before an interruption included."""
        return time.perf_counter() - self.began

    @property
    def share(self) -> float:
        """How much of the run is done, 0 to 1: by steps or by time, whichever is further."""
        steps, seconds = self.settings.steps, self.settings.seconds
        by_steps = 0.0 if steps is None else self.slots.step / steps if steps else 1.0
        if seconds is None:
            return by_steps
        return max(by_steps, self.elapsed / max(1e-9, seconds - self.plan.reserve))

    def train(self, state: State) -> Best:
        """Train until steps, time or patience are used up; return the best slots there were."""
        slots, every = self.slots, self.plan.every_steps
        with frozen(self.loaded.lm):
            if slots.before is None:
                slots.full = tuple(right(self.loaded, self.document, self.probes))
                self._look()
                assert slots.best is not None
                slots.before = slots.best.score
            while self.share < 1 and slots.waited < self.settings.patience:
                self._step()
                self._tell()
                if slots.step % every == 0:
                    self._look()
                    slots.seconds = self.elapsed
                    state.save(slots)
            if slots.step % every:
                self._look()
                slots.seconds = self.elapsed
                state.save(slots)
        assert slots.best is not None
        return slots.best

    def _step(self) -> None:
        """Learn from some rows."""
        slots = self.slots
        pairs = self._drawn()
        warm = min(1.0, (slots.step + 1) / self.plan.warm_up)
        rate = self.settings.learning_rate * warm * max(_LEAST_RATE, 1 - self.share)
        loss = loss_of(self.loaded.lm, slots.layers(self.loaded.lm.base.dtype), pairs)
        if not bool(torch.isfinite(loss)):
            raise DivergedError(
                f"refine: the loss is {float(loss.detach())} at step {slots.step}; start again "
                f"with a lower learning_rate than {self.settings.learning_rate}"
            )
        slots.learn(loss, rate)

    def _drawn(self) -> list[Pair]:
        """Draw rows, by the step's number alone: all in order at first, later at random.

        The base is heard on a row when it first comes up, so that a short run hears few; and always
        with the same rows beside it, so that a run that was stopped hears the same to the last bit.
        """
        size, step = self.plan.rows_per_step, self.slots.step
        numbers = list(range(len(self.rows)))[step * size : (step + 1) * size]
        if len(numbers) < size:
            rng = random.Random(f"{self.settings.seed}/{step}")
            numbers = rng.sample(range(len(self.rows)), min(size, len(self.rows)))
        for number in numbers:
            if number not in self.said:
                block = range(len(self.rows))[number // size * size :][:size]
                rows = [self.rows[n] for n in block]
                said = lessons(self.loaded, rows, self.document)
                self.said |= dict(zip(block, said, strict=True))
        return [(self.rows[n], self.said[n]) for n in numbers]

    def _look(self) -> None:
        """Score the held-out rows and questions, keep the slots if they are the best so far."""
        layers = self.slots.layers(self.loaded.lm.base.dtype)
        found = score(self.loaded.lm, layers, self.held_out, self.floor)
        if not math.isfinite(found.loss):
            raise DivergedError(
                f"refine: the held-out loss is {found.loss} at step {self.slots.step}; use a lower "
                f"learning_rate than {self.settings.learning_rate}, or another compute type: "
                f"in {type_name(self.loaded.lm.base.dtype)} the model may overflow"
            )

        def answer() -> tuple[bool, ...]:
            return tuple(right(self.loaded, self.loaded.without_head(layers), self.probes))

        self.slots.judge(found, answer)

    def _tell(self) -> None:
        slots, seconds = self.slots, self.settings.seconds
        assert slots.best is not None
        assert slots.before is not None
        now = f"refining, held-out loss {slots.best.score.loss:.3f}"
        if self.probes:
            now += (
                f", held-out answers {sum(slots.best.answers)} of {len(self.probes)} "
                f"(start {slots.before.right}, full context {sum(slots.full)})"
            )
        if self.settings.steps is not None:
            self.progress(slots.step, self.settings.steps, now)
        else:
            self.progress(round(min(self.elapsed, seconds or 0)), round(seconds or 0), now)


def merged(settings: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Say of several chunks what is said of one: counts in all, and averages of everything else."""
    found: dict[str, Any] = {}
    for name, first in settings[0].items():
        known = [one[name] for one in settings if one[name] is not None]
        if name == "start":
            found[name] = first
        elif name == "plan":
            found[name] = known
        elif name == "kept_start":
            found[name] = all(known)
        elif name in ("steps", "seconds", "questions") or name.startswith("right_"):
            found[name] = round(sum(known), 1)
        else:
            found[name] = round(sum(known) / len(known), 4) if known else None
    return found
