"""Endless training batches; batch n is a function of the seed, n and the curriculum's stage."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import IterableDataset

from dnsity.data.collate import IGNORE, collate
from dnsity.data.encode import TextEncoder
from dnsity.data.mixture import Mixture
from dnsity.training.curriculum import Curriculum, Mode, Stage

QUESTION_TOKENS = 32
"""What a question costs beside its document, roughly; keeps steps on short documents short."""


class Batches(IterableDataset[dict[str, Any]]):
    """Draws batches of about `tokens` document tokens each.

    Args:
        mixture: Where documents come from.
        encoder: Text to ids.
        curriculum: What to draw now.
        template: The model's question frame.
        tokens: Tokens per batch.
        seed: Seed of the run.
        least_documents: Documents per batch at the least.
    """

    def __init__(
        self,
        mixture: Mixture,
        encoder: TextEncoder,
        curriculum: Curriculum,
        template: str,
        tokens: int,
        seed: int,
        least_documents: int = 1,
    ) -> None:
        """Nothing is drawn yet."""
        self.mixture, self.encoder, self.curriculum = mixture, encoder, curriculum
        self.template, self.tokens, self.seed = template, tokens, seed
        self.least_documents = least_documents
        self.first = 0
        """Number of the first batch; a resumed run sets it."""

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield batches forever."""
        number = self.first
        while True:
            yield self.batch(number)
            number += 1

    def batch(self, number: int) -> dict[str, Any]:
        """Build one batch: documents of one length, as many as fit the token budget."""
        rng = random.Random(f"{self.seed}/{number}")
        return self._draw(rng, self.curriculum.stage, *self.curriculum.draw(rng))

    def of_mode(self, mode: Mode, stage: Stage) -> dict[str, Any]:
        """Build a batch of a wanted mode, of the shortest documents of a stage, with every gist."""
        rng = random.Random(f"{self.seed}/{mode}")
        return self._draw(rng, stage.model_copy(update={"gists": None}), mode, min(stage.tokens))

    def _draw(self, rng: random.Random, stage: Stage, mode: Mode, length: int) -> dict[str, Any]:
        """Draw documents of one length and lay them out."""
        count = max(self.least_documents, self.tokens // (length + QUESTION_TOKENS))
        if mode in ("text", "repeat"):
            return {"mode": mode, **self._text(rng, length, count, twice=mode == "repeat")}
        examples = [self.mixture.draw(rng, length, stage.documents) for _ in range(count)]
        batch: dict[str, Any] = {"mode": mode, **collate(examples, self.encoder, self.template)}
        if mode == "gist" and stage.gists:
            batch["gists"] = rng.choice(stage.gists)
        return batch

    def _text(self, rng: random.Random, length: int, count: int, *, twice: bool) -> dict[str, Any]:
        """Plain prose, cut to equal rows; said twice, only the second time is learned."""
        rows: list[list[int]] = []
        while len(rows) < count:
            ids = self.encoder.encode(
                self.mixture.text(rng, self.mixture.language(rng), 2 * length)[0]
            )
            if len(ids) >= length:
                rows.append(self.encoder.start_ids + ids[:length] * (2 if twice else 1))
        input_ids = torch.tensor(rows)
        labels = input_ids[:, -length - 1 :].clone()
        labels[:, 0] = IGNORE
        return {"input_ids": input_ids, "labels": labels}
