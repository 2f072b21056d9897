"""Tracks as chains of detections: every detection knows the one before and the one after it, -1 = none."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Index = NDArray[np.int64]
Floats = NDArray[np.float64]

REACH = 4
"""Velocities are taken over so many links: fewer follow jitter, more follow turns late."""


def chain_numbers(before: Index) -> Index:
    """Number of each detection's chain, by first appearance; links lead from lower to higher rows."""
    label = np.arange(len(before))
    parent = np.where(before >= 0, before, label)
    # pointer doubling: the root of a chain of n links is found in log2(n) rounds
    while True:
        further = parent[parent]
        if np.array_equal(further, parent):
            break
        parent = further
    return np.unique(parent, return_inverse=True)[1].astype(np.int64)


def after_of(before: Index) -> Index:
    """The links the other way round."""
    after = np.full(len(before), -1, dtype=np.int64)
    linked = np.flatnonzero(before >= 0)
    after[before[linked]] = linked
    return after


def links_of(number: Index, when: Index | Floats) -> Index:
    """``before`` of given track numbers, ordered by ``when``; number -1 = in no track."""
    before = np.full(len(number), -1, dtype=np.int64)
    order = np.lexsort((when, number))
    follows = (number[order][1:] == number[order][:-1]) & (number[order][1:] >= 0)
    before[order[1:][follows]] = order[:-1][follows]
    return before


def velocities(moved: Callable[[Index, Index], Floats], look: Floats, link: Index, reach: int = REACH) -> Floats:
    """Velocity (px per look) at each detection over at most ``reach`` links of a chain, NaN where there is no link.

    With ``before`` as links it is the velocity with which an animal came, with ``after`` the one with which it leaves. ``moved`` gives the
    way (m, 2) px from one set of detections to another.
    """
    far = np.arange(len(link))
    for _ in range(reach):
        onward = link[far]
        far = np.where(onward >= 0, onward, far)
    span = look - look[far]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(span[:, None] != 0, moved(far, np.arange(len(link))) / span[:, None], np.nan)
