"""Output of all commands: results, progress bars, and errors as one line and an exit code."""

from __future__ import annotations

import json
import logging
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from dnsity.errors import BadInputError, DnsityError

out = Console(emoji=False)
err = Console(stderr=True, emoji=False)

# PEFT imports bitsandbytes if it is installed. On some CPUs bitsandbytes then advises installing a
# package that would download compiled code from a hub (backends/cpu/ops.py, 0.50.2).
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)


def say(text: str, style: str | None = None) -> None:
    """Print text verbatim: without markup, and without wrapping long lines."""
    out.print(harmless(text), style=style, markup=False, highlight=False, soft_wrap=True)


def say_answer(text: str) -> None:
    """Print an answer; an empty one is noted on standard error as well."""
    if not text.strip():
        sys.stderr.write("(no answer)\n")
    say(text)


def warn(text: str) -> None:
    """Print a warning as one line on standard error."""
    sys.stderr.write("warning: " + harmless(" ".join(text.split())) + "\n")


def harmless(text: str) -> str:
    """Escape control characters, so that no document or file controls the terminal."""
    return "".join(
        char if char in "\n\t" or unicodedata.category(char) != "Cc" else repr(char)[1:-1]
        for char in text
    )


def make_directory(path: Path) -> None:
    """Create a directory for results, unless it exists.

    Raises:
        BadInputError: If it cannot be created.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInputError(
            f"cannot create directory {path}: {error.strerror}; choose another with --output-dir"
        ) from error


def show_json(value: dict[str, Any]) -> None:
    """Print one JSON object on standard output."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")


@contextmanager
def progress_bar(what: str, *, lines: bool = False) -> Iterator[Any]:
    """Show a progress bar on standard error; yields a function of (done, total, description).

    Without a terminal nothing is shown; with `lines`, one line each time the description changes.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    # Without a terminal the bar would print an empty line.
    hidden = not err.is_interactive
    with Progress(*columns, console=err, transient=True, disable=hidden) as bars:
        task = bars.add_task(what, total=None)
        bars.refresh()  # shows the bar at once, not at the next tick

        said = what

        def update(done: int, total: int | None, now: str = what) -> None:
            nonlocal said
            if lines and hidden and now != said:
                err.print(f"{done}/{total} {now}", markup=False, highlight=False, soft_wrap=True)
                said = now
            bars.update(task, completed=done, total=total, description=now)

        yield update


def fail(error: BaseException) -> int:
    """Print an error as one line on standard error and return the exit code."""
    if isinstance(error, KeyboardInterrupt):
        sys.stderr.write("stopped\n")
        return 130
    if isinstance(error, DnsityError):
        message, code = str(error), error.exit_code
    else:
        message, code = f"{type(error).__name__}: {error} (a defect; please report it)", 1
    sys.stderr.write("error: " + harmless(" ".join(message.split())) + "\n")
    return code
