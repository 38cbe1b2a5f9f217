"""Endless training steps; step n is a function of the seed, n and the curriculum's stage.

A step samples its mode, the length of its documents, and every document by itself. So it contains
the same documents however it is split into micro-batches over time (accumulation) and processes:

    step n   d0 d1 d2 d3 d4 d5 d6 d7      1 process, accumulation 1
             d0 d2 d4 d6 | d1 d3 d5 d7    1 process, accumulation 2; or 2 processes
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch.utils.data import IterableDataset

from dnsity.data.batch import IGNORE, Batch, Mode, TextBatch, TextMode, collate
from dnsity.data.generators.mixture import UNSCORED, Mixture
from dnsity.data.text.frame import Frame
from dnsity.training.curriculum import Curriculum, Stage
from dnsity.training.settings import Settings

QUESTION_TOKENS = 32
"""Approximate tokens of a question; counted so that steps of short documents stay short."""


def documents_of(settings: Settings, length: int) -> int:
    """Return how many documents of a length a step contains."""
    fitting = settings.tokens_per_step // (length + QUESTION_TOKENS)
    return max(settings.least_documents, fitting)


class Batches(IterableDataset[Batch]):
    """Samples steps of about `settings.tokens_per_step` document tokens each, in micro-batches.

    Args:
        mixture: The source of documents.
        curriculum: The source of each step's mode and document length.
        frame: The prompt format.
        settings: Size and split of a step, and the seed.
    """

    process, processes = 0, 1
    """Index of this process and number of processes; the trainer sets them."""
    first = 0
    """Number of the first step; a resumed run sets it."""

    def __init__(
        self,
        mixture: Mixture,
        curriculum: Curriculum,
        frame: Frame,
        settings: Settings,
    ) -> None:
        """Store the parts."""
        self.mixture, self.curriculum = mixture, curriculum
        self.frame, self.settings = frame, settings

    def __iter__(self) -> Iterator[Batch]:
        """Yield this process's micro-batches, step by step, without end."""
        parts = self.settings.accumulation * self.processes
        for number in itertools.count(self.first):
            for turn in range(self.settings.accumulation):
                yield self.batch(number, turn * self.processes + self.process, parts)

    def batch(self, number: int, part: int = 0, parts: int = 1) -> Batch:
        """Build micro-batch `part` of `parts` of a step: documents of one length."""
        name = f"{self.settings.seed}/{number}"
        rng = random.Random(name)
        stage = self.curriculum.stage
        mode, length = self.curriculum.sample(rng)
        gists = rng.choice(stage.gists) if mode == "gist" and stage.gists else None
        window = rng.choice(stage.windows) if mode == "gist" and stage.windows else None
        batch = self._sample(name, stage, mode, length, part, parts)
        if isinstance(batch, TextBatch):
            return batch
        return replace(batch, gists=gists, window_tokens=window)

    def of_mode(self, mode: Mode, stage: Stage) -> Batch:
        """Build a batch of a mode from the shortest documents of a stage, with all gists."""
        return self._sample(f"{self.settings.seed}/{mode}", stage, mode, min(stage.tokens))

    def _sample(
        self, name: str, stage: Stage, mode: Mode, length: int, part: int = 0, parts: int = 1
    ) -> Batch:
        """Sample a part of a step's documents; no part is empty."""
        numbers = range(part, max(parts, documents_of(self.settings, length)), parts)
        rngs = [random.Random(f"{name}/{number}") for number in numbers]
        if mode == "text" or mode == "repeat":
            return self._text(rngs, length, mode)
        examples = [self.mixture.sample(rng, length, stage.documents) for rng in rngs]
        return collate(examples, self.frame, mode, unscored=UNSCORED)

    def _text(self, rngs: list[random.Random], length: int, mode: TextMode) -> TextBatch:
        """Pack plain text into examples of equal length; in mode `repeat`, each twice."""
        times = 2 if mode == "repeat" else 1
        examples = [
            self.frame.encoder.start_ids
            + self.mixture.packed(rng, self.mixture.language(rng), length) * times
            for rng in rngs
        ]
        input_ids = torch.tensor(examples)
        labels = input_ids[:, -length - 1 :].clone()
        labels[:, 0] = IGNORE
        return TextBatch(mode, input_ids, labels)
