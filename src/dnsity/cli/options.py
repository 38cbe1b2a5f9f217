"""Options that several commands share, and loading the model they name."""

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
        "--model", "-m", help="Name (mini, smollm2), directory, .gguf file or hub id of a model."
    ),
]
GistsModel = Annotated[
    str | None,
    typer.Option("--model", "-m", help="Model that made the gist (default: as named in the gist)."),
]
FrameOption = Annotated[
    FrameName,
    typer.Option(
        "--frame",
        help="Prompt format of a base model: chat (its chat template), plain, or auto (chat if it "
        "has a template).",
    ),
]
System = Annotated[
    str | None, typer.Option(help="System prompt (default: that of the chat template).")
]
Instruction = Annotated[
    str | None, typer.Option(help="Text between document and question (default: none).")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]
MOST = 1_000_000_000
"""Largest count that the command line accepts."""
MOST_JOBS = 256
"""Largest number of processes."""
Device = Annotated[str, typer.Option(help="Device: cpu, cuda, cuda:1, mps.")]
ConfigFile = Annotated[Path, typer.Option("--config", help="YAML configuration file.")]
OutputDir = Annotated[Path, typer.Option("--output-dir", help="Directory for the results.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", help="Override a setting, for example training.seed=1 (repeatable)."),
]

TokenizerOf = Annotated[
    str,
    typer.Option("--tokenizer", help="Model whose tokenizer counts tokens; same names as --model."),
]


def positive(value: float | None) -> float | None:
    """Refuse NaN and numbers out of range; typer's own range accepts NaN."""
    if value is not None and not 1e-3 <= value <= MOST:
        raise typer.BadParameter(f"{value} is not a number from 0.001 to {MOST}")
    return value


def load_encoder(name: str) -> TextEncoder:
    """Load only the tokenizer of a model.

    Raises:
        BadInputError: If the model has no tokenizer.
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
    """Load a gist model, or a base model without trained gists.

    Args:
        name: Name, directory, file or hub id of the model.
        device: Where to run.
        dtype: Compute type (default: the faster one, see `compute_type`).
        frame: Prompt format of a base model, see `GistSpec`. A gist model has its trained one.
        system: System prompt of a base model in the chat format.
        instruction: Text between document and question in the chat format.

    Raises:
        BadInputError: If the model or the device does not exist, or if a prompt format is given
            for a gist model.
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
                f"{name} is a gist model and keeps the frame it was trained in; omit --frame, "
                "--system and --instruction"
            )
        return GistModel.from_pretrained(name, device=device, dtype=dtype)
    return GistModel.from_base(
        name, device=device, dtype=dtype, frame=frame, system=system, instruction=instruction
    )


def load_model_of(gist: GistCache, name: str | None, device: str) -> GistModel:
    """Load the model that answers from a gist, with the prompt format of the gist.

    Args:
        gist: The gist.
        name: Name of the model; None is the model named in the gist.
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
    """Turn off the progress bars that transformers shows while it loads a model."""
    from transformers.utils import logging

    logging.disable_progress_bar()
