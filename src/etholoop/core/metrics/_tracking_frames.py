"""Truth and tracks of one video side by side, frame by frame: what every tracking metric begins with."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from etholoop.core.metrics.matching import box_iou
from etholoop.errors import FaultsError

BOX = ["x_min", "y_min", "x_max", "y_max"]


@dataclass(frozen=True)
class Frame:
    """One frame: which animals and which tracks are in it (numbers from 0), and the IoU of every pair (n_true, n_found)."""

    true: NDArray[np.int64]
    found: NDArray[np.int64]
    iou: NDArray[np.float64]


@dataclass(frozen=True)
class Frames:
    """The frames of a video that hold anything, in order. ``true_lengths``, ``found_lengths``: boxes of each animal and track."""

    frames: list[Frame]
    true_lengths: NDArray[np.int64]
    found_lengths: NDArray[np.int64]

    def __iter__(self) -> Iterator[Frame]:
        return iter(self.frames)

    @property
    def shape(self) -> tuple[int, int]:
        """Number of animals and of tracks."""
        return len(self.true_lengths), len(self.found_lengths)


Similarity = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]
"""Of every pair of boxes (n, 4) and (m, 4): (n, m), 0 to 1."""


def side_by_side(truth: pd.DataFrame, found: pd.DataFrame, similarity: Similarity = box_iou) -> Frames:
    """Pair up two tables with columns track, frame, x_min, y_min, x_max, y_max.

    ``similarity`` stands in for the IoU where animals are points and not boxes (as TrackEval does it for 2D points).

    Raises:
        FaultsError: a track with two boxes in one frame.
    """
    true_track, true_frame, true_box, true_lengths = _columns(truth, "truth")
    found_track, found_frame, found_box, found_lengths = _columns(found, "tracks")
    frames = []
    for number in np.union1d(true_frame, found_frame).tolist():
        ours, theirs = _rows(true_frame, number), _rows(found_frame, number)
        frames.append(Frame(true_track[ours], found_track[theirs], similarity(true_box[ours], found_box[theirs])))
    return Frames(frames, true_lengths, found_lengths)


def _columns(table: pd.DataFrame, name: str) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
    """Track (from 0), frame, box, sorted by frame and track, and boxes of each track."""
    twice = table[table.duplicated(["track", "frame"])]
    if len(twice):
        faults = [f"track {track} has more than one box in frame {frame}" for track, frame in twice[["track", "frame"]].to_numpy().tolist()]
        raise FaultsError(name, faults, "A track has at most one box in a frame; nothing was measured.")
    table = table.sort_values(["frame", "track"])
    names, track = np.unique(table["track"].to_numpy(), return_inverse=True)
    lengths = np.bincount(track, minlength=len(names))
    return track.astype(np.int64), table["frame"].to_numpy(np.int64), table[BOX].to_numpy(float), lengths


def _rows(frame: NDArray[np.int64], number: int) -> slice:
    return slice(int(np.searchsorted(frame, number)), int(np.searchsorted(frame, number, side="right")))
