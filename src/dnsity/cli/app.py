"""Wiring of the commands; `main` is the entry point."""

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
"""Until an interrupt that was dropped is sent again."""

app = typer.Typer(
    name="dnsity",
    help="Compress a long document into a few gist tokens; ask it any number of questions.",
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
def _of_every_command(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show versions and exit."),
    ] = False,
) -> None:
    """Options before the command."""


def main() -> None:
    """Run the command line; every failure is one line on standard error and an exit code."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # better an escape than no answer at all
        sys.stdout.reconfigure(errors="backslashreplace")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # Loading bars and advice of the libraries would bury our own one line.
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    warnings.filterwarnings("ignore", module="transformers|torch|peft")
    with _noting_interrupts() as interrupts:
        try:
            app()
        except (Exception, KeyboardInterrupt) as error:
            sys.exit(fail(KeyboardInterrupt() if interrupts else error))


@contextmanager
def _noting_interrupts() -> Iterator[list[int]]:
    """Note every Ctrl-C: libraries that are being imported turn it into errors of their own.

    Where Python cannot raise (a callback of a weak reference), it drops the interrupt and prints
    it; such a one is sent again, a moment later.
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
