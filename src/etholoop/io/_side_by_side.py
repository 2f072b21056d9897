"""Pieces of work done in several threads, their results given in the order of the pieces."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Piece = TypeVar("Piece")
Result = TypeVar("Result")


def side_by_side(work: Callable[[Piece], list[Result]], pieces: Iterable[Piece], n_threads: int) -> Iterator[Result]:
    """Results of the pieces one after the other; at most one finished piece more than there are threads is kept.

    An exception reaches the caller behind the results before it. When the caller stops early, what runs is finished and nothing new begins.
    """
    pool = ThreadPoolExecutor(n_threads, thread_name_prefix="side by side")
    waiting: deque[Future[list[Result]]] = deque()
    try:
        for piece in pieces:
            waiting.append(pool.submit(work, piece))
            if len(waiting) > n_threads:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
