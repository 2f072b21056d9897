"""Pieces of work done in several threads, their results given in the order of the pieces."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from threading import Condition, Thread
from typing import Any, Generic, TypeVar

Piece = TypeVar("Piece")
Result = TypeVar("Result")


def side_by_side(work: Callable[[Piece], Iterator[Result]], pieces: Iterable[Piece], n_threads: int, room: int) -> Iterator[Result]:
    """Results of the pieces one after the other, while later pieces are worked on.

    Args:
        work: gives the results of one piece.
        room: so many results may wait for those before them, and one more in the hands of each thread.

    An exception reaches the caller behind the results before it. When the caller stops early, what runs is left at its next result.
    """
    line = _Line(work, iter(pieces), room)
    threads = [Thread(target=line.serve, name=f"side by side {number}", daemon=True) for number in range(n_threads)]
    for thread in threads:
        thread.start()
    try:
        yield from line.results()
    finally:
        line.stop()
        for thread in threads:
            thread.join()


class _Line(Generic[Piece, Result]):
    """What waits in front of the caller. All fields are touched with the condition held."""

    def __init__(self, work: Callable[[Piece], Iterator[Result]], pieces: Iterator[Piece], room: int):
        self._work, self._pieces, self._room = work, pieces, room
        self._turn = Condition()
        self._waiting: dict[int, deque[Result]] = {}
        self._ended: dict[int, BaseException | None] = {}
        self._n_begun = self._head = self._n_waiting = 0
        self._all_begun = self._stopped = False

    def results(self) -> Iterator[Result]:
        """For the caller: all results in order."""
        while (found := self._next()) is not None:
            yield found[0]
            del found  # its memory can be used again while the next one is waited for

    def serve(self) -> None:
        """For each thread: take pieces until there are none."""
        while (begun := self._begin()) is not None:
            number, piece = begun
            error: BaseException | None = None
            results = None
            try:
                results = self._work(piece)
                for result in results:
                    if not self._put(number, result):
                        break
                    del result
            except BaseException as raised:  # whatever it is, it belongs to the caller
                error = raised
            finally:
                close: Any = getattr(results, "close", None)
                if close is not None:
                    close()
            with self._turn:
                self._ended[number] = error
                self._turn.notify_all()

    def stop(self) -> None:
        """Nothing is wanted any more."""
        with self._turn:
            self._stopped = True
            self._turn.notify_all()

    def _begin(self) -> tuple[int, Piece] | None:
        with self._turn:
            if self._stopped or self._all_begun:
                return None
            number = self._n_begun
            try:
                piece = next(self._pieces)
            except BaseException as error:  # the end, or a fault of whoever makes the pieces
                self._all_begun = True
                if not isinstance(error, StopIteration):
                    self._n_begun, self._waiting[number], self._ended[number] = number + 1, deque(), error
                self._turn.notify_all()
                return None
            self._n_begun += 1
            self._waiting[number] = deque()
            return number, piece

    def _put(self, number: int, result: Result) -> bool:
        """Hand over a result; False when nobody wants it. The first piece in the line may always go on, so the line never stands still."""
        with self._turn:
            self._turn.wait_for(lambda: self._stopped or number == self._head or self._n_waiting < self._room)
            if self._stopped:
                return False
            self._waiting[number].append(result)
            self._n_waiting += 1
            self._turn.notify_all()
            # the caller takes the results of the first piece as they come: they must not pile up either
            self._turn.wait_for(lambda: self._stopped or self._n_waiting <= max(self._room, 1))
            return not self._stopped

    def _next(self) -> tuple[Result] | None:
        with self._turn:
            while True:
                self._turn.wait_for(lambda: self._waiting.get(self._head) or self._head in self._ended or self._is_over())
                if self._waiting.get(self._head):
                    self._n_waiting -= 1
                    result = self._waiting[self._head].popleft()
                    self._turn.notify_all()
                    return (result,)
                if self._is_over():
                    return None
                error = self._ended.pop(self._head)
                del self._waiting[self._head]
                self._head += 1
                self._turn.notify_all()
                if error is not None:
                    raise error

    def _is_over(self) -> bool:
        return self._all_begun and self._head >= self._n_begun
