"""`dnsity runs`: what finished runs are called."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from dnsity.cli.console import say, show_json
from dnsity.cli.options import Json

app = typer.Typer(help="Look at finished training runs.", no_args_is_help=True)

Directory = Annotated[
    Path, typer.Argument(metavar="DIR", help="A run's --output-dir.", show_default=False)
]


@app.command("tag")
def tag(directory: Directory, json: Json = False) -> None:
    """Print the git tag of a finished run.

    It is named by what was measured; nothing is tagged.

    Example: dnsity runs tag checkpoints/gist-25
    """
    from dnsity.training import runs

    found = runs.tag(directory)
    if json:
        show_json({**asdict(found), "command": found.command})
    else:
        say(found.command)
