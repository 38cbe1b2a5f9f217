"""Wiring of the commands; `main` is the entry point."""

from __future__ import annotations

import io
import os
import sys
import warnings

import typer

from dnsity.cli import (
    ask,
    bench,
    compress,
    data,
    demo,
    doctor,
    evaluate,
    exchange,
    inspect,
    report,
    runs,
    train,
)
from dnsity.cli.console import fail

app = typer.Typer(
    name="dnsity",
    help="Compress a long document into a few gist tokens; ask it any number of questions.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("compress")(compress.command)
app.command("ask")(ask.command)
app.command("inspect")(inspect.inspect)
app.command("verify")(inspect.verify)
app.command("export")(exchange.export)
app.command("import")(exchange.import_)
app.command("doctor")(doctor.command)
app.command("demo")(demo.command)
app.command("pretrain")(train.pretrain)
app.command("train")(train.train)
app.command("eval")(evaluate.command)
app.command("bench")(bench.command)
app.command("report")(report.command)
app.add_typer(data.app, name="data")
app.add_typer(runs.app, name="runs")


def main() -> None:
    """Run the command line; every failure is one line on standard error and an exit code."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # better an escape than no answer at all
        sys.stdout.reconfigure(errors="backslashreplace")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # Loading bars and advice of the libraries would bury our own one line.
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    warnings.filterwarnings("ignore", module="transformers|torch|peft")
    try:
        app()
    except (Exception, KeyboardInterrupt) as error:
        sys.exit(fail(error))
