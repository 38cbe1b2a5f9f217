"""`dnsity pretrain` and `dnsity train`: runs from a YAML file, resumable."""

from __future__ import annotations

from typing import Annotated

import typer

from dnsity.cli.console import err, make_directory
from dnsity.cli.options import ConfigFile, OutputDir, Overrides
from dnsity.config import load

Resume = Annotated[bool, typer.Option("--resume", help="Continue from the newest checkpoint.")]


def pretrain(
    config: ConfigFile, output_dir: OutputDir, overrides: Overrides = None, resume: Resume = False
) -> None:
    """Train a small base model from scratch (tokenizer, prose, retrieval)."""
    from dnsity.training.pretrain import PretrainConfig
    from dnsity.training.pretrain import pretrain as run

    settings = load(config, PretrainConfig, overrides or [])
    make_directory(output_dir)
    path = run(settings, output_dir, resume=resume)
    err.print(f"base model in {path}", markup=False, highlight=False, soft_wrap=True)


def train(
    config: ConfigFile, output_dir: OutputDir, overrides: Overrides = None, resume: Resume = False
) -> None:
    """Train gist tokens on a base model."""
    from dnsity.training.train_gist import TrainConfig
    from dnsity.training.train_gist import train as run

    settings = load(config, TrainConfig, overrides or [])
    make_directory(output_dir)
    path = run(settings, output_dir, resume=resume)
    err.print(f"gist model in {path}", markup=False, highlight=False, soft_wrap=True)
