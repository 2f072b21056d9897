"""Rows of score tables as lines: every frame of one animal, with the frames between that a stride left out filled in."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Line:
    """Scores (n, K) of one animal from ``start_frame`` on, every frame; NaN = none. ``truth`` (n, K) 1, 0, -1 = not known."""

    video_id: str
    track: int
    start_frame: int
    scores: np.ndarray
    truth: np.ndarray

    @property
    def stop_frame(self) -> int:
        return self.start_frame + len(self.scores)


def lines_of(scores: pd.DataFrame, behaviours: Sequence[str], stride: int, labels: pd.DataFrame | None = None) -> Iterator[Line]:
    """Lines by video and track.

    Args:
        scores: ``video_id, track, frame, p_<behaviour>``.
        stride: distance of scored frames. Between two that are at most so far apart scores are interpolated in a line; longer
            gaps stay without a score.
        labels: ``video_id, track, frame, y_<behaviour>``; frames that are not in it are not known.
    """
    columns = [f"p_{name}" for name in behaviours]
    known = dict(iter(labels.groupby(["video_id", "track"], sort=False))) if labels is not None else {}
    key: Any
    for key, rows in scores.sort_values("frame").groupby(["video_id", "track"], sort=True):
        frames = rows["frame"].to_numpy(np.int64)
        values = dense(frames, rows[columns].to_numpy(np.float64), stride)
        truth = truth_of(known.get(key), behaviours, int(frames[0]), len(values))
        yield Line(str(key[0]), int(key[1]), int(frames[0]), values, truth)


def dense(frames: np.ndarray, values: np.ndarray, stride: int) -> np.ndarray:
    """Values of every frame from the first to the last of ``frames`` (ascending, different)."""
    n = int(frames[-1] - frames[0]) + 1
    place = np.arange(n)
    # float32 is more than the float16 of the tables, and half of the memory of a long video
    filled = np.column_stack([np.interp(place, frames - frames[0], column) for column in values.T]).astype(np.float32)
    for after in np.flatnonzero(np.diff(frames) > stride):
        filled[frames[after] - frames[0] + 1 : frames[after + 1] - frames[0]] = np.nan
    return filled


def truth_of(labels: pd.DataFrame | None, behaviours: Sequence[str], start_frame: int, n: int) -> np.ndarray:
    """Truth (n, K) int8 of one animal from ``start_frame`` on."""
    truth = np.full((n, len(behaviours)), -1, np.int8)
    if labels is not None:
        place = labels["frame"].to_numpy(np.int64) - start_frame
        inside = (place >= 0) & (place < n)
        truth[place[inside]] = labels[[f"y_{name}" for name in behaviours]].to_numpy(np.int8)[inside]
    return truth
