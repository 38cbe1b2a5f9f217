"""Train gists: `python -m dnsity.training.train_gist --config FILE --output-dir DIR`.

The same as `dnsity train`. On several devices, `accelerate launch --multi_gpu -m dnsity train ...`.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field, model_validator
from transformers import PreTrainedTokenizerBase

from dnsity.config import Config
from dnsity.data.encode import TextEncoder
from dnsity.data.generators.mixture import MixtureConfig
from dnsity.errors import BadInputError
from dnsity.gist.spec import GistSpec
from dnsity.model import checkpoint
from dnsity.model.base import Quantization, load_base
from dnsity.model.card import model_card
from dnsity.model.fingerprint import fingerprints
from dnsity.model.gist_lm import GistLM
from dnsity.model.names import base_path
from dnsity.training.curriculum import Stage, require_records_used
from dnsity.training.model_with_loss import ModelWithLoss
from dnsity.training.objective import Objective
from dnsity.training.probe import ProbeConfig
from dnsity.training.run import begin, run
from dnsity.training.settings import Settings
from dnsity.training.teacher import Teacher


class LoraSettings(Config):
    """The adapter, for every scope except `full`."""

    rank: int = Field(default=32, ge=1)
    alpha: int = Field(default=64, ge=1)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    target_modules: str | list[str] = "all-linear"


class TrainConfig(Config):
    """One gist training run.

    Attributes:
        base: Directory or hub id of the base model, or `mini`, the bundled one; or the directory of
            a gist model that is trained further.
        dtype: Type of the base's weights; scope `full` needs float32.
        quantization: `nf4` stores a frozen base in 4 bit (QLoRA, Dettmers et al., 2305.14314).
        gist: How documents are compressed, and the prompt format.
        lora: The adapter; omit it for scope `full`.
        data: Training documents.
        stages: The curriculum.
        objective: What is minimised.
        probe: Held-out documents whose questions are asked during training; omit it for none.
        training: The optimiser.
    """

    base: str
    dtype: Literal["float32", "bfloat16"] = "float32"
    quantization: Quantization | None = None
    gist: GistSpec
    lora: LoraSettings | None = None
    data: MixtureConfig
    stages: list[Stage] = Field(min_length=1)
    objective: Objective = Objective()
    probe: ProbeConfig | None = None
    training: Settings

    @model_validator(mode="after")
    def _samples_gists_it_has(self) -> TrainConfig:
        sampled = {count for stage in self.stages for count in stage.gists or ()}
        asked = set(self.probe.gists) if self.probe else set()
        for section, counts in (("stages sample", sampled), ("probe asks with", asked)):
            if not all(1 <= count <= self.gist.gists for count in counts):
                raise ValueError(
                    f"{section} {sorted(counts)} gists, allowed are 1 to "
                    f"gist.gists={self.gist.gists}"
                )
        for window in {length for stage in self.stages for length in stage.windows or ()}:
            GistSpec.model_validate({**self.gist.model_dump(), "window_tokens": window})
        return self

    @model_validator(mode="after")
    def _trains_on_its_records(self) -> TrainConfig:
        require_records_used(self.data, self.stages)
        return self

    @model_validator(mode="after")
    def _can_be_trained_this_way(self) -> TrainConfig:
        scope = self.gist.scope
        if self.training.path == "masked" and scope not in ("full", "both"):
            raise ValueError(
                f"training.path 'masked' cannot express gist.scope {scope!r}, whose adapter acts "
                "on part of one sequence; use 'two_pass'"
            )
        if scope == "full" and self.objective.teacher_cache is not None:
            raise ValueError(
                "objective.teacher_cache needs a base that is not trained; gist.scope 'full' "
                "trains it"
            )
        if scope == "full" and (self.dtype != "float32" or self.quantization is not None):
            raise ValueError(
                "gist.scope 'full' trains all weights: dtype must be float32, without quantization"
            )
        if (scope == "full") != (self.lora is None):
            needs = "takes no lora section" if scope == "full" else "needs a lora section"
            raise ValueError(f"gist.scope {scope!r} {needs}")
        modes = {mode for stage in self.stages for mode in stage.share}
        if scope in ("gist", "document") and modes != {"gist"}:
            raise ValueError(
                f"stages train {sorted(modes - {'gist'})}, but with gist.scope {scope!r} only mode "
                "'gist' has weights to train: the base answers without the adapter"
            )
        return self


def starting_point(config: TrainConfig) -> tuple[GistLM, PreTrainedTokenizerBase, str]:
    """Build a new gist model on a base, or load the gist model to train further.

    Returns:
        The model, its tokenizer and the name of its base.

    Raises:
        BadInputError: If the gist model compresses in another way than configured.
    """
    dtype: torch.dtype = getattr(torch, config.dtype)
    if (Path(config.base) / checkpoint.CONFIG_FILE).exists():
        model, tokenizer, base_name = checkpoint.load(config.base, dtype=dtype)
        wanted = _spec(config, tokenizer)
        if model.spec != wanted:
            raise BadInputError(
                f"{config.base} was trained with {model.spec}, the configuration asks for "
                f"{wanted}; make the `gist` section equal or start from its base"
            )
        return model.train(), tokenizer, base_name
    base, tokenizer = load_base(
        base_path(config.base), dtype=dtype, quantization=config.quantization
    )
    model = GistLM(base, _spec(config, tokenizer), lora=lora_of(config))
    return model, tokenizer, config.base


def lora_of(config: TrainConfig) -> Any | None:
    """Return PEFT's configuration of the adapter; None for scope `full`."""
    if config.lora is None:
        return None
    from peft import LoraConfig

    return LoraConfig(
        r=config.lora.rank,
        lora_alpha=config.lora.alpha,
        lora_dropout=config.lora.dropout,
        target_modules=config.lora.target_modules,
        task_type="CAUSAL_LM",
    )


def _spec(config: TrainConfig, tokenizer: PreTrainedTokenizerBase) -> GistSpec:
    """Return how the model compresses, with the prompt format resolved."""
    return config.gist.settled(bool(tokenizer.chat_template))


def train(config: TrainConfig, output_dir: Path, *, resume: bool = False) -> Path:
    """Train gists on a base model; write the gist model to `output_dir / "model"`.

    Args:
        config: The run.
        output_dir: Directory of checkpoints, metrics and the result.
        resume: Resume from the newest checkpoint in `output_dir`.

    Returns:
        The directory of the gist model.

    Raises:
        BadInputError: If base, data or settings do not fit, or the directory contains another run.
        DivergedError: If loss or weights are not finite.
    """
    described = begin(config, config.training.seed, output_dir, resume=resume)
    model, tokenizer, base_name = starting_point(config)
    trained = ModelWithLoss(
        model, config.objective, config.training.path, _teacher(config, model, tokenizer)
    )
    trainer = run(trained, TextEncoder(tokenizer), config, output_dir, resume=resume)
    target = output_dir / "model"
    if trainer.args.should_save:
        checkpoint.save(
            trainer.unsharded(lambda: starting_point(config)[0]),
            tokenizer,
            target,
            base_name=base_name,
            card=model_card(model.spec, base_name, described),
            dtype=torch.bfloat16,
        )
    return target


def _teacher(
    config: TrainConfig, model: GistLM, tokenizer: PreTrainedTokenizerBase
) -> Teacher | None:
    """Build the teacher, if the objective needs one."""
    objective = config.objective
    if not objective.needs_teacher:
        return None
    cache = objective.teacher_cache
    identity = "" if cache is None else fingerprints(model, tokenizer)["weights"]
    return Teacher(model, objective.teacher_top, cache, identity)


if __name__ == "__main__":  # the command line is above this package: run it, do not import it
    sys.argv.insert(1, "train")
    runpy.run_module("dnsity", run_name="__main__")
