"""Endless training steps; step n is a function of the seed, n and the curriculum's stage.

A step draws what it trains, how long its documents are, and each document on its own, so it holds
the same documents however it is split into micro-batches over time (accumulation) and processes:

    step n   d0 d1 d2 d3 d4 d5 d6 d7      1 process, accumulation 1
             d0 d2 d4 d6 | d1 d3 d5 d7    1 process, accumulation 2; or 2 processes
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import IterableDataset

from dnsity.data.collate import IGNORE, collate
from dnsity.data.generators.mixture import UNSCORED, Mixture
from dnsity.data.text.frame import Frame
from dnsity.training.curriculum import Curriculum, Mode, Stage
from dnsity.training.settings import Settings

QUESTION_TOKENS = 32
"""What a question costs beside its document, roughly; keeps steps on short documents short."""


def documents_of(settings: Settings, length: int) -> int:
    """Say how many documents of a length a step holds."""
    fitting = settings.tokens_per_step // (length + QUESTION_TOKENS)
    return max(settings.least_documents, fitting)


class Batches(IterableDataset[dict[str, Any]]):
    """Draws steps of about `settings.tokens_per_step` document tokens each, in micro-batches.

    Args:
        mixture: Where documents come from.
        curriculum: What to draw now.
        frame: How the model's prompts are laid out.
        settings: Size and split of a step, and the seed.
    """

    process, processes = 0, 1
    """Which share of every step is drawn here; the trainer sets it."""
    first = 0
    """Number of the first step; a resumed run sets it."""

    def __init__(
        self,
        mixture: Mixture,
        curriculum: Curriculum,
        frame: Frame,
        settings: Settings,
    ) -> None:
        """Nothing is drawn yet."""
        self.mixture, self.curriculum = mixture, curriculum
        self.frame, self.settings = frame, settings

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield this process's micro-batches, step by step, forever."""
        parts = self.settings.accumulation * self.processes
        for number in itertools.count(self.first):
            for turn in range(self.settings.accumulation):
                yield self.batch(number, turn * self.processes + self.process, parts)

    def batch(self, number: int, part: int = 0, parts: int = 1) -> dict[str, Any]:
        """Build micro-batch `part` of `parts` of a step: documents of one length."""
        name = f"{self.settings.seed}/{number}"
        rng = random.Random(name)
        stage = self.curriculum.stage
        mode, length = self.curriculum.draw(rng)
        drawn: dict[str, int] = {}
        if mode == "gist" and stage.gists:
            drawn["gists"] = rng.choice(stage.gists)
        if mode == "gist" and stage.windows:
            drawn["window"] = rng.choice(stage.windows)
        return {**self._draw(name, stage, mode, length, part, parts), **drawn}

    def of_mode(self, mode: Mode, stage: Stage) -> dict[str, Any]:
        """Build a batch of a wanted mode, of the shortest documents of a stage, with every gist."""
        return self._draw(f"{self.settings.seed}/{mode}", stage, mode, min(stage.tokens))

    def _draw(
        self, name: str, stage: Stage, mode: Mode, length: int, part: int = 0, parts: int = 1
    ) -> dict[str, Any]:
        """Draw a share of a step's documents and lay them out; no share is empty."""
        numbers = range(part, max(parts, documents_of(self.settings, length)), parts)
        rngs = [random.Random(f"{name}/{number}") for number in numbers]
        if mode in ("text", "repeat"):
            return {"mode": mode, **self._text(rngs, length, twice=mode == "repeat")}
        examples = [self.mixture.draw(rng, length, stage.documents) for rng in rngs]
        return {
            "mode": mode,
            **collate(examples, self.frame),
            "scored": torch.tensor(
                [not q.kind.startswith(UNSCORED) for e in examples for q in e.questions]
            ),
            "sources": [example.source for example in examples],
        }

    def _text(self, rngs: list[random.Random], length: int, *, twice: bool) -> dict[str, Any]:
        """Packed prose in equal rows; said twice, only the second time is learned."""
        rows = [
            self.frame.encoder.start_ids
            + self.mixture.packed(rng, self.mixture.language(rng), length) * (2 if twice else 1)
            for rng in rngs
        ]
        input_ids = torch.tensor(rows)
        labels = input_ids[:, -length - 1 :].clone()
        labels[:, 0] = IGNORE
        return {"input_ids": input_ids, "labels": labels}
