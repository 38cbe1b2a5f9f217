"""What `refine` can afford in its minutes, from the measured speed of the model.

a pass of T tokens takes      fixed + each * T        measured on short passes, then on the
                                                      document itself
preparation                   prefill, start, teacher, first answers: a third of the time
steps                         the rest, but for the last answers
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch

from dnsity.errors import BadInputError
from dnsity.inference.check import QUESTIONS
from dnsity.inference.loaded import LoadedModel

_PROBES = (8, 96)
"""Tokens of the passes that speed is measured on."""
_ROW, _ASKED, _GENERATED = 48, 40, 16
"""Tokens of a row, of a question with the beginning of its answer, and passes of one answer."""
_HELD_OUT = 0.17
"""Share of the rows that is held out, foreign ones included."""
_REPEATED = 3.0
"""What repeating the document takes (method `select`), in passes over it."""
_STEP = 4.0
"""What a row takes in a step, in passes over it: teacher, forward pass and backward pass."""
_PREPARATION = 1 / 3
_LEAST_STEPS, _STEPS, _LEAST_ROWS, _LEAST_BATCH = 4, 24, 16, 2
"""Steps at least, steps aimed at, rows at least and rows of a step at least."""
_LOOKS = 4
"""Steps between looks take so many times as long as a look."""
_EXCERPT, _REPLY, _PER_PROMPT, _SAMPLED = 1000, 384, 4, 41
"""Of one prompt for written questions: its tokens, passes of the reply, questions; and the passes
that sampled text takes."""
_MARGIN = 1.25
WARM_UP = 10
"""Steps in which the learning rate rises, where there is time for many."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of everything a run takes.

    Attributes:
        rows: Rows on the document.
        written: Questions that the base is asked to write.
        sampled: Stretches of text that the base samples.
        rows_per_step: Rows of a step.
        every_steps: Steps between looks at the held-out rows.
        warm_up: Steps in which the learning rate rises.
        reserve: Seconds left for the last look.
    """

    rows: int
    written: int
    sampled: int
    rows_per_step: int
    every_steps: int
    warm_up: int = WARM_UP
    reserve: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """Return the plan as JSON can hold it."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Speed:
    """Seconds of a forward pass.

    Attributes:
        fixed: However short it is.
        each: For each token.
    """

    fixed: float
    each: float

    def seconds(self, tokens: float, passes: int = 1) -> float:
        """Return the seconds that so many passes of so many tokens take."""
        return passes * (self.fixed + self.each * tokens)

    @property
    def answers(self) -> float:
        """Seconds to answer the held-out questions once."""
        return self.seconds(QUESTIONS * _ASKED) + self.seconds(QUESTIONS, _GENERATED)

    def look(self, rows: int) -> float:
        """Seconds to score the held-out ones of so many rows."""
        return self.seconds(rows * _HELD_OUT * _ROW)

    def step(self, batch: int) -> float:
        """Seconds of a step with so many rows."""
        return _STEP * self.seconds(batch * _ROW)


@torch.inference_mode()
def measure(loaded: LoadedModel, ids: list[int]) -> Speed:
    """Measure the speed of short passes over a document's first tokens; a second or less."""
    row = (ids * -(-_PROBES[1] // len(ids)))[: _PROBES[1]]
    taken = []
    for tokens in (_PROBES[0], *_PROBES):  # the first pass warms up
        began = loaded.now()
        loaded.lm.read(torch.tensor([row[:tokens]], device=loaded.device))
        taken.append(loaded.now() - began)
    each = max(taken[2] - taken[1], 0.1 * taken[2]) / (_PROBES[1] - _PROBES[0])
    return Speed(max(0.0, taken[1] - each * _PROBES[0]), each)


def require_time(
    speed: Speed, tokens: int, seconds: float, *, repeated: bool, chunks: int = 1
) -> None:
    """Refuse a time in which not even a few steps fit, before any work is done.

    Args:
        speed: Of the model.
        tokens: Of the document and the head before it.
        seconds: How long the run may take.
        repeated: Whether it starts from `select`.
        chunks: Pieces of the document that take as long each.

    Raises:
        BadInputError: Naming the minutes that are needed.
    """
    preparation = speed.seconds(tokens) * (1 + (_REPEATED if repeated else 1))
    preparation += 2 * speed.answers + 3 * speed.look(_LEAST_ROWS)
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
    """Share out what is left of the time once the document is read and the start is made.

    Args:
        speed: Of the model, conditioned on the document.
        spent: Seconds that have passed.
        seconds: How long the run may take.
        most: What was asked for.
        chat: Whether the base may write questions.
    """
    for_preparation = max(0.0, _PREPARATION * seconds - spent - 2 * speed.answers)
    sampled = _fitting(0.25 * for_preparation, speed.seconds(most.sampled, _SAMPLED), most.sampled)
    prompts = -(-most.written // _PER_PROMPT) if chat else 0
    writing = prompts * (speed.seconds(_EXCERPT) + speed.seconds(1, _REPLY))
    written = _fitting(0.25 * for_preparation, writing, most.written) if chat else 0
    affordable = for_preparation / 2 / (3 * speed.each * _HELD_OUT * _ROW)
    rows = max(_LEAST_ROWS, min(most.rows, int(affordable)))
    reserve = speed.answers + speed.look(rows)
    left = max(0.0, seconds - max(spent + 2 * speed.answers, _PREPARATION * seconds) - reserve)
    batch = int(left / _STEPS / (_STEP * speed.each * _ROW))
    batch = max(min(_LEAST_BATCH, most.rows_per_step), min(most.rows_per_step, batch))
    steps = left / speed.step(batch)
    every = max(math.ceil(_LOOKS * speed.look(rows) / speed.step(batch)), int(steps / 4))
    every = max(1, min(every, most.every_steps))
    warm_up = max(1, min(WARM_UP, int(steps / 4)))
    return Plan(rows, written, sampled, batch, every, warm_up, reserve)


def _fitting(seconds: float, needed: float, wanted: int) -> int:
    """Return what is wanted if it fits the time, else none of it."""
    return wanted if needed <= seconds else 0
