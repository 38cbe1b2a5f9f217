"""`dnsity runs`: tags for finished training runs."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from dnsity.cli.console import say, show_json
from dnsity.cli.options import Json

app = typer.Typer(help="Inspect finished training runs.", no_args_is_help=True)

Directory = Annotated[
    Path,
    typer.Argument(metavar="DIR", help="Output directory of a training run.", show_default=False),
]


@app.command("tag")
def tag(directory: Directory, json: Json = False) -> None:
    """Print the git tag of a finished run.

    The tag names the model and its scores. The command only prints it; no tag is created.

    Example: dnsity runs tag checkpoints/gist-25
    """
    from dnsity.training import finished_runs

    found = finished_runs.tag(directory)
    if json:
        show_json({**asdict(found), "command": found.command})
    else:
        say(found.command)
