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
    from dnsity.inference.listing import LeftOut
    from dnsity.inference.loaded import LoadedModel
    from dnsity.inference.methods import Compressor

BATCH = 8
_MOST_IGNORED = 20
"""Maximum number of ignored files that are listed on standard error."""
Load: TypeAlias = "Callable[..., GistModel]"
"""Loads the model, in a compute type if one is given; worker processes call it as well."""


def compress_folder(
    directory: Path, store: Path, *, load: Load, method: Compressor, workers: int, json: bool,
    check: bool = False,
) -> None:  # fmt: skip
    """Compress texts without a current gist file, and report; skipped files end in an error."""
    from dnsity.data.readers.corpus import TEXT_SUFFIXES
    from dnsity.inference.files import NEW, reason_to_compress, survey
    from dnsity.inference.methods import require_trained

    if os.path.exists(store) and not os.path.isdir(store):
        raise BadInputError(f"{store} is a file; give a folder for the gists with -o FOLDER")
    listed, left = survey(directory, store)
    report = _Report(store, left)
    if not listed:
        report.show(json)
        raise BadInputError(f"no {' or '.join(TEXT_SUFFIXES)} file in {directory}")
    loaded = load().loaded
    require_trained(loaded, method)
    with progress_bar("comparing with the gist files") as progress:
        reasons: dict[Job, str] = {}
        for number, job in enumerate(listed, start=1):
            progress(number, len(listed))
            reason = reason_to_compress(loaded, job, method)
            if reason:
                reasons[job] = reason
    todo = list(reasons)
    loaded = _in_type_of(next((job for job in listed if job not in reasons), None), loaded, load)
    report.kept = len(listed) - len(todo)
    err.print(
        f"{len(todo):,} of {len(listed):,} files to compress; if stopped, start it again to resume",
        highlight=False,
        soft_wrap=True,
    )
    started = time.perf_counter()
    make = partial(_in_processes, load, workers) if workers > 1 else _in_this_process
    with (
        progress_bar("compressing") as progress,
        closing(make(loaded, todo, method, check)) as outcomes,
    ):
        for number, outcome in enumerate(outcomes, start=1):
            progress(number, len(todo))
            report.add(outcome, "" if reasons[outcome.job] == NEW else reasons[outcome.job])
            if outcome.info is not None:
                warn_of_quality(outcome.info, outcome.job.source.name)
                below = outcome.info.check is not None and not outcome.info.check.passed
                report.below_floor += below
    report.seconds = time.perf_counter() - started
    report.show(json)
    if report.skipped:
        total = len(listed) + sum(not each.expected for each in left)
        raise BadInputError(f"{len(report.skipped)} of {total} files could not be compressed")


def _in_type_of(kept: Job | None, loaded: LoadedModel, load: Load) -> LoadedModel:
    """Return the model in the compute type of the gists that are kept.

    The faster type is measured anew in every run, and the gists of one folder have one type.
    """
    from dnsity.inference.gist_cache import GistCache

    if kept is None:
        return loaded
    dtype = GistCache.load(kept.target).layers[0][0].dtype
    return loaded if dtype == loaded.lm.base.dtype else load(dtype).loaded


class _Report:
    """The result for every file of a folder.

    Args:
        store: Folder of the gist files.
        left: Files that cannot be compressed.
    """

    def __init__(self, store: Path, left: Sequence[LeftOut]) -> None:
        self.store = store
        self.compressed = self.kept = self.tokens = self.below_floor = 0
        self.seconds = 0.0
        self.skipped: list[tuple[Path, str]] = []
        self.ignored: list[tuple[Path, str]] = []
        self.replaced: list[tuple[Path, str]] = []
        for each in left:
            self._note("ignored" if each.expected else "skipped", each.path, each.reason)
        more = len(self.ignored) - _MOST_IGNORED
        if more > 0:
            err.print(f"ignored: {more:,} more, which --json lists", highlight=False)

    def add(self, outcome: Outcome, replaced: str) -> None:
        """Add the outcome of a job.

        Args:
            outcome: The outcome.
            replaced: Reason why an existing gist file was replaced; empty if there was none.
        """
        job = outcome.job
        if outcome.error:
            stale = f"; {job.target} stays as it was" if replaced else ""
            named = any(str(path) in outcome.error for path in (job.source, job.target))
            self._note("skipped", job.source, outcome.error + stale, named=named)
            return
        self.compressed += 1
        self.tokens += outcome.tokens
        if replaced:
            self._note("replaced", job.target, replaced)

    def _note(self, what: str, path: Path, why: str, *, named: bool = False) -> None:
        """Add a path with its reason, and print both on standard error."""
        noted: list[tuple[Path, str]] = getattr(self, what)
        noted.append((path, why))
        if what == "ignored" and len(noted) > _MOST_IGNORED:
            return
        line = harmless(" ".join(f"{what}: {why if named else f'{path}: {why}'}".split()))
        err.print(line, markup=False, highlight=False, soft_wrap=True)

    def show(self, json: bool) -> None:
        """Print the summary."""
        if json:
            show_json(
                {
                    "compressed": self.compressed,
                    "kept": self.kept,
                    "skipped": [{"path": str(p), "error": why} for p, why in self.skipped],
                    "ignored": [{"path": str(p), "reason": why} for p, why in self.ignored],
                    "replaced": [{"path": str(p), "reason": why} for p, why in self.replaced],
                    "below_floor": self.below_floor,
                    "context_tokens": self.tokens,
                    "seconds": self.seconds,
                    "path": str(self.store),
                }
            )
            return
        say(
            f"{self.compressed:,} files compressed ({self.tokens:,} tokens, "
            f"{self.tokens / max(self.seconds, 1e-9):,.0f} a second; {len(self.replaced):,} gists "
            f"replaced), {self.kept:,} kept, {len(self.skipped):,} skipped, "
            f"{len(self.ignored):,} ignored: {self.store}"
        )


def _in_this_process(
    loaded: LoadedModel, todo: Sequence[Job], method: Compressor, check: bool
) -> Generator[Outcome]:
    from dnsity.inference.files import compress_files

    yield from compress_files(loaded, todo, method=method, batch_size=BATCH, check=check)


def _in_processes(
    load: Load,
    workers: int,
    loaded: LoadedModel,
    todo: Sequence[Job],
    method: Compressor,
    check: bool,
) -> Generator[Outcome]:
    """Distribute batches over processes, each with a model and its share of the cores."""
    from dnsity.io.workers import parallel_map

    batches = [todo[first : first + BATCH] for first in range(0, len(todo), BATCH)]
    threads = max(1, (os.cpu_count() or 1) // workers)
    # One compute type for all: processes that measured the faster one could disagree.
    given = (load, loaded.lm.base.dtype, threads, method, check)
    with closing(
        parallel_map(_work, batches, workers=workers, initializer=_start_worker, initargs=given)
    ) as results:
        for outcomes in results:
            yield from outcomes


_worker: tuple[LoadedModel, Compressor, bool]
"""In a worker process: the model, the method, and whether answers are checked."""


def _start_worker(
    load: Load, dtype: torch.dtype, threads: int, method: Compressor, check: bool
) -> None:
    import torch

    global _worker  # loaded once per process, not once per batch
    torch.set_num_threads(threads)
    _worker = load(dtype).loaded, method, check


def _work(batch: Sequence[Job]) -> list[Outcome]:
    loaded, method, check = _worker
    return list(_in_this_process(loaded, batch, method, check))
