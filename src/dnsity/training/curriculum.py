"""The curriculum: short documents first, longer ones once the short ones are answered."""

from __future__ import annotations

import random
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from dnsity.config import Config, Gists, Tokens, Weight, some_weight
from dnsity.data.generators.mixture import DocumentKind
from dnsity.errors import BadInputError

Mode = Literal["text", "repeat", "full", "gist"]
"""What a step trains.

    text    plain next-token prediction
    repeat  prose said twice, the second time counts: every token is copied, so this teaches copying
    full    answers from full context
    gist    answers from gists
"""


class Stage(Config):
    """One step of the curriculum.

    Attributes:
        tokens: Document lengths to draw from.
        share: Relative weight of each mode.
        documents: Relative weight of each kind of document (None: as the mixture says).
        gists: Gist counts to draw from in mode `gist`: the first so many rows are used alone, so
            one model serves several ratios (None: always all rows).
        windows: Window lengths to draw from in mode `gist`, instead of `gist.window_tokens`: short
            windows put the joined gists of several chunks before a question at the price of a
            short document, so documents beyond the window can be learned cheaply.
        advance_at: Running accuracy on the stage's hardest mode that ends it; None: never.
        most_steps: Steps after which the stage ends in any case; None: never.
    """

    tokens: list[Tokens] = Field(min_length=1)
    share: Annotated[dict[Mode, Weight], AfterValidator(some_weight)] = Field(
        default={"gist": 1.0}, min_length=1
    )
    documents: Annotated[dict[DocumentKind, Weight], AfterValidator(some_weight)] | None = Field(
        default=None, min_length=1
    )
    gists: list[Gists] | None = Field(default=None, min_length=1)
    windows: list[Tokens] | None = Field(default=None, min_length=1)
    advance_at: float | None = Field(default=None, gt=0, le=1)
    most_steps: int | None = Field(default=None, ge=1)


class Curriculum:
    """Which stage a run is in; advances on observed accuracy, and survives a restart."""

    SMOOTHING = 0.97
    """Running accuracies are means over about 1 / (1 - this) steps; they begin at 0 in every stage,
    so that a few lucky steps end none."""

    def __init__(self, stages: list[Stage]) -> None:
        """Start at the first stage."""
        self.stages = stages
        self.index = 0
        self.steps = 0
        """Steps of the current stage so far."""
        self.accuracy: dict[str, float] = {}

    @property
    def stage(self) -> Stage:
        """The current stage."""
        return self.stages[self.index]

    def draw(self, rng: random.Random) -> tuple[Mode, int]:
        """Draw what the next step trains and how long its documents are."""
        modes = sorted(self.stage.share)
        mode = rng.choices(modes, [self.stage.share[m] for m in modes])[0]
        return mode, rng.choice(self.stage.tokens)

    def observe(self, mode: Mode, right: int, asked: int) -> None:
        """Take in one step's answers; go to the next stage when this one is mastered or over."""
        self.steps += 1
        if asked:
            before = self.accuracy.get(mode, 0.0)
            self.accuracy[mode] = self.SMOOTHING * before + (1 - self.SMOOTHING) * right / asked
        stage = self.stage
        hardest = "gist" if "gist" in stage.share else "full"
        mastered = (
            stage.advance_at is not None and self.accuracy.get(hardest, 0.0) >= stage.advance_at
        )
        over = stage.most_steps is not None and self.steps >= stage.most_steps
        if (mastered or over) and self.index + 1 < len(self.stages):
            self.index += 1
            self.accuracy = {}
            self.steps = 0

    def state(self) -> dict[str, Any]:
        """Return what `restore` needs."""
        return {"index": self.index, "steps": self.steps, "accuracy": dict(self.accuracy)}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue where `state` was taken.

        Raises:
            BadInputError: If the configuration has fewer stages than the run had reached.
        """
        index = int(state["index"])
        if index >= len(self.stages):
            raise BadInputError(
                f"the checkpoint is in stage {index + 1}, the configuration has "
                f"{len(self.stages)}; resume with the stages of the interrupted run"
            )
        self.index, self.accuracy = index, dict(state["accuracy"])
        self.steps = int(state["steps"])
