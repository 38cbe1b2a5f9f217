"""How `refine` divides its time, from the measured speed of the model.

a pass of T tokens takes      fixed + each * T        measured on short passes, then on the
                                                      document itself
preparation                   prefill, start, teacher, first answers: a third of the time
steps                         the rest, except for the final answers
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from dnsity.errors import BadInputError
from dnsity.inference.check import QUESTIONS
from dnsity.inference.loaded import LoadedModel

_TIMED = (8, 96)
"""Tokens of the passes whose speed is measured."""
_EXAMPLE, _ASKED, _GENERATED = 48, 40, 16
"""Tokens of an example, of a question with the start of its answer, and passes of one answer."""
_HELD_OUT = 0.17
"""Share of the examples that is held out, foreign ones included."""
_REPEATED = 3.0
"""Cost of repeating the document (method `select`), in passes over it."""
_STEP = 4.0
"""Cost of an example in a step, in passes over it: teacher, forward pass and backward pass."""
_PREPARATION = 1 / 3
"""Share of the time for preparation."""
_LEAST_STEPS, _STEPS, _LEAST_ROWS, _LEAST_BATCH = 4, 24, 16, 2
"""Minimum and target number of steps; minimum number of examples, and of examples per step."""
_EVALUATIONS = 4
"""The steps between two evaluations take this many times as long as an evaluation."""
_EXCERPT, _REPLY, _PER_PROMPT, _SAMPLED = 1000, 384, 4, 41
"""Tokens of a prompt for written questions, passes of its reply, questions in it; and passes of
sampled text."""
_MARGIN = 1.25
"""Factor by which suggested minutes exceed the estimate."""
WARM_UP = 10
"""Maximum number of steps in which the learning rate rises."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The amounts of work of a run.

    Attributes:
        rows: Training examples on the document.
        written: Questions that the base is asked to write.
        sampled: Examples of general text that the base samples.
        rows_per_step: Examples per step.
        every_steps: Steps between evaluations on held-out examples.
        warm_up: Steps in which the learning rate rises.
        reserve: Seconds reserved for the last evaluation.
    """

    rows: int
    written: int
    sampled: int
    rows_per_step: int
    every_steps: int
    warm_up: int = WARM_UP
    reserve: float = 0.0


@dataclass(frozen=True, slots=True)
class Speed:
    """Measured duration of a forward pass.

    Attributes:
        fixed: Seconds per pass, independent of its length.
        each: Seconds per token.
    """

    fixed: float
    each: float

    def seconds(self, tokens: float, passes: int = 1) -> float:
        """Return the seconds that `passes` passes of `tokens` tokens each take."""
        return passes * (self.fixed + self.each * tokens)

    @property
    def answers(self) -> float:
        """Seconds to answer all held-out questions once."""
        return self.seconds(QUESTIONS * _ASKED) + self.seconds(QUESTIONS, _GENERATED)

    def evaluation(self, rows: int) -> float:
        """Return the seconds to score the held-out share of `rows` examples."""
        return self.seconds(rows * _HELD_OUT * _EXAMPLE)

    def step(self, batch: int) -> float:
        """Return the seconds of a step with `batch` examples."""
        return _STEP * self.seconds(batch * _EXAMPLE)


@torch.inference_mode()
def measure(loaded: LoadedModel, ids: list[int]) -> Speed:
    """Return the speed of short passes over a document's first tokens; takes a second or less."""
    first = (ids * -(-_TIMED[1] // len(ids)))[: _TIMED[1]]
    taken = []
    for tokens in (_TIMED[0], *_TIMED):  # the first pass warms up
        began = loaded.now()
        loaded.lm.read(torch.tensor([first[:tokens]], device=loaded.device))
        taken.append(loaded.now() - began)
    each = max(taken[2] - taken[1], 0.1 * taken[2]) / (_TIMED[1] - _TIMED[0])
    return Speed(max(0.0, taken[1] - each * _TIMED[0]), each)


def require_time(
    speed: Speed, tokens: int, seconds: float, *, repeated: bool, chunks: int = 1
) -> None:
    """Refuse a time limit that is too short for even a few steps, before any work is done.

    Args:
        speed: Speed of the model.
        tokens: Tokens of the document and of the frame's head.
        seconds: Time limit.
        repeated: Whether the start is made by `select`.
        chunks: Chunks of the document, each of which takes as long.

    Raises:
        BadInputError: If the time is too short; the message names the minutes needed.
    """
    preparation = speed.seconds(tokens) * (1 + (_REPEATED if repeated else 1))
    preparation += 2 * speed.answers + 3 * speed.evaluation(_LEAST_ROWS)
    least = preparation + _LEAST_STEPS * speed.step(_LEAST_BATCH) + speed.answers
    if least > seconds:
        per_minute = chunks / 60
        minutes = math.ceil(10 * _MARGIN * least * per_minute) / 10
        raise BadInputError(
            f"refine has {seconds * per_minute:.2g} minutes; at this model's measured speed "
            f"preparing {tokens * chunks:,} tokens takes about {preparation * per_minute:.2g} "
            f"and with a few steps {least * per_minute:.2g}; give --minutes {minutes:g} or more, "
            "or use --method select"
        )


def plan(speed: Speed, spent: float, seconds: float, most: Plan, *, chat: bool) -> Plan:
    """Divide the time that is left after the document is prefilled and the start is made.

    Args:
        speed: Speed of the model, conditioned on the document.
        spent: Seconds that have passed.
        seconds: Time limit.
        most: The requested amounts of work, which are the maximum.
        chat: Whether the base can write questions.
    """
    for_preparation = max(0.0, _PREPARATION * seconds - spent - 2 * speed.answers)
    sampled = _fitting(0.25 * for_preparation, speed.seconds(most.sampled, _SAMPLED), most.sampled)
    prompts = -(-most.written // _PER_PROMPT) if chat else 0
    writing = prompts * (speed.seconds(_EXCERPT) + speed.seconds(1, _REPLY))
    written = _fitting(0.25 * for_preparation, writing, most.written) if chat else 0
    affordable = for_preparation / 2 / (3 * speed.each * _HELD_OUT * _EXAMPLE)
    rows = max(_LEAST_ROWS, min(most.rows, int(affordable)))
    reserve = speed.answers + speed.evaluation(rows)
    left = max(0.0, seconds - max(spent + 2 * speed.answers, _PREPARATION * seconds) - reserve)
    batch = int(left / _STEPS / (_STEP * speed.each * _EXAMPLE))
    batch = max(min(_LEAST_BATCH, most.rows_per_step), min(most.rows_per_step, batch))
    steps = left / speed.step(batch)
    every = max(
        math.ceil(_EVALUATIONS * speed.evaluation(rows) / speed.step(batch)), int(steps / 4)
    )
    every = max(1, min(every, most.every_steps))
    warm_up = max(1, min(WARM_UP, int(steps / 4)))
    return Plan(rows, written, sampled, batch, every, warm_up, reserve)


def _fitting(seconds: float, needed: float, wanted: int) -> int:
    """Return `wanted` if it fits into the time, else 0."""
    return wanted if needed <= seconds else 0
