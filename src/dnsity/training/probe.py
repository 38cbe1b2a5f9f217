"""Probes: a few fixed held-out documents, asked now and then while a run goes on.

Three ways to answer the same questions, so that a number can be read at all:

    gist   from the gists alone            what is trained (`gist_of_10`: from the first ten)
    full   from the document itself        what the base could do: the ceiling
    none   from nothing                    what can be guessed: the floor
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Annotated, Any, cast

import torch
from pydantic import AfterValidator, Field
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from dnsity.config import Config, Digits, Gists, Seed, Tokens, Weight, some_weight
from dnsity.data.collate import collate
from dnsity.data.example import Language
from dnsity.data.generators.mixture import DocumentKind, Mixture, MixtureConfig
from dnsity.data.text.frame import Frame
from dnsity.training.answers import answers
from dnsity.training.objective import exactly_right
from dnsity.training.passes import Passes


class ProbeConfig(Config):
    """Held-out documents that are asked during training.

    Attributes:
        corpus: Prose to hide needles in, of documents that `data.corpus` does not hold.
        corpus_characters: How much of each language to read.
        tokens: Document lengths.
        documents: Documents per language and length.
        kinds: Relative weight of each kind of document.
        digits: Lengths of passkeys and codes.
        max_facts: Most needles in a document, each of which is asked for.
        gists: Counts to ask with as well: the first so many gists alone.
        every_steps: Steps between probes; there is one at the end in any case.
        seed: Same seed, same documents.
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
        """Describe documents with needles in some of the corpus."""
        return MixtureConfig(
            corpus=corpus,
            corpus_characters=self.corpus_characters,
            documents=self.kinds,
            digits=self.digits,
            max_facts=self.max_facts,
            tokens_per_fact=24,
        )


class Probe(TrainerCallback):
    """Asks the fixed documents and logs the share of exactly right answers.

    Answers are teacher-forced: all tokens right is what greedy decoding would give, at the price of
    one forward pass.

    Args:
        config: What to ask.
        frame: How the model's prompts are laid out.
        modes: Ways to answer.
    """

    def __init__(self, config: ProbeConfig, frame: Frame, modes: Sequence[str]) -> None:
        """Draw the documents."""
        self.config, self.modes = config, tuple(modes)
        self.result: dict[str, Any] | None = None
        """What the last probe found."""
        self._news: dict[str, float] = {}
        self._batches: list[tuple[int, dict[str, Any]]] = []
        for language, paths in config.corpus.items():
            mixture = Mixture(config.mixture({language: paths}), frame.encoder)
            for length in config.tokens:
                rng = random.Random(f"probe/{config.seed}/{length}/{language}")
                for _ in range(config.documents):
                    drawn = collate([mixture.draw(rng, length)], frame)
                    self._batches.append((length, drawn))

    @torch.no_grad()
    def ask(self, passes: Passes) -> dict[str, Any]:
        """Ask every document in every way.

        Returns:
            `documents`, `tokens`, and for each mode the share of right answers, over all lengths
            (`gist`) and per length (`gist_512`).
        """
        training = passes.training
        passes.eval()
        device = passes.lm.device
        scores: dict[str, list[float]] = {}
        ways: list[tuple[str, str, int | None]] = [(mode, mode, None) for mode in self.modes]
        if "gist" in self.modes:
            ways += [(f"gist_of_{count}", "gist", count) for count in self.config.gists]
        for way, mode, count in ways:
            for length, batch in self._batches:
                there = {name: tensor.to(device) for name, tensor in batch.items()}
                logits = answers(passes.lm, {**there, "gists": count}, mode)
                right = exactly_right(logits, there["labels"]).float().mean().item()
                scores.setdefault(way, []).append(right)
                scores.setdefault(f"{way}_{length}", []).append(right)
        passes.train(training)
        return {
            "documents": len(self._batches),
            "tokens": self.config.tokens,
            **{name: round(sum(found) / len(found), 4) for name, found in scores.items()},
        }

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: Any
    ) -> None:
        """Ask when it is time; every process does, so that sharded models take part as a whole."""
        if state.global_step % self.config.every_steps == 0 or state.global_step == state.max_steps:
            model = more["model"]
            found = self.result = self.ask(cast(Passes, getattr(model, "module", model)))
            about = ("documents", "tokens")
            self._news = {f"probe_{k}": v for k, v in found.items() if k not in about}
            control.should_log = True

    def news(self) -> dict[str, float]:
        """Return what was found since this was last called."""
        news, self._news = self._news, {}
        return news
