"""Work spread over processes."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context, parent_process
from threading import Thread
from typing import Any, TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def spread(
    work: Callable[[_Item], _Result],
    items: Iterable[_Item],
    *,
    workers: int,
    start: Callable[..., None],
    given: tuple[Any, ...],
    chunk: int = 1,
) -> Generator[_Result]:
    """Do work in other processes; results come in the order of the items.

    Args:
        work: A function of a module, so that a process can find it.
        items: What it is done on.
        workers: How many processes.
        start: Called once in every process, with `given`: what is large goes there, not with items.
        given: Its arguments.
        chunk: Items handed to a process at a time.
    """
    # Fork would be unsafe beside the threads of tokenizers and torch.
    pool = ProcessPoolExecutor(
        workers, get_context("spawn"), initializer=_begin, initargs=(start, given)
    )
    try:
        yield from pool.map(work, items, chunksize=chunk)
    finally:
        pool.shutdown(cancel_futures=True)


def _begin(start: Callable[..., None], given: tuple[Any, ...]) -> None:
    """Set a worker up, and let it end with its parent: a killed parent cannot tell it to."""
    Thread(target=_end_with_parent, daemon=True).start()
    start(*given)


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
