"""One training run: what pretraining and gist training have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import torch
from accelerate import PartialState
from pydantic import BaseModel
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from dnsity.data.encode import TextEncoder
from dnsity.data.generators.mixture import Mixture, MixtureConfig
from dnsity.data.text.frame import frame_of
from dnsity.errors import BadInputError
from dnsity.io.atomic import write_json
from dnsity.io.provenance import manifest
from dnsity.model.positions import require_shift_invariant
from dnsity.training.answers import Condition
from dnsity.training.batches import Batches
from dnsity.training.curriculum import Curriculum, Stage
from dnsity.training.finished_runs import MANIFEST, RESULT
from dnsity.training.gradients import require_gradients
from dnsity.training.model_with_loss import ModelWithLoss
from dnsity.training.probe import Probe, ProbeConfig
from dnsity.training.settings import Settings, training_arguments
from dnsity.training.trainer import GistTrainer


class RunConfig(Protocol):
    """The part of a configuration that pretraining and gist training share."""

    @property
    def data(self) -> MixtureConfig:
        """Training documents."""

    @property
    def stages(self) -> list[Stage]:
        """The curriculum."""

    @property
    def probe(self) -> ProbeConfig | None:
        """Held-out documents whose questions are asked during training, if any."""

    @property
    def training(self) -> Settings:
        """The optimiser."""


def begin(config: BaseModel, seed: int, output_dir: Path, *, resume: bool) -> dict[str, Any]:
    """Create the directory, write the manifest to it (in one process) and set the random seed.

    Raises:
        BadInputError: If the directory contains an earlier run and `resume` is not set.
    """
    if not resume and any(output_dir.glob(f"{PREFIX_CHECKPOINT_DIR}-*")):
        raise BadInputError(
            f"{output_dir} contains checkpoints of an earlier run; resume it (--resume) or choose "
            "another --output-dir"
        )
    described = manifest(config, seed)
    if PartialState(cpu=not torch.cuda.is_available()).is_main_process:
        output_dir.mkdir(parents=True, exist_ok=True)
        write_json(output_dir / MANIFEST, described)
    torch.manual_seed(seed)
    return described


def run(
    model: ModelWithLoss,
    encoder: TextEncoder,
    config: RunConfig,
    output_dir: Path,
    *,
    resume: bool,
) -> GistTrainer:
    """Train, probe, and write `result.json`.

    Args:
        model: The model to train, with its objective.
        encoder: Encodes text to ids.
        config: The run.
        output_dir: Directory of checkpoints, metrics and the result.
        resume: Resume from the newest checkpoint in `output_dir`.

    Returns:
        The trainer with the trained model.
    """
    require_shift_invariant(model.lm.base)
    frame = frame_of(encoder, model.lm.spec)
    stages, settings = config.stages, config.training
    batches = Batches(Mixture(config.data, encoder), Curriculum(stages), frame, settings)
    if settings.checkpointing:
        model.lm.enable_checkpointing()
    gist_stages = [stage for stage in stages if "gist" in stage.share]
    probe = None
    if config.probe is not None:
        modes: tuple[Condition, ...] = ("full", "none")
        probe = Probe(config.probe, frame, ("gist", *modes) if gist_stages else modes)
    args = training_arguments(
        settings,
        output_dir,
        # Only mode `gist` uses the gist rows.
        ddp_find_unused_parameters=any(set(stage.share) != {"gist"} for stage in stages),
    )
    trainer = GistTrainer(model, args, batches, probe)
    if gist_stages:
        require_gradients(trainer, batches.of_mode("gist", gist_stages[0]))
    trainer.fit(resume=resume)
    if probe is not None and probe.result is None:  # a finished run that was only loaded
        probe.result = probe.ask(model)
    result: dict[str, Any] = {
        "step": settings.steps,
        "tokens": trainer.run.tokens,
        "seconds": round(trainer.run.seconds, 1),
        "probe": probe.result if probe else None,
    }
    if trainer.args.should_save:
        write_json(output_dir / RESULT, result)
    return trainer
