"""Make items in a thread while the last ones are being used."""

from collections.abc import Generator, Iterator
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import TypeVar

Item = TypeVar("Item")

PATIENCE_S = 0.1
"""How often a waiting thread looks whether it is still needed."""


def read_ahead(items: Generator[Item, None, None], depth: int) -> Iterator[Item]:
    """The same items in the same order, at most ``depth`` of them made in advance.

    An exception reaches the caller behind the items before it. When the caller stops early, the thread is told, ``items`` is closed
    and the thread has ended.
    """
    queue: Queue = Queue(depth)
    stop = Event()
    thread = Thread(target=_fill, args=(items, queue, stop), name="read ahead", daemon=True)
    thread.start()
    try:
        while True:
            item, error, ended = queue.get()
            if error is not None:
                raise error
            if ended:
                return
            yield item
            del item  # its memory can be used again while the next one is waited for
    finally:
        stop.set()
        while thread.is_alive():
            _empty(queue)
            thread.join(PATIENCE_S / 10)


def _fill(items: Generator[Item, None, None], queue: Queue, stop: Event) -> None:
    try:
        for item in items:
            if not _put(queue, (item, None, False), stop):
                return
            del item
        _put(queue, (None, None, True), stop)
    except BaseException as error:  # whatever it is, it belongs to the caller
        _put(queue, (None, error, True), stop)
    finally:
        items.close()


def _put(queue: Queue, entry: tuple, stop: Event) -> bool:
    while not stop.is_set():
        try:
            queue.put(entry, timeout=PATIENCE_S)
            return True
        except Full:
            continue
    return False


def _empty(queue: Queue) -> None:
    try:
        while True:
            queue.get_nowait()
    except Empty:
        return
