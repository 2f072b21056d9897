"""MOTA and its relatives: boxes missed, false boxes, exchanged identities, counted frame by frame.

Source: Bernardin and Stiefelhagen 2008, Evaluating Multiple Object Tracking Performance: The CLEAR MOT Metrics; Li et al. 2009 for
fragmentations and mostly tracked animals. A match of the frame before is kept as long as it overlaps enough. As in TrackEval, a frame
without any animal or without any track leaves "the frame before" as it was.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from etholoop.core.metrics._tracking_frames import Frame, Frames

IOU = 0.5
NOBODY = -1
MOSTLY, HARDLY = 0.8, 0.2
TINY = float(np.finfo("float").eps)
_KEEP = 1000.0
"""More than any sum of overlaps in a frame: first as many kept matches as possible, then overlap."""


@dataclass
class _State:
    """Of each animal: its track in the frame before, the last it ever had, in how many frames it was followed, how often that began."""

    n_animals: int
    before: NDArray[np.int64] = field(init=False)
    last: NDArray[np.int64] = field(init=False)
    n_followed: NDArray[np.int64] = field(init=False)
    n_begins: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self.before, self.last = np.full(self.n_animals, NOBODY), np.full(self.n_animals, NOBODY)
        self.n_followed, self.n_begins = np.zeros(self.n_animals, np.int64), np.zeros(self.n_animals, np.int64)


def clear_sums(frames: Frames) -> dict[str, float]:
    """Counts of a video; those of several videos add up."""
    state = _State(frames.shape[0])
    tp = switches = overlap = 0.0
    for frame in frames:
        if not len(frame.true) or not len(frame.found):
            continue
        rows, columns = _matched(frame, state.before)
        animals, tracks = frame.true[rows], frame.found[columns]
        switches += int(((state.last[animals] != NOBODY) & (state.last[animals] != tracks)).sum())
        state.n_begins[animals[state.before[animals] == NOBODY]] += 1
        state.n_followed[animals] += 1
        state.last[animals] = tracks
        state.before[:] = NOBODY
        state.before[animals] = tracks
        tp += len(rows)
        overlap += float(frame.iou[rows, columns].sum())
    followed = state.n_followed / np.maximum(frames.true_lengths, 1)
    return {
        "tp": tp,
        "fn": float(frames.true_lengths.sum()) - tp,
        "fp": float(frames.found_lengths.sum()) - tp,
        "iou": overlap,
        "switches": switches,
        "fragmentations": float(np.maximum(state.n_begins - 1, 0).sum()),
        "mostly_tracked": float((followed > MOSTLY).sum()),
        "partially_tracked": float(((followed >= HARDLY) & (followed <= MOSTLY)).sum()),
        "mostly_lost": float((followed < HARDLY).sum()),
    }


def clear_figures(sums: dict[str, float]) -> dict[str, float]:
    """The figures of one or several videos; NaN where there is nothing to divide by."""
    n_true, n_found = sums["tp"] + sums["fn"], sums["tp"] + sums["fp"]
    return {
        "MOTA": _ratio(sums["tp"] - sums["fp"] - sums["switches"], n_true),
        "MOTP": _ratio(sums["iou"], sums["tp"]),
        "recall": _ratio(sums["tp"], n_true),
        "precision": _ratio(sums["tp"], n_found),
        **{name: sums[name] for name in ("switches", "fragmentations", "mostly_tracked", "partially_tracked", "mostly_lost", "fp", "fn")},
    }


def _matched(frame: Frame, before: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and columns of the matches of one frame."""
    score = frame.iou + _KEEP * (frame.found[None, :] == before[frame.true][:, None])
    score[frame.iou < IOU - TINY] = 0
    rows, columns = linear_sum_assignment(score, maximize=True)
    good = score[rows, columns] > TINY
    return rows[good], columns[good]


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")
