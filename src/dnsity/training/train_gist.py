"""Train gists: `python -m dnsity.training.train_gist --config FILE --output-dir DIR`."""

from __future__ import annotations

from pathlib import Path

import torch
from pydantic import Field, model_validator
from transformers import PreTrainedTokenizerBase

from dnsity.config import Config, manifest, write_json
from dnsity.data.encode import TextEncoder
from dnsity.data.mixture import Mixture, MixtureConfig
from dnsity.errors import BadInputError
from dnsity.gist.spec import GistSpec
from dnsity.model import checkpoint
from dnsity.model.base import load_base
from dnsity.model.card import model_card
from dnsity.model.gist_lm import GistLM
from dnsity.training.batches import Batches
from dnsity.training.curriculum import Curriculum, Stage
from dnsity.training.gradients import require_gradients
from dnsity.training.settings import Settings, training_arguments
from dnsity.training.trainer import GistTrainer


class LoraSettings(Config):
    """The adapter, for every scope but `full`."""

    rank: int = Field(default=32, ge=1)
    alpha: int = Field(default=64, ge=1)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    target_modules: str | list[str] = "all-linear"


class TrainConfig(Config):
    """One gist training run.

    Attributes:
        base: Directory or hub id of the base model; or a gist model, whose training goes on.
        gist: What to train.
        chat: Ask in the base's chat template instead of the `gist` section's `question_template`.
        lora: The adapter; leave out for scope `full`.
        data: Training documents.
        stages: The curriculum.
        training: The optimiser.
    """

    base: str
    gist: GistSpec
    chat: bool = False
    lora: LoraSettings | None = None
    data: MixtureConfig
    stages: list[Stage] = Field(min_length=1)
    training: Settings

    @model_validator(mode="after")
    def _draws_gists_it_has(self) -> TrainConfig:
        drawn = {count for stage in self.stages for count in stage.gists or ()}
        if not all(1 <= count <= self.gist.gists for count in drawn):
            raise ValueError(
                f"stages draw {sorted(drawn)} gists, allowed are 1 to gist.gists={self.gist.gists}"
            )
        return self


def starting_point(config: TrainConfig) -> tuple[GistLM, PreTrainedTokenizerBase, str]:
    """Build a new gist model on a base, or load the gist model that is to be trained further.

    Returns:
        The model, its tokenizer and the name of its base.

    Raises:
        BadInputError: If the gist model to go on with compresses in another way.
    """
    if (Path(config.base) / checkpoint.CONFIG_FILE).exists():
        model, tokenizer, base_name = checkpoint.load(config.base)
        wanted = _spec(config, tokenizer)
        if model.spec != wanted:
            raise BadInputError(
                f"{config.base} was trained with {model.spec}, the configuration asks for "
                f"{wanted}; make the `gist` section equal or start from its base"
            )
        return model.train(), tokenizer, base_name
    base, tokenizer = load_base(config.base)
    lora = None
    if config.lora is not None:
        from peft import LoraConfig

        lora = LoraConfig(
            r=config.lora.rank,
            lora_alpha=config.lora.alpha,
            lora_dropout=config.lora.dropout,
            target_modules=config.lora.target_modules,
            task_type="CAUSAL_LM",
        )
    return GistLM(base, _spec(config, tokenizer), lora=lora), tokenizer, config.base


def _spec(config: TrainConfig, tokenizer: PreTrainedTokenizerBase) -> GistSpec:
    """Say how the model compresses, and in which frame it is asked."""
    if not config.chat:
        return config.gist
    template = TextEncoder(tokenizer).chat_template()
    return config.gist.model_copy(update={"question_template": template})


def train(config: TrainConfig, output_dir: Path, *, resume: bool = False) -> Path:
    """Train gists on a base model; write the gist model to `output_dir / "model"`.

    Args:
        config: The run.
        output_dir: Where checkpoints, history and the result go.
        resume: Continue from the newest checkpoint in `output_dir`.

    Returns:
        The directory of the gist model.
    """
    output_dir.mkdir(parents=True, exist_ok=True)
    described = manifest(config, config.training.seed)
    write_json(output_dir / "run.json", described)
    torch.manual_seed(config.training.seed)
    model, tokenizer, base_name = starting_point(config)
    encoder = TextEncoder(tokenizer)
    batches = Batches(
        Mixture(config.data, encoder),
        encoder,
        Curriculum(config.stages),
        model.spec.question_template,
        config.training.tokens_per_batch,
        config.training.seed,
        config.training.least_documents,
    )
    trainer = GistTrainer(model, training_arguments(config.training, output_dir), batches)
    gist_stages = [stage for stage in config.stages if "gist" in stage.share]
    if gist_stages:
        require_gradients(trainer, batches.of_mode("gist", gist_stages[0]))
    trainer.fit(resume=resume)
    target = output_dir / "model"
    checkpoint.save(
        model,
        tokenizer,
        target,
        base_name=base_name,
        card=model_card(model.spec, base_name, described),
        dtype=torch.bfloat16,
    )
    return target
