"""What all commands share: reading text, printing results, errors as one line and an exit code."""

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

# PEFT imports bitsandbytes wherever that is installed, which on some CPUs then advises to install a
# package that would fetch compiled code from a hub (backends/cpu/ops.py, 0.50.2).
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)


def say(text: str, style: str | None = None) -> None:
    """Print text as it is: brackets are no markup, and long lines stay whole."""
    out.print(harmless(text), style=style, markup=False, highlight=False, soft_wrap=True)


def say_answer(text: str) -> None:
    """Print an answer; of an empty one, an empty line and a remark on standard error."""
    if not text.strip():
        sys.stderr.write("(no answer)\n")
    say(text)


def warn(text: str) -> None:
    """Print a warning as one line on standard error."""
    sys.stderr.write("warning: " + harmless(" ".join(text.split())) + "\n")


def harmless(text: str) -> str:
    """Write control characters as escapes, so that no document or file steers the terminal."""
    return "".join(
        char if char in "\n\t" or unicodedata.category(char) != "Cc" else repr(char)[1:-1]
        for char in text
    )


def make_directory(path: Path) -> None:
    """Make sure that a directory for results is there.

    Raises:
        BadInputError: If it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInputError(
            f"cannot create directory {path}: {error.strerror}; choose another with --output-dir"
        ) from error


def show_json(value: dict[str, Any]) -> None:
    """Print one machine-readable object on standard output."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")


@contextmanager
def progress_bar(what: str, *, lines: bool = False) -> Iterator[Any]:
    """Show a bar on standard error; yields a function of (done, total, what is being done).

    Without a terminal nothing is shown, or, with `lines`, a line each time that something else is
    being done or it stands differently.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    # Without a terminal there is nothing to draw on: the bar would leave an empty line behind.
    hidden = not err.is_interactive
    with Progress(*columns, console=err, transient=True, disable=hidden) as bars:
        task = bars.add_task(what, total=None)
        bars.refresh()  # at once, not with the next tick of the clock

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
