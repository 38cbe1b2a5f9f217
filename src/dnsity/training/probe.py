"""Probes: a few fixed held-out documents whose questions are asked during training.

The same questions are answered in three ways, so that the scores can be compared:

    gist   conditioned on gists            what is trained (`gist_of_10`: on the first ten)
    full   conditioned on the document     what the base can do: the ceiling
    none   without the document            what can be guessed: the floor
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, cast

import torch
from pydantic import AfterValidator, Field
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from dnsity.config import Config, Digits, Gists, Seed, Tokens, Weight, some_weight
from dnsity.data.batch import QuestionBatch, collate
from dnsity.data.example import Language
from dnsity.data.generators.mixture import DocumentKind, Mixture, MixtureConfig
from dnsity.data.text.frame import Frame
from dnsity.training.answers import Condition, answers
from dnsity.training.model_with_loss import ModelWithLoss
from dnsity.training.objective import exactly_right


class ProbeConfig(Config):
    """Held-out documents whose questions are asked during training.

    Attributes:
        corpus: Text to hide needles in; its documents must not be in `data.corpus`.
        corpus_characters: Characters to load per language.
        tokens: Document lengths.
        documents: Documents per language and length.
        kinds: Relative weight of each kind of document.
        digits: Lengths of passkeys and codes.
        max_facts: Most needles in a document; there is a question for each of them.
        gists: Further gist counts to ask with: the first n gists only.
        every_steps: Steps between probes; the last step always has one.
        seed: Random seed of the documents.
    """

    corpus: dict[Language, list[str]] = Field(min_length=1)
    corpus_characters: int = Field(default=1_000_000, ge=1)
    tokens: list[Tokens] = Field(default=[512], min_length=1)
    documents: int = Field(default=16, ge=1)
    kinds: Annotated[dict[DocumentKind, Weight], AfterValidator(some_weight)] = Field(
        default={"passkey": 1.0}, min_length=1
    )
    digits: list[Digits] = Field(default=[5], min_length=1)
    max_facts: int = Field(default=1, ge=1)
    gists: list[Gists] = Field(default=[])
    every_steps: int = Field(default=200, ge=1)
    seed: Seed = 0

    def mixture(self, corpus: dict[Language, list[str]]) -> MixtureConfig:
        """Return the configuration of documents with needles in a corpus."""
        return MixtureConfig(
            corpus=corpus,
            corpus_characters=self.corpus_characters,
            documents=self.kinds,
            digits=self.digits,
            max_facts=self.max_facts,
            tokens_per_fact=24,
        )


class Probe(TrainerCallback):
    """Asks the questions of the fixed documents and logs the share of exactly right answers.

    Answers are teacher-forced: greedy decoding would give the same verdict, but takes more than one
    forward pass.

    Args:
        config: What to ask.
        frame: The prompt format.
        modes: What answers are conditioned on.
    """

    def __init__(self, config: ProbeConfig, frame: Frame, modes: Sequence[Condition]) -> None:
        """Sample the documents."""
        self.config, self.modes = config, tuple(modes)
        self.result: dict[str, Any] | None = None
        """The scores of the last probe."""
        self._new_scores: dict[str, float] = {}
        self._batches: list[tuple[int, QuestionBatch]] = []
        for language, paths in config.corpus.items():
            mixture = Mixture(config.mixture({language: paths}), frame.encoder)
            for length in config.tokens:
                rng = random.Random(f"probe/{config.seed}/{length}/{language}")
                for _ in range(config.documents):
                    batch = collate([mixture.sample(rng, length)], frame)
                    self._batches.append((length, batch))

    @torch.no_grad()
    def ask(self, model: ModelWithLoss) -> dict[str, Any]:
        """Ask all questions in every way.

        Returns:
            `documents`, `tokens`, and for each mode the share of right answers, over all lengths
            (`gist`) and per length (`gist_512`).
        """
        training = model.training
        model.eval()
        device = model.lm.device
        scores: dict[str, list[float]] = {}
        ways: list[tuple[str, Condition, int | None]] = [(mode, mode, None) for mode in self.modes]
        if "gist" in self.modes:
            ways += [(f"gist_of_{count}", "gist", count) for count in self.config.gists]
        for way, condition, count in ways:
            for length, batch in self._batches:
                moved = replace(batch.to(device), gists=count)
                logits = answers(model.lm, moved, condition)
                right = exactly_right(logits, moved.labels).float().mean().item()
                scores.setdefault(way, []).append(right)
                scores.setdefault(f"{way}_{length}", []).append(right)
        model.train(training)
        return {
            "documents": len(self._batches),
            "tokens": self.config.tokens,
            **{name: round(sum(found) / len(found), 4) for name, found in scores.items()},
        }

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: Any
    ) -> None:
        """Ask at the configured steps, in every process: sharded models need all of them."""
        if state.global_step % self.config.every_steps == 0 or state.global_step == state.max_steps:
            model = more["model"]
            found = self.result = self.ask(cast(ModelWithLoss, getattr(model, "module", model)))
            about = ("documents", "tokens")
            self._new_scores = {f"probe_{k}": v for k, v in found.items() if k not in about}
            control.should_log = True

    def new_scores(self) -> dict[str, float]:
        """Return the scores since the last call."""
        news, self._new_scores = self._new_scores, {}
        return news
