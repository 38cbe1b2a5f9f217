"""The training loop of `refine`, which keeps the slots that score best on held-out examples."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, get_args

import torch

from dnsity.errors import DivergedError
from dnsity.inference.check import Probe, answered_right
from dnsity.inference.gist_cache import Progress
from dnsity.inference.loaded import LoadedModel
from dnsity.inference.methods.refine.examples import Example, Kind
from dnsity.inference.methods.refine.plan import Plan
from dnsity.inference.methods.refine.scoring import Pair, abstains, loss_of, score
from dnsity.inference.methods.refine.slots import Best, Slots
from dnsity.inference.methods.refine.state import State
from dnsity.inference.methods.refine.teacher import TeacherOutput, teacher_outputs
from dnsity.model.finite import type_name
from dnsity.shapes import KeyValues

if TYPE_CHECKING:
    from dnsity.inference.methods.refine.compressor import Refine

_HELD_OUT: dict[Kind, int] = {"foreign": 2}
"""One example in this many is held out; of other kinds one in 8. Foreign examples are few, and show
whether training does harm."""
_LEAST_RATE = 0.03
"""Final learning rate, as a share of the highest."""


class Run:
    """The training of one document's slots.

    Args:
        settings: Settings of the method.
        plan: Amounts of work.
        loaded: Model and tokenizer.
        slots: The trained slots.
        examples: Training and held-out examples.
        probes: Held-out questions, answered by generation; no example asks for their values.
        document: The document's keys and values.
        began: Time at which the time limit began.
        progress: See `Refine.compress`.
    """

    def __init__(  # noqa: PLR0913 - all results of the preparation
        self, settings: Refine, plan: Plan, loaded: LoadedModel, slots: Slots,
        examples: list[Example], probes: list[Probe], document: KeyValues, began: float,
        progress: Progress,
    ) -> None:  # fmt: skip
        """Split the examples, and run the teacher on the held-out ones."""
        self.settings, self.plan, self.loaded, self.slots = settings, plan, loaded, slots
        self.began, self.progress = began, progress
        self.document, self.probes = document, probes
        self.teacher: dict[int, TeacherOutput] = {}
        held_out: list[Example] = []
        self.examples: list[Example] = []
        for kind in get_args(Kind):
            of_kind = [example for example in examples if example.kind == kind]
            for number, example in enumerate(of_kind):
                learned = number % _HELD_OUT.get(kind, 8)
                (self.examples if learned else held_out).append(example)
        random.Random(settings.seed).shuffle(self.examples)
        outputs = teacher_outputs(loaded, held_out, document)
        self.held_out = list(zip(held_out, outputs, strict=True))
        without = teacher_outputs(loaded, held_out, None)
        self.floor = [float(output.log_p.mean()) for output in without]

    @property
    def abstains(self) -> float | None:
        """Share of foreign questions on which the base abstains, given the whole document."""
        exact = [
            output.top_ids[:, 0].tolist() == example.answer for example, output in self.held_out
        ]
        return abstains(self.held_out, exact)

    @property
    def elapsed(self) -> float:
        """Seconds spent on this document, including those before an interruption."""
        return time.perf_counter() - self.began

    @property
    def share(self) -> float:
        """Completed share of the run, 0 to 1: by steps or by time, whichever is larger."""
        steps, seconds = self.settings.steps, self.settings.seconds
        by_steps = 0.0 if steps is None else self.slots.step / steps if steps else 1.0
        if seconds is None:
            return by_steps
        return max(by_steps, self.elapsed / max(1e-9, seconds - self.plan.reserve))

    def train(self, state: State) -> Best:
        """Train until steps, time or patience are used up; return the best slots."""
        slots, every = self.slots, self.plan.every_steps
        with self.loaded.lm.frozen():
            if slots.before is None:
                slots.full = tuple(answered_right(self.loaded, self.document, self.probes))
                self._evaluate()
                assert slots.best is not None
                slots.before = slots.best.score
                self._save(state)  # a run stopped before its first evaluation keeps its start
            while self.share < 1 and slots.waited < self.settings.patience:
                self._step()
                self._show_progress()
                if slots.step % every == 0:
                    self._evaluate()
                    self._save(state)
            if slots.step % every:
                self._evaluate()
                self._save(state)
        assert slots.best is not None
        return slots.best

    def _save(self, state: State) -> None:
        self.slots.seconds = self.elapsed
        state.save(self.slots)

    def _step(self) -> None:
        """Take one optimizer step."""
        slots = self.slots
        pairs = self._batch()
        warm = min(1.0, (slots.step + 1) / self.plan.warm_up)
        rate = self.settings.learning_rate * warm * max(_LEAST_RATE, 1 - self.share)
        loss = loss_of(self.loaded.lm, slots.layers(self.loaded.lm.base.dtype), pairs)
        if not bool(torch.isfinite(loss)):
            raise DivergedError(
                f"refine: the loss is {float(loss.detach())} at step {slots.step}; start again "
                f"with a lower learning_rate than {self.settings.learning_rate}"
            )
        slots.learn(loss, rate)

    def _batch(self) -> list[Pair]:
        """Return the examples of a step, which depend on its number alone.

        The first steps take all examples in order, later ones sample at random. The teacher runs on
        an example when it is first used, so that a short run needs few teacher passes. It always
        runs on the same block of examples, so that a resumed run gets bit-identical outputs.
        """
        size, step = self.plan.rows_per_step, self.slots.step
        numbers = list(range(len(self.examples)))[step * size : (step + 1) * size]
        if len(numbers) < size:
            rng = random.Random(f"{self.settings.seed}/{step}")
            numbers = rng.sample(range(len(self.examples)), min(size, len(self.examples)))
        for number in numbers:
            if number not in self.teacher:
                block = range(len(self.examples))[number // size * size :][:size]
                outputs = teacher_outputs(
                    self.loaded, [self.examples[n] for n in block], self.document
                )
                self.teacher |= dict(zip(block, outputs, strict=True))
        return [(self.examples[n], self.teacher[n]) for n in numbers]

    def _evaluate(self) -> None:
        """Score the slots on held-out examples and questions; keep them if they are the best."""
        layers = self.slots.layers(self.loaded.lm.base.dtype)
        found = score(self.loaded.lm, layers, self.held_out, self.floor)
        if not math.isfinite(found.loss):
            raise DivergedError(
                f"refine: the held-out loss is {found.loss} at step {self.slots.step}; use a lower "
                f"learning_rate than {self.settings.learning_rate}, or another compute type: "
                f"in {type_name(self.loaded.lm.base.dtype)} the model may overflow"
            )

        def answer() -> tuple[bool, ...]:
            return tuple(answered_right(self.loaded, self.loaded.without_head(layers), self.probes))

        self.slots.keep_if_best(found, answer)

    def _show_progress(self) -> None:
        """Report steps or seconds, and how many held-out questions are answered right."""
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


def merge_reports(settings: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return one report for several chunks: sums of counts, and averages of everything else."""
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
