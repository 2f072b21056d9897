"""How far two annotators agree, or one and a model: on behaviour by frame and by bout, on boxes and keypoints in pixels.

A record is a dictionary as ``io.snapshot`` describes it. Intervals come from resampling whole videos (``core.metrics.bootstrap``).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from etholoop.core.metrics.bootstrap import intervals
from etholoop.core.metrics.matching import box_iou

Record = dict[str, Any]
Interval = tuple[int, int]
Counts = dict[str, np.ndarray]
"""Counts by video; what is counted depends on the figure."""

SAME_BOUT_IOU = 0.5
"""Overlap in time from which two bouts are the same event."""

SAME_ANIMAL_IOU = 0.3
"""Overlap from which two boxes are the same animal."""


@dataclass(frozen=True)
class Figure:
    """One figure of one pair. ``n`` is what it was counted on: frames, bouts, boxes or keypoints; the interval is NaN for one video."""

    pair: tuple[str, str]
    name: str
    of: str
    value: float
    low: float
    high: float
    n: int
    n_videos: int


@dataclass(frozen=True)
class Dispute:
    """One thing that two people see differently; ``disagreement`` from 0 (the same) to 1 (nothing in common)."""

    uid: str
    pair: tuple[str, str]
    disagreement: float
    why: str


# --- behaviour ---------------------------------------------------------------------------------------------------------------------


def behaviour_agreement(records: Sequence[Record], behaviours: Sequence[str]) -> list[Figure]:
    """Cohen's kappa and bout F1 of every pair and behaviour, on the time that both looked at.

    kappa = (p_o - p_e) / (1 - p_e) on frames (Cohen 1960, Educ. Psychol. Meas. 20, 37-46); NaN where both always say the same one thing.
    Bout F1 = 2 hits / (bouts of one + bouts of the other); a hit overlaps in time by at least half (intersection over union), one to one.
    """
    figures = []
    for pair, shared in _pairs(records, lambda record: (record["video"], record["subject"])).items():
        for behaviour in behaviours:
            frames, bouts = _behaviour_counts(shared, behaviour)
            if frames:
                figures.append(_figure(pair, ("kappa", behaviour), frames, _kappa, (0, 1, 2, 3)))
                figures.append(_figure(pair, ("bout F1", behaviour), bouts, _f1, (1, 2)))
    return figures


def _behaviour_counts(shared: Sequence[tuple[Record, Record]], behaviour: str) -> tuple[Counts, Counts]:
    frames, bouts = Counts(), Counts()
    for one, other in shared:
        common = _common(one["looked_at"], other["looked_at"])
        if not common:
            continue
        own = [_bouts_inside(record, behaviour, common) for record in (one, other)]
        says = [_marked(intervals_, common) for intervals_ in own]
        a, b = says
        _add(frames, one["video"], [(a & b).sum(), (a & ~b).sum(), (~a & b).sum(), (~a & ~b).sum()])
        _add(bouts, one["video"], [_same_bouts(*own), len(own[0]), len(own[1])])
    return frames, bouts


def _common(one: Iterable[Sequence[int]], other: Iterable[Sequence[int]]) -> list[Interval]:
    both = [(max(a, c), min(b, d)) for a, b in one for c, d in other]
    return sorted((start, stop) for start, stop in both if start < stop)


def _bouts_inside(record: Record, behaviour: str, common: Sequence[Interval]) -> list[Interval]:
    own = [(bout["start"], bout["stop"]) for bout in record["bouts"] if bout["behaviour"] == behaviour]
    return _common(own, common)


def _marked(bouts: Sequence[Interval], common: Sequence[Interval]) -> np.ndarray:
    """Whether each frame of the common time lies in a bout."""
    first, last = common[0][0], common[-1][1]
    line, seen = np.zeros(last - first, bool), np.zeros(last - first, bool)
    for start, stop in bouts:
        line[start - first : stop - first] = True
    for start, stop in common:
        seen[start - first : stop - first] = True
    return line[seen]


def _same_bouts(one: Sequence[Interval], other: Sequence[Interval]) -> int:
    overlap = np.array([[_time_iou(a, b) for b in other] for a in one]).reshape(len(one), len(other))
    rows, columns = linear_sum_assignment(-overlap)
    return int((overlap[rows, columns] >= SAME_BOUT_IOU).sum())


def _time_iou(one: Interval, other: Interval) -> float:
    shared = max(0, min(one[1], other[1]) - max(one[0], other[0]))
    return shared / (one[1] - one[0] + other[1] - other[0] - shared)


def _kappa(counts: np.ndarray) -> float:
    both, one, other, none = counts
    n = counts.sum()
    if n == 0:
        return float("nan")
    observed = (both + none) / n
    expected = ((both + one) * (both + other) + (none + one) * (none + other)) / n**2
    return float((observed - expected) / (1 - expected)) if expected < 1 else float("nan")


def _f1(counts: np.ndarray) -> float:
    hits, one, other = counts
    return float(2 * hits / (one + other)) if one + other else float("nan")


# --- boxes and keypoints -----------------------------------------------------------------------------------------------------------


def frame_agreement(records: Sequence[Record]) -> list[Figure]:
    """Animals both saw, mean overlap and mean side difference of their boxes, mean distance of each keypoint, in source pixels."""
    figures = []
    for pair, shared in _pairs(records, lambda record: record["uid"]).items():
        counts = _frame_counts(shared)
        figures.append(_figure(pair, ("animals F1", ""), counts.pop("animals"), _f1, (1, 2)))
        for name, of in (("box IoU", "iou"), ("box side px", "side")):
            if of in counts:
                figures.append(_figure(pair, (name, ""), counts.pop(of), _mean, (1,)))
        figures += [_figure(pair, ("keypoint px", of), counts[of], _mean, (1,)) for of in sorted(counts)]
    return figures


def _frame_counts(shared: Sequence[tuple[Record, Record]]) -> dict[str, Counts]:
    counts: dict[str, Counts] = {"animals": {}}
    for one, other in shared:
        video = one["uid"].split(":")[0]
        matches = matched(one["instances"], other["instances"])
        _add(counts["animals"], video, [len(matches), len(one["instances"]), len(other["instances"])])
        for a, b, iou in matches:
            _add(counts.setdefault("iou", {}), video, [iou, 1])
            _add(counts.setdefault("side", {}), video, [float(np.abs(np.subtract(a["box"], b["box"])).mean()), 1])
            for name in a["keypoints"].keys() & b["keypoints"].keys():
                distance = float(np.hypot(*np.subtract(a["keypoints"][name][:2], b["keypoints"][name][:2])))
                _add(counts.setdefault(name, {}), video, [distance, 1])
    return counts


def matched(one: Sequence[Record], other: Sequence[Record]) -> list[tuple[Record, Record, float]]:
    """Pairs of animals that are the same one, best overlaps overall, and their overlap; classes do not matter."""
    if not one or not other:
        return []
    iou = box_iou(np.array([a["box"] for a in one]), np.array([b["box"] for b in other]))
    rows, columns = linear_sum_assignment(-iou)
    return [(one[r], other[c], float(iou[r, c])) for r, c in zip(rows, columns, strict=True) if iou[r, c] >= SAME_ANIMAL_IOU]


def _mean(counts: np.ndarray) -> float:
    return float(counts[0] / counts[1]) if counts[1] else float("nan")


# --- disputes ----------------------------------------------------------------------------------------------------------------------


def disputes(frames: Sequence[Record], behaviours: Sequence[Record]) -> list[Dispute]:
    """What two annotators told differently, the worst first.

    Frames: 1 - mean overlap of all animals either of them saw (an animal only one saw counts 0), 1 where the status differs.
    Behaviour: share of the common frames on which they say different things.
    """
    found = [_frame_dispute(pair, a, b) for pair, shared in _pairs(frames, lambda record: record["uid"]).items() for a, b in shared]
    for pair, shared in _pairs(behaviours, lambda record: (record["video"], record["subject"])).items():
        found += [_behaviour_dispute(pair, a, b) for a, b in shared if _common(a["looked_at"], b["looked_at"])]
    return sorted((item for item in found if item.disagreement > 0), key=lambda item: (-item.disagreement, item.uid, item.pair))


def _frame_dispute(pair: tuple[str, str], one: Record, other: Record) -> Dispute:
    if one["status"] != other["status"]:
        return Dispute(one["uid"], pair, 1.0, f"{pair[0]} says {one['status']}, {pair[1]} says {other['status']}")
    matches = matched(one["instances"], other["instances"])
    n_seen = len(one["instances"]) + len(other["instances"]) - len(matches)
    disagreement = 1 - sum(iou for _, _, iou in matches) / n_seen if n_seen else 0.0
    counts = f"{len(one['instances'])} and {len(other['instances'])} animals, {len(matches)} of them the same"
    return Dispute(one["uid"], pair, round(disagreement, 4), counts)


def _behaviour_dispute(pair: tuple[str, str], one: Record, other: Record) -> Dispute:
    common = _common(one["looked_at"], other["looked_at"])
    names = sorted({bout["behaviour"] for record in (one, other) for bout in record["bouts"]})
    differs = [_marked(_bouts_inside(one, name, common), common) ^ _marked(_bouts_inside(other, name, common), common) for name in names]
    shares = {name: float(line.mean()) for name, line in zip(names, differs, strict=True)}
    disagreement = float(np.any(differs, axis=0).mean()) if differs else 0.0
    worst = max(shares, key=lambda name: shares[name]) if shares else ""
    subject = f":{one['subject']}" if one["subject"] else ""
    return Dispute(f"{one['video']}{subject}", pair, round(disagreement, 4), f"most of it about '{worst}'" if worst else "")


# --- shared ------------------------------------------------------------------------------------------------------------------------


def _pairs(records: Sequence[Record], thing: Callable[[Record], Any]) -> dict[tuple[str, str], list[tuple[Record, Record]]]:
    """Records about the same thing by two annotators, by pair of names."""
    by_thing: dict[Any, list[Record]] = {}
    for record in records:
        by_thing.setdefault(thing(record), []).append(record)
    pairs: dict[tuple[str, str], list[tuple[Record, Record]]] = {}
    for _, told in sorted(by_thing.items()):
        for one, other in combinations(sorted(told, key=lambda record: record["annotator"]), 2):
            pairs.setdefault((one["annotator"], other["annotator"]), []).append((one, other))
    return dict(sorted(pairs.items()))


def _add(counts: Counts, video: str, values: Sequence[float]) -> None:
    counts[video] = counts.get(video, np.zeros(len(values))) + np.asarray(values, float)


def _figure(
    pair: tuple[str, str],
    name: tuple[str, str],
    counts: Mapping[str, np.ndarray],
    formula: Callable[[np.ndarray], float],
    counted: tuple[int, ...],
) -> Figure:
    """A figure with its interval; ``counted``: the columns whose sum says on how many things."""
    table = np.array([counts[video] for video in sorted(counts)])
    low, high = intervals(len(table), lambda weights: {"": formula(weights @ table)})[""]
    total = table.sum(axis=0)
    n = total[list(counted)].sum()
    return Figure(pair, *name, formula(total), low, high, round(float(n)), len(table))
