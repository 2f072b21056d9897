"""Half-open intervals and lines of flags, there and back."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

Flags = NDArray[np.bool_]


def intervals_of(flags: Flags) -> NDArray[np.int64]:
    """``[start, stop)`` of each run of true values, (m, 2) in their order."""
    padded = np.concatenate([[False], np.asarray(flags, bool), [False]]).astype(np.int8)
    steps = np.diff(padded)
    return np.column_stack([np.flatnonzero(steps == 1), np.flatnonzero(steps == -1)]).astype(np.int64)


def flags_of(intervals: Iterable[Iterable[int]], n: int) -> Flags:
    """A line of ``n`` flags that are true inside the intervals; what lies outside of the line is cut off."""
    flags = np.zeros(n, bool)
    for start, stop in intervals:
        flags[max(start, 0) : max(stop, 0)] = True
    return flags


def runs_of(codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """``start, stop, code`` of each run of equal numbers, (m, 3)."""
    codes = np.asarray(codes)
    if not len(codes):
        return np.zeros((0, 3), np.int64)
    edges = np.flatnonzero(np.diff(codes)) + 1
    starts = np.concatenate([[0], edges])
    return np.column_stack([starts, np.concatenate([edges, [len(codes)]]), codes[starts]]).astype(np.int64)
