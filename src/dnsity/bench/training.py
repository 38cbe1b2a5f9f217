"""Costs of a training step: both gist paths and their alternatives, timed in turns.

    two_pass      compress each document once, ask all questions after its gists
    masked        document, gists and all questions as one masked sequence
    one_question  the same, with the document repeated for every question
    plain         language modelling of the document alone: the reference

A step is forward, backward and AdamW, on one document with several questions. A float32 base is
trained with all weights, any other with an adapter (LoRA on every linear layer), as users do.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from dnsity.bench.config import BenchConfig
from dnsity.bench.turns import in_turns
from dnsity.data.batch import IGNORE, QuestionBatch
from dnsity.inference.loaded import LoadedModel
from dnsity.model.gist_lm import GistLM
from dnsity.training.model_with_loss import ModelWithLoss

QUESTIONS, QUESTION_TOKENS, ANSWER_TOKENS = 8, 24, 8
_RANK = 32


def measure_training(config: BenchConfig, loaded: LoadedModel) -> list[dict[str, Any]]:
    """Time a training step of every kind at every length, and measure its peak memory.

    The model cannot be used afterwards: its weights have changed, or it has an adapter.

    Args:
        config: What to measure.
        loaded: A model of the shape.

    Returns:
        Per length and kind of step: `seconds`, `questions_per_second` (None for plain),
        `tokens_per_second` (all tokens of the step, the document once) and `peak_bytes`
        beyond weights and optimiser. All are None for a step that exceeds the device's memory.
    """
    if not config.train_tokens:
        return []
    lm = trainable(config, loaded.lm)
    if config.checkpointing:
        lm.enable_checkpointing()
    optimiser = torch.optim.AdamW([p for p in lm.parameters() if p.requires_grad])
    found = []
    for length in config.train_tokens:
        work = {name: partial(_step, optimiser, loss) for name, loss in losses(lm, length).items()}
        turns = in_turns(loaded, work, config.repeats)
        for name, fits in turns.results.items():
            taken = statistics.median(turns.seconds[name]) if fits else None
            asked = 0 if name == "plain" else QUESTIONS
            given = length + asked * (QUESTION_TOKENS + ANSWER_TOKENS)
            found.append(
                {
                    "step": name,
                    "tokens": length,
                    "questions": asked,
                    "seconds": taken,
                    "questions_per_second": asked / taken if taken and asked else None,
                    "tokens_per_second": given / taken if taken else None,
                    "peak_bytes": turns.peaks[name] if fits else None,
                }
            )
    return found


def trainable(config: BenchConfig, lm: GistLM) -> GistLM:
    """Return a gist model on the same base, prepared for training."""
    spec = lm.spec.model_copy(update={"gists": config.middle})
    if config.dtype == "float32" and config.quantization is None:
        return GistLM(lm.base.requires_grad_(True), spec).to(lm.device).train()
    from peft import LoraConfig

    lora = LoraConfig(r=_RANK, lora_alpha=2 * _RANK, target_modules="all-linear")
    adapted = spec.model_copy(update={"scope": "both"})
    return GistLM(lm.base, adapted, lora=lora).to(lm.device).train()


def losses(lm: GistLM, tokens: int) -> dict[str, Callable[[], torch.Tensor]]:
    """Return the loss of each kind of step, on one random document of this many tokens."""
    generator = torch.Generator().manual_seed(tokens)
    vocabulary = int(lm.base.config.get_text_config().vocab_size)

    def ids(*shape: int) -> torch.Tensor:
        return torch.randint(vocabulary, shape, generator=generator).to(lm.device)

    document, asked = ids(1, tokens), ids(QUESTIONS, QUESTION_TOKENS + ANSWER_TOKENS)
    labels = asked[:, -ANSWER_TOKENS - 1 :].clone()
    labels[:, 0] = IGNORE
    batch = QuestionBatch(
        mode="gist",
        head=(),
        document_ids=document,
        document_mask=torch.ones_like(document, dtype=torch.bool),
        input_ids=asked,
        attention_mask=torch.ones_like(asked, dtype=torch.bool),
        labels=labels,
        document_index=torch.zeros(QUESTIONS, dtype=torch.long, device=lm.device),
        scored=torch.ones(QUESTIONS, dtype=torch.bool, device=lm.device),
        sources=("",),
    )
    each = replace(
        batch,
        document_ids=document.expand(QUESTIONS, -1),
        document_mask=batch.document_mask.expand(QUESTIONS, -1),
        document_index=torch.arange(QUESTIONS, device=lm.device),
        sources=("",) * QUESTIONS,
    )
    two_pass, masked = ModelWithLoss(lm), ModelWithLoss(lm, path="masked")
    return {
        "two_pass": lambda: two_pass(batch).loss,
        "masked": lambda: masked(batch).loss,
        "one_question": lambda: masked(each).loss,
        "plain": lambda: lm.base(input_ids=document, labels=document, use_cache=False).loss,
    }


def _step(optimiser: torch.optim.Optimizer, loss: Callable[[], torch.Tensor]) -> bool:
    """Take a step; return False if memory is too small, so that the other steps still run."""
    try:
        loss().backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    except torch.OutOfMemoryError:
        return False
    finally:
        optimiser.zero_grad()
    return True
