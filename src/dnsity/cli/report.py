"""`dnsity report`: tables and plots of finished evaluation runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dnsity.cli.console import say, show_json
from dnsity.cli.options import Json

Runs = Annotated[
    list[Path],
    typer.Argument(
        metavar="DIR...",
        help="Directories of finished `dnsity eval` runs; several are compared in one report.",
        show_default=False,
    ),
]
ReportDir = Annotated[
    Path | None,
    typer.Option(
        "--output-dir", help="Directory for the report (default: report/ inside the first DIR)."
    ),
]


def command(directories: Runs, output_dir: ReportDir = None, json: Json = False) -> None:
    """Write tables and plots of evaluation runs.

    Example: dnsity report runs/eval
    """
    from dnsity.evaluation import report

    written = report.write(directories, output_dir or directories[0] / "report")
    if json:
        show_json(
            {
                "report": str(written.report),
                "data": str(written.data),
                "pictures": [str(path) for path in written.pictures],
            }
        )
    else:
        say(f"report: {written.report}")
        say(f"data: {written.data}")
        say(f"pictures: {len(written.pictures)} files in {written.report.parent}")
