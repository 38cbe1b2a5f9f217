"""Options that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import torch

    from dnsity.data.encode import TextEncoder
    from dnsity.inference.gist_model import GistModel

Model = Annotated[
    str,
    typer.Option(
        "--model", "-m", help="'mini' (bundled), 'smollm2', a directory, a .gguf file or a hub id."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]
Device = Annotated[str, typer.Option(help="Where to run: cpu, cuda, cuda:1, mps.")]
ConfigFile = Annotated[Path, typer.Option("--config", help="YAML file of the run.")]
OutputDir = Annotated[Path, typer.Option("--output-dir", help="Where results go.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", help="Override a setting: training.seed=1 (repeatable)."),
]

TokenizerOf = Annotated[
    str,
    typer.Option("--tokenizer", help="Model whose tokens are counted; as --model."),
]


def load_encoder(name: str) -> TextEncoder:
    """Load the tokenizer of a model, without the model.

    Raises:
        BadInputError: If there is none.
    """
    from dnsity.data.encode import TextEncoder
    from dnsity.model.checkpoint import tokenizer_of

    return TextEncoder(tokenizer_of(name))


def load_model(name: str, device: str, dtype: torch.dtype | None = None) -> GistModel:
    """Load a gist model, or a base without gists, quietly.

    Args:
        name: Name of the model.
        device: Where to run.
        dtype: Compute type (default: the faster one, see `compute_type`).

    Raises:
        BadInputError: If the model or the device does not exist.
    """
    from dnsity.inference.gist_model import GistModel
    from dnsity.inference.hardware import compute_type, require_device
    from dnsity.model.checkpoint import is_plain_base

    quiet_loading()
    require_device(device)
    load = GistModel.from_base if is_plain_base(name) else GistModel.from_pretrained
    return load(name, device=device, dtype=dtype or compute_type(device, name))


def quiet_loading() -> None:
    """Keep the libraries' loading bars off standard error."""
    from transformers.utils import logging

    logging.disable_progress_bar()
