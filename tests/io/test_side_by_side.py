"""Results of several threads come in the order of the pieces, and no more of them wait than there is room for."""

import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etholoop.io._side_by_side import side_by_side


class Counter:
    """Counts results that exist and have not reached the caller."""

    def __init__(self):
        self.lock, self.alive, self.most = threading.Lock(), 0, 0

    def made(self) -> None:
        with self.lock:
            self.alive += 1
            self.most = max(self.most, self.alive)

    def taken(self) -> None:
        with self.lock:
            self.alive -= 1


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 9), max_size=12),
    n_threads=st.integers(1, 4),
    room=st.integers(1, 6),
    naps=st.lists(st.sampled_from([0.0, 0.0, 0.001]), min_size=1, max_size=7),
)
def test_order_and_room(sizes, n_threads, room, naps):
    counter, pieces = Counter(), [[(number, k) for k in range(size)] for number, size in enumerate(sizes)]

    def work(piece: list) -> Iterator:
        for result in piece:
            time.sleep(naps[sum(result) % len(naps)])
            counter.made()
            yield result

    found = []
    for result in side_by_side(work, pieces, n_threads, room):
        counter.taken()
        found.append(result)
    assert found == [result for piece in pieces for result in piece]
    assert counter.most <= room + n_threads + 1
    assert not any("side by side" in thread.name for thread in threading.enumerate())


def test_a_fault_comes_in_its_turn_and_ends_all():
    def work(piece: int) -> Iterator[int]:
        yield piece
        if piece == 5:
            raise ValueError("piece 5")
        yield piece

    found = []
    with pytest.raises(ValueError, match="piece 5"):
        found.extend(side_by_side(work, range(100), 3, 4))
    assert found == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5]


def test_a_fault_of_the_pieces_comes_behind_those_before():
    def pieces() -> Iterator[int]:
        yield from range(3)
        raise ValueError("no more pieces")

    found = []
    with pytest.raises(ValueError, match="no more pieces"):
        found.extend(side_by_side(lambda piece: iter([piece]), pieces(), 2, 2))
    assert found == [0, 1, 2]


def test_a_caller_that_has_enough_ends_the_work():
    closed = []

    def work(piece: int) -> Iterator[int]:
        try:
            while True:
                yield piece
        finally:
            closed.append(piece)

    results = side_by_side(work, range(10), 2, 3)
    assert [next(results) for _ in range(20)] == [0] * 20
    results.close()
    assert sorted(closed) == [0, 1]
    assert not any("side by side" in thread.name for thread in threading.enumerate())
