"""BehavTrack's stratified frame split and the growth of its label set, for comparison with models made that way.

IT LEAKS: neighbouring frames of one recording land on both sides, so figures made on it look better than they are.

The rules (fractions, rounding, random state 42) are BehavTrack's. It goes on where the original stops: when the next prediction set would
be the whole reserve, when the reserve is empty, and when a stratum is too small to be divided.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Members = NDArray[np.int64]
"""Positions in the list of sampled frames; their order matters to the next draw."""

RANDOM_STATE = 42
TEST = 0.15
VAL = 0.15
FIRST_ANNOTATED = 100
PREDICT = 0.3


@dataclass(frozen=True)
class Growth:
    """The sets of one cycle. ``annotated`` is ``train`` and ``val`` together; ``predict`` is annotated after this cycle."""

    cycle: int
    test: Members
    annotated: Members
    train: Members
    val: Members
    predict: Members
    reserve: Members


def growth(clusters: NDArray[np.int64], cycle: int, random_state: int = RANDOM_STATE) -> Growth:
    """The sets of cycle ``cycle`` (from 1) for frames with these cluster numbers."""
    state = first_cycle(clusters, random_state)
    for _ in range(cycle - 1):
        state = next_cycle(state, clusters, random_state)
    return state


def first_cycle(clusters: NDArray[np.int64], random_state: int = RANDOM_STATE) -> Growth:
    """Test set of 15 %, about 100 frames to annotate, the rest kept back."""
    pool, test = stratified_split(np.arange(len(clusters)), TEST, clusters, random_state)
    ratio = min(1.0, round(FIRST_ANNOTATED / len(pool), 3)) if len(pool) else 0.0
    rest, annotated = stratified_split(pool, ratio, clusters, random_state)
    return _drawn(1, test=test, annotated=annotated, rest=rest, clusters=clusters, random_state=random_state)


def next_cycle(state: Growth, clusters: NDArray[np.int64], random_state: int = RANDOM_STATE) -> Growth:
    """The prediction set joins the annotated frames; train, val and the next prediction set are drawn anew."""
    annotated = np.concatenate([state.annotated, state.predict])
    kept = {"test": state.test, "annotated": annotated, "rest": state.reserve}
    return _drawn(state.cycle + 1, **kept, clusters=clusters, random_state=random_state)


def stratified_split(members: Members, ratio: float, clusters: NDArray[np.int64], random_state: int) -> tuple[Members, Members]:
    """(rest, part): about ``ratio`` of the members, every cluster in proportion.

    0 gives no part and 1 or more gives everything, where scikit-learn refuses. Clusters too small to be divided form one
    stratum; if that does not help, the draw is not stratified.
    """
    from sklearn.model_selection import train_test_split

    nothing = np.zeros(0, np.int64)
    if ratio <= 0 or len(members) == 0:
        return members, nothing
    if ratio >= 1 or len(members) == 1:
        return nothing, members
    for strata in _strata(clusters[members]):
        try:
            rest, part = train_test_split(members, test_size=ratio, random_state=random_state, stratify=strata)
        except ValueError:  # scikit-learn: a stratum of one, or fewer places than strata
            continue
        return np.asarray(rest), np.asarray(part)
    return members, nothing


def _strata(labels: NDArray[np.int64]) -> list[NDArray[np.int64] | None]:
    """Strata to try, best first: the clusters; the small ones together; none."""
    values, counts = np.unique(labels, return_counts=True)
    small = np.isin(labels, values[counts < 2])
    together = np.where(small, -1 if small.sum() > 1 else values[np.argmax(counts)], labels)
    return [labels, together, None]


def _drawn(cycle: int, *, test: Members, annotated: Members, rest: Members, clusters: NDArray[np.int64], random_state: int) -> Growth:
    """Train and val out of the annotated frames, the next prediction set out of the rest."""
    train, val = stratified_split(annotated, VAL, clusters, random_state)
    wanted = int(PREDICT * len(annotated))
    ratio = round(wanted / len(rest), 3) if len(rest) else 0.0
    reserve, predict = stratified_split(rest, ratio, clusters, random_state)
    return Growth(cycle, test, annotated, train, val, predict, reserve)
