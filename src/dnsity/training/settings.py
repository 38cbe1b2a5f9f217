"""Optimiser settings, and the function that maps them to Hugging Face's TrainingArguments."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field, field_validator
from transformers import TrainingArguments
from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK

from dnsity.config import Config, Seed
from dnsity.errors import BadInputError
from dnsity.inference.hardware import bfloat16_is_fast

GistPath = Literal["two_pass", "masked"]


class Settings(Config):
    """How a run is optimised.

    Attributes:
        steps: Optimiser steps.
        tokens_per_step: Document tokens per optimiser step, over all processes.
        least_documents: Fewest documents of a step, however long they are: the gradient of two
            answers is mostly noise (docs/log.md).
        accumulation: Micro-batches per process and step. The loss is the mean over the step's
            answer tokens in any case.
        path: How gists are trained: `two_pass`, or `masked` (one sequence under the reference
            mask).
        checkpointing: Recompute layers in the backward pass: less memory, a third more time.
        learning_rate: Peak learning rate; the schedule is linear warm-up, constant, linear decay.
        warmup_steps: Steps of the warm-up.
        decay_share: Share of all steps in which the rate decays.
        final_rate_share: Last learning rate, as a share of the peak.
        weight_decay: Weight decay of AdamW.
        beta2: Decay of AdamW's second moment.
        bf16: bfloat16 autocast (weights stay float32); None: where the hardware supports it.
        seed: Random seed of the run.
        save_steps: Steps between checkpoints; the last two are kept.
        log_steps: Steps between log lines.
        report_to: Where metrics go in addition to `metrics.jsonl`: tensorboard, trackio, or any
            other integration of transformers.
    """

    steps: int = Field(ge=1)
    tokens_per_step: int = Field(default=2048, ge=1)
    least_documents: int = Field(default=1, ge=1)
    accumulation: int = Field(default=1, ge=1)
    path: GistPath = "two_pass"
    checkpointing: bool = False
    learning_rate: float = Field(default=1e-3, gt=0)
    warmup_steps: int = Field(default=100, ge=0)
    decay_share: float = Field(default=0.4, ge=0, le=1)
    final_rate_share: float = Field(default=0.03, ge=0, le=1)
    weight_decay: float = Field(default=0.01, ge=0)
    beta2: float = Field(default=0.95, gt=0, lt=1)
    bf16: bool | None = None
    seed: Seed = 0
    save_steps: int = Field(default=500, ge=1)
    log_steps: int = Field(default=50, ge=1)
    report_to: list[str] = Field(default=[])

    @field_validator("report_to")
    @classmethod
    def _are_integrations(cls, names: list[str]) -> list[str]:
        if unknown := sorted(set(names) - set(INTEGRATION_TO_CALLBACK)):
            raise ValueError(f"unknown {unknown}, allowed are {sorted(INTEGRATION_TO_CALLBACK)}")
        return names


def training_arguments(settings: Settings, output_dir: Path, **more: Any) -> TrainingArguments:
    """Map settings to TrainingArguments; `more` is passed on unchanged.

    Raises:
        BadInputError: If a package of `report_to` is not installed.
    """
    for name in settings.report_to:
        if find_spec(name) is None:
            raise BadInputError(
                f"training.report_to names {name}, which is not installed: pip install {name}, or "
                "leave it out (metrics.jsonl is written in any case)"
            )
    return TrainingArguments(
        output_dir=str(output_dir),
        max_steps=settings.steps,
        gradient_accumulation_steps=settings.accumulation,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="warmup_stable_decay",
        lr_scheduler_kwargs={
            "num_decay_steps": int(settings.steps * settings.decay_share),
            "min_lr_ratio": settings.final_rate_share,
            "decay_type": "linear",
        },
        warmup_steps=settings.warmup_steps,
        weight_decay=settings.weight_decay,
        adam_beta2=settings.beta2,
        bf16=bfloat16_is_fast() if settings.bf16 is None else settings.bf16,
        use_cpu=not torch.cuda.is_available(),
        seed=settings.seed,
        save_steps=settings.save_steps,
        save_total_limit=2,
        logging_steps=settings.log_steps,
        report_to=settings.report_to or "none",
        ignore_data_skip=True,  # batches are functions of their number, so none has to be skipped
        remove_unused_columns=False,
        accelerator_config={"dispatch_batches": False},
        **more,
    )
