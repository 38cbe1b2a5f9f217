"""Parallel work in several processes."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context, parent_process
from threading import Thread
from typing import Any, TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def parallel_map(
    work: Callable[[_Item], _Result],
    items: Iterable[_Item],
    *,
    workers: int,
    initializer: Callable[..., None],
    initargs: tuple[Any, ...],
    chunk: int = 1,
) -> Generator[_Result]:
    """Apply a function to items in other processes; results come in the order of the items.

    Args:
        work: A function at module level, so that other processes can import it.
        items: Its arguments.
        workers: Number of processes.
        initializer: Called once in each process with `initargs`. Large objects belong there, since
            they are sent once per process instead of once per item.
        initargs: Arguments of `initializer`.
        chunk: Items sent to a process at a time.
    """
    # Forking is unsafe once tokenizers or torch have started threads.
    pool = ProcessPoolExecutor(
        workers, get_context("spawn"), initializer=_begin, initargs=(initializer, initargs)
    )
    try:
        yield from pool.map(work, items, chunksize=chunk)
    finally:
        pool.shutdown(cancel_futures=True)


def _begin(initializer: Callable[..., None], initargs: tuple[Any, ...]) -> None:
    """Set up a worker process that exits with its parent, since a killed parent cannot stop it."""
    Thread(target=_exit_with_parent, daemon=True).start()
    initializer(*initargs)


def _exit_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
