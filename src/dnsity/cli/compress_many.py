"""`dnsity compress DIR -o STORE`: a folder of text files to a folder of gist files."""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from dnsity.cli.console import err, harmless, progress_bar, say, show_json
from dnsity.cli.options import load_model
from dnsity.errors import BadInputError

if TYPE_CHECKING:
    import torch

    from dnsity.inference.files import Job, Outcome
    from dnsity.inference.loaded import LoadedModel
    from dnsity.inference.methods import Method

BATCH = 8


def compress_folder(
    directory: Path, store: Path, *, model: str, method: Method, device: str, workers: int,
    json: bool,
) -> None:  # fmt: skip
    """Compress what is not there yet, report, and end with an error if a file was skipped."""
    from dnsity.inference.compress import require_trained
    from dnsity.inference.files import is_done, jobs

    listed = jobs(directory, store)
    loaded = load_model(model, device).loaded
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
    make = partial(_in_processes, model, device, workers) if workers > 1 else _here
    with progress_bar("compressing") as progress, closing(make(loaded, todo, method)) as outcomes:
        for number, outcome in enumerate(outcomes, start=1):
            progress(number, len(todo))
            tokens += outcome.tokens
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


def _here(loaded: LoadedModel, todo: Sequence[Job], method: Method) -> Generator[Outcome]:
    from dnsity.inference.files import compress_files

    yield from compress_files(loaded, todo, method=method, batch_size=BATCH)


def _in_processes(
    model: str, device: str, workers: int, loaded: LoadedModel, todo: Sequence[Job], method: Method
) -> Generator[Outcome]:
    """Spread batches over processes, each with a model and its share of the cores."""
    from dnsity.data.workers import spread

    batches = [todo[first : first + BATCH] for first in range(0, len(todo), BATCH)]
    threads = max(1, (os.cpu_count() or 1) // workers)
    # All compute in one type: processes that measured it themselves could disagree.
    given = (model, device, loaded.lm.base.dtype, threads, method)
    with closing(
        spread(_work, batches, workers=workers, start=_start_worker, given=given)
    ) as results:
        for outcomes in results:
            yield from outcomes


_worker: tuple[LoadedModel, Method]
"""In a worker process: the model, and how it compresses."""


def _start_worker(
    model: str, device: str, dtype: torch.dtype, threads: int, method: Method
) -> None:
    import torch

    global _worker  # loaded once per process, not once per batch
    torch.set_num_threads(threads)
    _worker = load_model(model, device, dtype).loaded, method


def _work(batch: Sequence[Job]) -> list[Outcome]:
    loaded, method = _worker
    return list(_here(loaded, batch, method))
