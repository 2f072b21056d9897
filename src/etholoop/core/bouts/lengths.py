"""Bouts that are too short and gaps that are too short, by counts of frames."""

from collections.abc import Iterable
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from etholoop.core.bouts.intervals import Flags, intervals_of


def without_short(flags: Flags, min_frames: int) -> Flags:
    """The same without bouts of fewer than ``min_frames`` frames."""
    kept = np.array(flags, bool)
    for start, stop in intervals_of(kept):
        if stop - start < min_frames:
            kept[start:stop] = False
    return kept


def without_gaps(flags: Flags, max_gap: int, free: Flags | None = None) -> Flags:
    """The same with gaps of at most ``max_gap`` frames between two bouts closed; never before the first or after the last bout.

    ``free``: only gaps in which every frame is free are closed (a behaviour of the same group may be going on there).
    """
    filled = np.array(flags, bool)
    bouts = intervals_of(filled)
    for (_, start), (stop, _) in pairwise(bouts):
        if stop - start <= max_gap and (free is None or bool(np.all(free[start:stop]))):
            filled[start:stop] = True
    return filled


def deepethogram_cleaned(flags: Flags, n: int) -> Flags:
    """DeepEthogram's ``min_bout``: for each length from 1 to n first close gaps, then remove bouts of exactly that length.

    Beyond the ends of the line counts as the other value, so gaps and bouts at the ends go too.
    """
    line = np.array(flags, bool)
    for length in range(1, n + 1):
        for value in (False, True):
            for start, stop in intervals_of(line == value):
                if stop - start == length:
                    line[start:stop] = not value
    return line


def learnt_min_frames(lengths: Iterable[int], percentile: float = 1.0) -> int:
    """The shortest bout that labels leave room for: a percentile of the labelled lengths, at least 1; 1 where there are none.

    DeepEthogram takes the first percentile; here only lengths of training and validation bouts may be given.
    """
    found: NDArray[np.float64] = np.fromiter(lengths, np.float64)
    return max(1, round(float(np.percentile(found, percentile)))) if len(found) else 1
