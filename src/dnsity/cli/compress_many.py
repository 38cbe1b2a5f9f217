"""`dnsity compress DIR -o STORE`: a folder of text files to a folder of gist files."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from dnsity.cli.console import err, harmless, progress_bar, say, show_json
from dnsity.cli.quality import warn_of_quality
from dnsity.errors import BadInputError

if TYPE_CHECKING:
    import torch

    from dnsity.inference.files import Job, Outcome
    from dnsity.inference.gist_model import GistModel
    from dnsity.inference.loaded import LoadedModel
    from dnsity.inference.methods import Method

BATCH = 8
Load: TypeAlias = "Callable[..., GistModel]"
"""Loads the model that compresses, in a type if one is given; worker processes call it, too."""


def compress_folder(
    directory: Path, store: Path, *, load: Load, method: Method, workers: int, json: bool,
    check: bool = False,
) -> None:  # fmt: skip
    """Compress what is not there yet, report, and end with an error if a file was skipped."""
    from dnsity.inference.compress import require_trained
    from dnsity.inference.files import is_done, jobs

    listed = jobs(directory, store)
    loaded = load().loaded
    require_trained(loaded, method)
    with progress_bar("looking what is done") as progress:
        todo = []
        for number, job in enumerate(listed, start=1):
            progress(number, len(listed))
            if not is_done(loaded, job, method):
                todo.append(job)
    err.print(
        f"{len(todo):,} of {len(listed):,} files to compress; if stopped, start it again to go on",
        highlight=False,
        soft_wrap=True,
    )
    started = time.perf_counter()
    tokens, skipped = 0, []
    make = partial(_in_processes, load, workers) if workers > 1 else _here
    below = 0
    with (
        progress_bar("compressing") as progress,
        closing(make(loaded, todo, method, check)) as outcomes,
    ):
        for number, outcome in enumerate(outcomes, start=1):
            progress(number, len(todo))
            tokens += outcome.tokens
            if outcome.info is not None:
                warn_of_quality(outcome.info, outcome.job.source.name)
                below += outcome.info.check is not None and not outcome.info.check.passed
            if outcome.error:
                skipped.append(outcome)
                err.print(harmless(f"skipped: {outcome.error}"), markup=False, soft_wrap=True)
    seconds = time.perf_counter() - started
    if json:
        show_json(
            {
                "compressed": len(todo) - len(skipped),
                "kept": len(listed) - len(todo),
                "skipped": [{"path": str(o.job.source), "error": o.error} for o in skipped],
                "below_floor": below,
                "context_tokens": tokens,
                "seconds": seconds,
                "path": str(store),
            }
        )
    else:
        say(
            f"{len(todo) - len(skipped):,} files compressed ({tokens:,} tokens, "
            f"{tokens / max(seconds, 1e-9):,.0f} a second), {len(listed) - len(todo):,} kept, "
            f"{len(skipped):,} skipped: {store}"
        )
    if skipped:
        raise BadInputError(f"{len(skipped)} of {len(listed)} files could not be compressed")


def _here(
    loaded: LoadedModel, todo: Sequence[Job], method: Method, check: bool
) -> Generator[Outcome]:
    from dnsity.inference.files import compress_files

    yield from compress_files(loaded, todo, method=method, batch_size=BATCH, check=check)


def _in_processes(
    load: Load, workers: int, loaded: LoadedModel, todo: Sequence[Job], method: Method, check: bool
) -> Generator[Outcome]:
    """Spread batches over processes, each with a model and its share of the cores."""
    from dnsity.data.workers import spread

    batches = [todo[first : first + BATCH] for first in range(0, len(todo), BATCH)]
    threads = max(1, (os.cpu_count() or 1) // workers)
    # All compute in one type: processes that measured it themselves could disagree.
    given = (load, loaded.lm.base.dtype, threads, method, check)
    with closing(
        spread(_work, batches, workers=workers, start=_start_worker, given=given)
    ) as results:
        for outcomes in results:
            yield from outcomes


_worker: tuple[LoadedModel, Method, bool]
"""In a worker process: the model, how it compresses, and whether answers are checked."""


def _start_worker(
    load: Load, dtype: torch.dtype, threads: int, method: Method, check: bool
) -> None:
    import torch

    global _worker  # loaded once per process, not once per batch
    torch.set_num_threads(threads)
    _worker = load(dtype).loaded, method, check


def _work(batch: Sequence[Job]) -> list[Outcome]:
    loaded, method, check = _worker
    return list(_here(loaded, batch, method, check))
