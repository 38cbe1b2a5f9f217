"""The curriculum: short documents first, longer ones once the short ones are answered."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from dnsity.config import Config, Gists, Tokens, Weight, some_weight
from dnsity.data.batch import Mode
from dnsity.data.generators.mixture import DocumentKind, MixtureConfig
from dnsity.errors import BadInputError


class Stage(Config):
    """One step of the curriculum.

    Attributes:
        tokens: Document lengths to sample from.
        share: Relative weight of each mode.
        documents: Relative weight of each kind of document (None: as in the mixture).
        gists: Gist counts to sample from in mode `gist`. A count of n uses the first n gist rows
            only, so one model supports several ratios (None: always all rows).
        windows: Window lengths to sample from in mode `gist`, instead of `gist.window_tokens`.
            Short windows cut a short document into several chunks, so the model learns documents
            longer than its window cheaply.
        advance_at: The stage ends when the running accuracy in its hardest mode reaches this value;
            None: never.
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


def require_records_used(data: MixtureConfig, stages: Sequence[Stage]) -> None:
    """Refuse ready-made records that no stage would train on.

    Raises:
        ValueError: If there are such records; pydantic adds where.
    """
    weights = [stage.documents or data.documents for stage in stages]
    if data.records and not any(each.get("records") for each in weights):
        raise ValueError(
            "data.records would not be used: no stage has a weight for records; add one to "
            "data.documents (or `documents` of a stage), for example {records: 1.0}"
        )


class Curriculum:
    """The stage of a run; advances with the accuracy, and can be resumed."""

    SMOOTHING = 0.97
    """Running accuracies are means over about 1 / (1 - this) steps. They start at 0 in every stage,
    so a few lucky steps do not end it."""

    def __init__(self, stages: list[Stage]) -> None:
        """Start at the first stage."""
        self.stages = stages
        self.index = 0
        self.steps = 0
        """Completed steps of the current stage."""
        self.accuracy: dict[str, float] = {}

    @property
    def stage(self) -> Stage:
        """The current stage."""
        return self.stages[self.index]

    def sample(self, rng: random.Random) -> tuple[Mode, int]:
        """Sample the mode and the document length of the next step."""
        modes = sorted(self.stage.share)
        mode = rng.choices(modes, [self.stage.share[m] for m in modes])[0]
        return mode, rng.choice(self.stage.tokens)

    def observe(self, mode: Mode, right: int, asked: int) -> None:
        """Add one step's answers to the accuracy; advance when the stage ends.

        Args:
            mode: Mode of the step.
            right: Number of right answers.
            asked: Number of scored answers.
        """
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
        """Return the state for `restore`."""
        return {"index": self.index, "steps": self.steps, "accuracy": dict(self.accuracy)}

    def restore(self, state: dict[str, Any]) -> None:
        """Resume from a state.

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
