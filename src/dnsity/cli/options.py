"""Options that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dnsity.errors import BadInputError
from dnsity.gist.spec import FrameName

if TYPE_CHECKING:
    import torch

    from dnsity.data.encode import TextEncoder
    from dnsity.inference.gist_cache import GistCache
    from dnsity.inference.gist_model import GistModel

Model = Annotated[
    str,
    typer.Option(
        "--model", "-m", help="'mini' (bundled), 'smollm2', a directory, a .gguf file or a hub id."
    ),
]
GistsModel = Annotated[
    str | None,
    typer.Option("--model", "-m", help="Model that made the gist (default: the one it names)."),
]
FrameOption = Annotated[
    FrameName,
    typer.Option(
        "--frame",
        help="Of a base: chat (its chat template), plain, or auto (chat where it has a template).",
    ),
]
System = Annotated[
    str | None, typer.Option(help="System prompt (default: what the chat template writes).")
]
Instruction = Annotated[
    str | None, typer.Option(help="Text between document and question (default: none).")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]
MOST = 1_000_000_000
"""Of any count on the command line."""
MOST_JOBS = 256
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


def positive(value: float | None) -> float | None:
    """Check a number of an option that is a quantity; typer lets NaN through any range."""
    if value is not None and not 1e-3 <= value <= MOST:
        raise typer.BadParameter(f"{value} is not a number from 0.001 to {MOST}")
    return value


def load_encoder(name: str) -> TextEncoder:
    """Load the tokenizer of a model, without the model.

    Raises:
        BadInputError: If there is none.
    """
    from dnsity.data.encode import TextEncoder
    from dnsity.model.checkpoint import tokenizer_of

    return TextEncoder(tokenizer_of(name))


def load_model(
    name: str,
    device: str,
    dtype: torch.dtype | None = None,
    *,
    frame: FrameName = "auto",
    system: str | None = None,
    instruction: str | None = None,
) -> GistModel:
    """Load a gist model, or a base without gists, quietly.

    Args:
        name: Name of the model.
        device: Where to run.
        dtype: Compute type (default: the faster one, see `compute_type`).
        frame: Frame of a base, see `GistSpec`; a gist model has the one it was trained in.
        system: System prompt of a base's chat frame.
        instruction: Text between document and question of a base's chat frame.

    Raises:
        BadInputError: If the model or the device does not exist, or a gist model is given a frame.
    """
    from dnsity.inference.gist_model import GistModel
    from dnsity.inference.hardware import compute_type, require_device
    from dnsity.model.checkpoint import is_plain_base

    quiet_loading()
    require_device(device)
    dtype = dtype or compute_type(device, name)
    if not is_plain_base(name):
        if (frame, system, instruction) != ("auto", None, None):
            raise BadInputError(
                f"{name} is a gist model and keeps the frame it was trained in; leave --frame, "
                "--system and --instruction out"
            )
        return GistModel.from_pretrained(name, device=device, dtype=dtype)
    return GistModel.from_base(
        name, device=device, dtype=dtype, frame=frame, system=system, instruction=instruction
    )


def load_model_of(gist: GistCache, name: str | None, device: str) -> GistModel:
    """Load the model to ask a gist with, in the frame the gist was made in.

    Args:
        gist: The gist.
        name: Name of the model; None: the one the gist names.
        device: Where to run.

    Raises:
        BadInputError: If the model or the device does not exist.
    """
    from dnsity.model.checkpoint import is_plain_base

    info = gist.info
    name = name or info.model
    if not is_plain_base(name):
        return load_model(name, device)
    return load_model(
        name, device, frame=info.frame, system=info.system, instruction=info.instruction
    )


def quiet_loading() -> None:
    """Keep the libraries' loading bars off standard error."""
    from transformers.utils import logging

    logging.disable_progress_bar()
