"""The command line application; `main` is the entry point."""

from __future__ import annotations

import io
import os
import platform
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from threading import Timer
from types import FrameType
from typing import Annotated

import typer

from dnsity import __version__
from dnsity.cli import (
    ask,
    bench,
    chat,
    compress,
    data,
    demo,
    doctor,
    evaluate,
    exchange,
    inspect,
    models,
    report,
    results,
    runs,
    train,
)
from dnsity.cli.console import fail, say

_AGAIN_S = 0.01
"""Seconds before an interrupt that Python dropped is sent again."""

app = typer.Typer(
    name="dnsity",
    help="Compress a long document into a few gist tokens and answer questions from them.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command("compress")(compress.command)
app.command("ask")(ask.command)
app.command("chat")(chat.command)
app.command("inspect")(inspect.inspect)
app.command("verify")(inspect.verify)
app.command("export")(exchange.export)
app.command("import")(exchange.import_)
app.command("doctor")(doctor.command)
app.command("models")(models.command)
app.command("demo")(demo.command)
app.command("pretrain")(train.pretrain)
app.command("train")(train.train)
app.command("eval")(evaluate.command)
app.command("bench")(bench.command)
app.command("report")(report.command)
app.command("results")(results.command)
app.add_typer(data.app, name="data")
app.add_typer(runs.app, name="runs")


def _version(wanted: bool) -> None:
    if wanted:
        libraries = ("torch", "transformers", "peft")
        versions = ", ".join(f"{name} {metadata.version(name)}" for name in libraries)
        say(f"dnsity {__version__} (python {platform.python_version()}, {versions})")
        raise typer.Exit


@app.callback()
def _global_options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Print versions and exit."
        ),
    ] = False,
) -> None:
    """Take the options that precede the command."""


def main() -> None:
    """Run the command line; report a failure as one line on standard error and an exit code."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # escape what the terminal cannot encode
        sys.stdout.reconfigure(errors="backslashreplace")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # Progress bars and advice of the libraries would hide the one line that dnsity prints.
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    warnings.filterwarnings("ignore", module="transformers|torch|peft")
    with _record_interrupts() as interrupts:
        try:
            app()
        except (Exception, KeyboardInterrupt) as error:
            sys.exit(fail(KeyboardInterrupt() if interrupts else error))


@contextmanager
def _record_interrupts() -> Iterator[list[int]]:
    """Record every Ctrl-C, since libraries turn it into other errors while they are imported.

    Python drops an interrupt where it cannot raise one, for example in the callback of a weak
    reference. Such an interrupt is sent again after a short delay.
    """
    noted: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        noted.append(number)
        raise KeyboardInterrupt

    def dropped(unraisable: sys.UnraisableHookArgs) -> None:
        if unraisable.exc_type is not KeyboardInterrupt:
            reported(unraisable)
            return
        again = Timer(_AGAIN_S, os.kill, (os.getpid(), signal.SIGINT))
        again.daemon = True
        again.start()

    before, reported = signal.signal(signal.SIGINT, stop), sys.unraisablehook
    sys.unraisablehook = dropped
    try:
        yield noted
    finally:
        sys.unraisablehook = reported
        signal.signal(signal.SIGINT, before)
