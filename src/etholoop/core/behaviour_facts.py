"""Who did what when, by people and by each model, as the report draws it; and how the known time was spent."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from etholoop.core.bouts.intervals import flags_of, intervals_of
from etholoop.core.bouts.lines import truth_of

KEY = ["video_id", "track", "subject"]
LABELLED = "labelled"
"""Name of what people said, beside the names of the families."""

Intervals = np.ndarray
"""Half-open ``[start, stop)`` frames, (m, 2), in their order and apart from each other."""

NEVER: Intervals = np.zeros((0, 2), np.int64)


@dataclass(frozen=True)
class AnimalTime:
    """One animal on one track, between two frames. A track that was several animals one after the other is several of these.

    ``known``: time that people looked at. ``said``: source (``LABELLED`` or a family) → behaviour → its bouts. ``unsure``: family →
    time of which it says nothing. ``part_of``: the longer time that this was cut from.
    """

    video_id: str
    track: int
    subject: str
    start_frame: int
    stop_frame: int
    known: Intervals
    said: Mapping[str, Mapping[str, Intervals]]
    unsure: Mapping[str, Intervals]
    part_of: tuple[int, int] | None = None


Key = tuple[str, int, str]
"""Video, track, subject: '' = not known."""


def spread(keys: pd.DataFrame, n: int) -> list[Key]:
    """Up to ``n`` animals (``KEY, weight``): every video in turn, in each those with most weight first; ascending."""
    ordered = keys.sort_values(["weight", *KEY], ascending=[False, True, True, True])
    turn = ordered.groupby("video_id").cumcount()
    chosen = ordered.assign(turn=turn).sort_values(["turn", *KEY]).head(n)
    return sorted(keys_of(chosen))


def keys_of(rows: pd.DataFrame) -> list[Key]:
    return [(str(video_id), int(track), str(subject)) for video_id, track, subject in rows[KEY].itertuples(index=False, name=None)]


def animal_time(
    key: Key,
    *,
    labels: pd.DataFrame,
    bouts: pd.DataFrame,
    unsure: pd.DataFrame,
    behaviours: Sequence[str],
    families: Sequence[str],
    others: Intervals = NEVER,
) -> AnimalTime:
    """One animal over the time that is labelled; without labels over the time in which anything is said of it.

    Args:
        labels: ``frame, y_<behaviour>`` of this animal; may be empty.
        bouts: ``family, behaviour, start_frame, stop_frame`` of this track; ``unsure`` likewise without a behaviour.
        others: when the track was other animals, ascending and apart; what is said of them is not said of this one.
    """
    times = pd.concat([bouts[["start_frame", "stop_frame"]], unsure[["start_frame", "stop_frame"]]])
    known = NEVER
    said: dict[str, dict[str, Intervals]] = {}
    if len(labels):
        start, stop = int(labels["frame"].min()), int(labels["frame"].max()) + 1
        truth = truth_of(labels, behaviours, start, stop - start)
        known = intervals_of(np.any(truth >= 0, axis=1)) + start
        said[LABELLED] = {name: intervals_of(truth[:, k] == 1) + start for k, name in enumerate(behaviours)}
    else:
        start, stop = (int(times["start_frame"].min()), int(times["stop_frame"].max())) if len(times) else (0, 0)
    for family in families:
        own = bouts[bouts["family"] == family]
        said[family] = {name: outside(_within(own[own["behaviour"] == name], start, stop), others) for name in behaviours}
    elsewhere = _cut(others, start, stop)
    doubts = {
        family: np.concatenate([outside(_within(unsure[unsure["family"] == family], start, stop), others), elsewhere])
        for family in families
    }
    return AnimalTime(*key, start, stop, known, said, {family: own[np.argsort(own[:, 0])] for family, own in doubts.items()})


def outside(intervals: Intervals, others: Intervals) -> Intervals:
    """What of the intervals lies in none of the others; both ascending and apart from each other."""
    if not len(others) or not len(intervals):
        return intervals
    start, stop = int(intervals[0, 0]), max(int(intervals[-1, 1]), int(others[-1, 1]))
    free = np.column_stack([np.r_[start, others[:, 1]], np.r_[others[:, 0], stop]])
    return np.concatenate([NEVER, *(_cut(intervals, *gap) for gap in free.tolist() if gap[1] > gap[0])])


def _within(rows: pd.DataFrame, start: int, stop: int) -> Intervals:
    intervals = rows[["start_frame", "stop_frame"]].to_numpy(np.int64)
    return _cut(intervals[np.argsort(intervals[:, 0], kind="stable")], start, stop)


def _cut(intervals: Intervals, start: int, stop: int) -> Intervals:
    cut = np.clip(intervals, start, stop)
    return cut[cut[:, 1] > cut[:, 0]]


def middle_of(animal: AnimalTime, most: int) -> AnimalTime:
    """The middle of the time, so short that no source says more than ``most`` bouts in it.

    Where many are drawn side by side they become lines that tell nothing.
    """
    part, whole = animal, (animal.start_frame, animal.stop_frame)
    length, middle = whole[1] - whole[0], sum(whole) // 2
    while (n := n_bouts(part)) > most and length > 1:
        length = min(length - 1, length * most // n)
        part = _part(animal, max(whole[0], middle - length // 2), min(whole[1], middle + (length + 1) // 2))
    return part


def n_bouts(animal: AnimalTime) -> int:
    """Bouts of the source that says most."""
    return max((sum(map(len, bouts.values())) for bouts in animal.said.values()), default=0)


def _part(animal: AnimalTime, start: int, stop: int) -> AnimalTime:
    return replace(
        animal,
        start_frame=start,
        stop_frame=stop,
        known=_cut(animal.known, start, stop),
        said={source: {name: _cut(own, start, stop) for name, own in bouts.items()} for source, bouts in animal.said.items()},
        unsure={family: _cut(own, start, stop) for family, own in animal.unsure.items()},
        part_of=(animal.start_frame, animal.stop_frame),
    )


def lanes_of(animals: Iterable[AnimalTime], behaviours: Sequence[str]) -> list[list[str]]:
    """Behaviours side by side in as few lines as show everything: those of one lane never overlap in what any source says."""
    clashes: set[tuple[str, str]] = set()
    for animal in animals:
        for bouts in animal.said.values():
            clashes |= {pair for pair in combinations(behaviours, 2) if overlap(bouts[pair[0]], bouts[pair[1]])}
    lanes: list[list[str]] = []
    for name in behaviours:
        free = next((lane for lane in lanes if not any((other, name) in clashes for other in lane)), None)
        if free is None:
            lanes.append([name])
        else:
            free.append(name)
    return lanes


def overlap(first: Intervals, second: Intervals) -> bool:
    """Whether any interval of one shares a frame with any of the other."""
    if not len(first) or not len(second):
        return False
    before = np.searchsorted(second[:, 0], first[:, 1], side="left") - 1
    return bool((second[np.maximum(before, 0), 1] > first[:, 0])[before >= 0].any())


def budgets(animals: Iterable[AnimalTime], behaviours: Sequence[str], families: Sequence[str]) -> dict[str, np.ndarray]:
    """Share of the known time in each behaviour (K,), by source, over all animals together; NaN where no time is known."""
    frames = {source: np.zeros(len(behaviours)) for source in (LABELLED, *families)}
    n_known = 0
    for animal in animals:
        n = animal.stop_frame - animal.start_frame
        known = flags_of(animal.known - animal.start_frame, n)
        n_known += int(known.sum())
        for source, total in frames.items():
            bouts: Mapping[str, Any] = animal.said.get(source, {})
            total += [int((flags_of(bouts[name] - animal.start_frame, n) & known).sum()) if name in bouts else 0 for name in behaviours]
    return {source: total / n_known if n_known else np.full(len(behaviours), np.nan) for source, total in frames.items()}
