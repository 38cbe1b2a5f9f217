"""One training run: what pretraining and gist training have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from pydantic import BaseModel

from dnsity.config import manifest, write_json
from dnsity.data.encode import TextEncoder
from dnsity.data.mixture import Mixture, MixtureConfig
from dnsity.model import backbone
from dnsity.training.batches import Batches
from dnsity.training.curriculum import Curriculum, Stage
from dnsity.training.gradients import require_gradients
from dnsity.training.passes import Passes
from dnsity.training.probe import Probe, ProbeConfig
from dnsity.training.runs import MANIFEST, RESULT
from dnsity.training.settings import Settings, training_arguments
from dnsity.training.trainer import GistTrainer


def begin(config: BaseModel, settings: Settings, output_dir: Path) -> dict[str, Any]:
    """Make the directory, write the manifest into it (one process does) and set the seed."""
    described = manifest(config, settings.seed)
    if PartialState(cpu=not torch.cuda.is_available()).is_main_process:
        output_dir.mkdir(parents=True, exist_ok=True)
        write_json(output_dir / MANIFEST, described)
    torch.manual_seed(settings.seed)
    return described


def run(
    passes: Passes,
    encoder: TextEncoder,
    output_dir: Path,
    *,
    data: MixtureConfig,
    stages: list[Stage],
    settings: Settings,
    probe: ProbeConfig | None,
    resume: bool,
) -> GistTrainer:
    """Train, probe, and write `result.json`.

    Args:
        passes: What is trained.
        encoder: Text to ids.
        output_dir: Where checkpoints, metrics and the result go.
        data: Training documents.
        stages: The curriculum.
        settings: The optimiser.
        probe: What to ask on the way, if anything.
        resume: Continue from the newest checkpoint in `output_dir`.

    Returns:
        The trainer, its model trained.
    """
    template = passes.lm.spec.question_template
    batches = Batches(Mixture(data, encoder), encoder, Curriculum(stages), template, settings)
    if settings.checkpointing:
        backbone.enable_checkpointing(passes.lm.base)
    gist_stages = [stage for stage in stages if "gist" in stage.share]
    asker = None
    if probe is not None:
        modes = ("gist", "full", "none") if gist_stages else ("full", "none")
        asker = Probe(probe, encoder, template, modes)
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
