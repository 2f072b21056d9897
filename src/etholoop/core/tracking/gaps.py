"""Filling gaps: between two detections of a track its box is drawn on a line, marked as interpolated, and only for a short while.

Longer gaps stay empty: the animal is lost, and nothing says that it is where it was.
"""

import numpy as np
from numpy.typing import NDArray

Index = NDArray[np.int64]
Floats = NDArray[np.float64]


def filled(track: Index, frame: Index, box: Floats, limit: int, step: int = 1) -> tuple[Index, Index, Floats]:
    """Rows (track, frame, box) to be added inside gaps of less than or exactly ``limit`` missing looks.

    Args:
        track, frame, box: (n,), (n,), (n, 4) rows of tracks, in any order. ``step``: frames from one look to the next.
    """
    order = np.lexsort((frame, track))
    track, frame, box = track[order], frame[order], box[order]
    gap = np.diff(frame)
    inside = (track[1:] == track[:-1]) & (gap > step) & (gap <= (limit + 1) * step)
    left = np.flatnonzero(inside)
    count = (gap[left] - 1) // step
    row = np.repeat(left, count)
    number = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count) + 1
    share = (number * step / gap[row])[:, None] if len(row) else np.zeros((0, 1))
    between = box[row] + share * (box[row + 1] - box[row]) if len(row) else np.zeros((0, 4))
    return track[row], frame[row] + number * step, between
