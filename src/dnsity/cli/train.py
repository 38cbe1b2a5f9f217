"""`dnsity pretrain` and `dnsity train`: resumable training runs from a YAML file."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from dnsity.cli.console import err, make_directory, say, show_json
from dnsity.cli.options import ConfigFile, Json, OutputDir, Overrides, positive
from dnsity.config import load
from dnsity.errors import BadInputError

Resume = Annotated[bool, typer.Option("--resume", help="Resume from the newest checkpoint.")]


def pretrain(
    config: ConfigFile, output_dir: OutputDir, overrides: Overrides = None, resume: Resume = False
) -> None:
    """Train a small base model from scratch.

    Trains its tokenizer, then the model on prose and on questions about documents.

    Example: dnsity pretrain --config pretrain.yaml --output-dir base
    """
    from dnsity.training.pretrain import PretrainConfig
    from dnsity.training.pretrain import pretrain as run

    settings = load(config, PretrainConfig, overrides or [])
    make_directory(output_dir)
    path = run(settings, output_dir, resume=resume)
    err.print(f"base model in {path}", markup=False, highlight=False, soft_wrap=True)


def train(
    config: ConfigFile,
    output_dir: OutputDir,
    overrides: Overrides = None,
    resume: Resume = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the estimated time and memory, and exit.")
    ] = False,
    gpu_teraflops: Annotated[
        float | None,
        typer.Option(
            help="Bfloat16 teraflops of the GPU to estimate for; needs --dry-run (default: this "
            "machine).",
            callback=positive,
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Train gist tokens on a base model.

    Example: dnsity train --config experiments/configs/smoke.yaml --output-dir checkpoints/smoke
    """
    from dnsity.training.estimate import estimate, lines
    from dnsity.training.finished_runs import read_result
    from dnsity.training.train_gist import TrainConfig
    from dnsity.training.train_gist import train as run

    settings = load(config, TrainConfig, overrides or [])
    first = os.environ.get("RANK", "0") == "0"  # only the first process measures and prints
    if gpu_teraflops is not None and not dry_run:
        raise BadInputError("--gpu-teraflops estimates for another machine; add --dry-run")
    if dry_run:
        found = estimate(settings, gpu_teraflops)
        if json:
            show_json(found.to_json())
        else:
            there = "this machine" if gpu_teraflops is None else f"{gpu_teraflops:g} teraflops"
            say("\n".join(lines(found, there)))
        return
    if first:
        estimated = "\n".join(lines(estimate(settings)))
        err.print(estimated, markup=False, highlight=False, soft_wrap=True)
    make_directory(output_dir)
    path = run(settings, output_dir, resume=resume)
    if not first:
        return
    if json:
        show_json({"model": str(path), **read_result(output_dir)})
    err.print(f"gist model in {path}", markup=False, highlight=False, soft_wrap=True)
