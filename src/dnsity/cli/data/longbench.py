"""`dnsity data longbench`: download LongBench v1, or convert a task to example records."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dnsity.cli.console import say, show_json
from dnsity.cli.data.options import done
from dnsity.cli.options import Json
from dnsity.errors import BadInputError


def command(
    folder: Annotated[Path, typer.Option(help="Folder of the benchmark files.")],
    source: Annotated[
        Path | None,
        typer.Option(
            "--from", help="Folder or data.zip to copy the files from (default: the hub)."
        ),
    ] = None,
    task: Annotated[
        list[str] | None, typer.Option(help="Task to process (repeatable; default: all).")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="JSONL file to write one task to, as example records."),
    ] = None,
    json: Json = False,
) -> None:
    """Download LongBench, or convert a task.

    Intact files are not downloaded again.

    Example: dnsity data longbench --folder data/longbench --from downloads/data.zip

    Example: dnsity data longbench --folder data/longbench --task qasper -o qasper.jsonl
    """
    from dnsity.data.readers.longbench import fetch, load
    from dnsity.io.jsonl import write_records

    if output is None:
        states = fetch(folder, source, task or [])
        if json:
            show_json({"folder": str(folder), "files": states})
            return
        for name, state in states.items():
            say(f"{state:8}{name}")
        return
    if task is None or len(task) != 1:
        raise BadInputError("--output writes one task; name it with --task")
    count = write_records(output, (each.to_record() for each in load(folder, task[0])))
    done(json, output, {"documents": count})
