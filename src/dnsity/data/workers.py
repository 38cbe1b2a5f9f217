"""Work spread over processes."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
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
    pool = ProcessPoolExecutor(workers, get_context("spawn"), initializer=start, initargs=given)
    try:
        yield from pool.map(work, items, chunksize=chunk)
    finally:
        pool.shutdown(cancel_futures=True)
