"""`dnsity` in processes that start within milliseconds, so that tests can kill them at any moment.

They are forked from a server process that has imported all modules. Importing takes seconds, and
most kills would otherwise happen during imports.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, TypeVar

from running import Done

ReturnT = TypeVar("ReturnT")
_context = get_context("forkserver")
_context.set_forkserver_preload(
    [
        "dnsity.cli.app",
        "dnsity.inference.gist_model",
        "dnsity.inference.files",
        "dnsity.evaluation.runner",
        "dnsity.training.train_gist",
        "transformers.models.llama.modeling_llama",
    ]
)


@dataclass(frozen=True)
class Running:
    """A running process; its output goes to files."""

    process: BaseProcess
    out: Path
    err: Path

    def wait(self) -> Done:
        """Wait until the process ends; the exit code is negative if a signal ended it."""
        self.process.join(120)
        assert self.process.exitcode is not None, "still running after two minutes"
        return Done(
            self.process.exitcode,
            self.out.read_text("utf-8", errors="replace"),
            self.err.read_text("utf-8", errors="replace"),
        )

    def signal(self, number: int, after_s: float) -> Done:
        """Send a signal after `after_s` seconds, unless the process has ended by then."""
        end = time.monotonic() + after_s
        while (left := end - time.monotonic()) > 0 and self.process.is_alive():
            self.process.join(left)
        if self.process.is_alive() and self.process.pid is not None:
            os.kill(self.process.pid, number)
        return self.wait()


def start(folder: Path, *arguments: object, limits: dict[int, int] | None = None) -> Running:
    """Start `dnsity ARGUMENTS`.

    Args:
        folder: Directory for its output.
        arguments: Arguments of the command line.
        limits: Resource limits (`resource.RLIMIT_FSIZE`, ...) to set in the process.
    """
    out, err = folder / "out", folder / "err"
    # Truncated here, so that a process killed at its start does not leave earlier output.
    out.write_bytes(b"")
    err.write_bytes(b"")
    argv = ["dnsity", *map(str, arguments)]
    process = _context.Process(target=_main, args=(argv, str(out), str(err), limits or {}))
    process.start()
    return Running(process, out, err)


def call(function: Callable[..., ReturnT], *arguments: Any) -> ReturnT:
    """Call a function of a module in a separate process."""
    with ProcessPoolExecutor(1, mp_context=_context) as pool:
        return pool.submit(function, *arguments).result(120)


def _main(argv: list[str], out: str, err: str, limits: dict[int, Any]) -> None:
    """Run the entry point of `[project.scripts]` in this process."""
    import resource
    import signal

    import torch

    for number, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_TRUNC), number)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # the server ignores it
    for limit, value in limits.items():
        resource.setrlimit(limit, (value, value))
    torch.set_num_threads(1)
    sys.argv = argv
    from dnsity.cli.app import main
    from dnsity.inference import hardware

    # As in all tests: processes of one test compute in one type, however busy the machine is.
    vars(hardware)["cpu_speeds"] = lambda: hardware.Speeds(1.0, 2.0)
    try:
        main()
    finally:  # the command has ended; what follows is multiprocessing's own end
        signal.signal(signal.SIGINT, signal.SIG_IGN)
