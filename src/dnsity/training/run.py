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
from dnsity.model import backbone
from dnsity.model.positions import require_shift_invariant
from dnsity.training.batches import Batches
from dnsity.training.curriculum import Curriculum, Stage
from dnsity.training.gradients import require_gradients
from dnsity.training.passes import Passes
from dnsity.training.probe import Probe, ProbeConfig
from dnsity.training.runs import MANIFEST, RESULT
from dnsity.training.settings import Settings, training_arguments
from dnsity.training.trainer import GistTrainer


class RunConfig(Protocol):
    """What both kinds of configuration say of a run."""

    @property
    def data(self) -> MixtureConfig:
        """Training documents."""

    @property
    def stages(self) -> list[Stage]:
        """The curriculum."""

    @property
    def probe(self) -> ProbeConfig | None:
        """Held-out documents to ask while training, if any."""

    @property
    def training(self) -> Settings:
        """The optimiser."""


def begin(config: BaseModel, seed: int, output_dir: Path, *, resume: bool) -> dict[str, Any]:
    """Make the directory, write the manifest into it (one process does) and set the seed.

    Raises:
        BadInputError: If the directory holds an earlier run that is not to be resumed.
    """
    if not resume and any(output_dir.glob(f"{PREFIX_CHECKPOINT_DIR}-*")):
        raise BadInputError(
            f"{output_dir} holds checkpoints of an earlier run; go on with it (--resume) or choose "
            "another --output-dir"
        )
    described = manifest(config, seed)
    if PartialState(cpu=not torch.cuda.is_available()).is_main_process:
        output_dir.mkdir(parents=True, exist_ok=True)
        write_json(output_dir / MANIFEST, described)
    torch.manual_seed(seed)
    return described


def run(
    passes: Passes,
    encoder: TextEncoder,
    config: RunConfig,
    output_dir: Path,
    *,
    resume: bool,
) -> GistTrainer:
    """Train, probe, and write `result.json`.

    Args:
        passes: What is trained.
        encoder: Text to ids.
        config: The run.
        output_dir: Where checkpoints, metrics and the result go.
        resume: Continue from the newest checkpoint in `output_dir`.

    Returns:
        The trainer, its model trained.
    """
    require_shift_invariant(passes.lm.base)
    frame = frame_of(encoder, passes.lm.spec)
    stages, settings = config.stages, config.training
    batches = Batches(Mixture(config.data, encoder), Curriculum(stages), frame, settings)
    if settings.checkpointing:
        backbone.enable_checkpointing(passes.lm.base)
    gist_stages = [stage for stage in stages if "gist" in stage.share]
    asker = None
    if config.probe is not None:
        modes = ("gist", "full", "none") if gist_stages else ("full", "none")
        asker = Probe(config.probe, frame, modes)
    args = training_arguments(
        settings,
        output_dir,
        # Only mode `gist` uses the gist rows.
        ddp_find_unused_parameters=any(set(stage.share) != {"gist"} for stage in stages),
    )
    trainer = GistTrainer(passes, args, batches, asker)
    if gist_stages:
        require_gradients(trainer, batches.of_mode("gist", gist_stages[0]))
    trainer.fit(resume=resume)
    if asker is not None and asker.result is None:  # read back, not trained
        asker.result = asker.ask(passes)
    result: dict[str, Any] = {
        "step": settings.steps,
        "tokens": trainer.run.tokens,
        "seconds": round(trainer.run.seconds, 1),
        "probe": asker.result if asker else None,
    }
    if trainer.args.should_save:
        write_json(output_dir / RESULT, result)
    return trainer
