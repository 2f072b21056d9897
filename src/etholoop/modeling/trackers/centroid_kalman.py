"""The centroid tracker of kabr-tools, faults included: a baseline, and a way to repeat old results.

`core.tracking.centroid_kalman` lists the faults. Detected boxes are reported as the detector gave them; kabr-tools cuts them to whole
pixels, which still decides what is matched with what. A detection is given to one animal only, the one it was matched with; kabr-tools
gives it to every animal whose point lies at the same whole pixel, also to lost ones.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from etholoop.core.tracking import centroid_kalman
from etholoop.modeling.trackers._centroid_kalman_settings import Params
from etholoop.modeling.trackers._shared import DetectionFrames, no_tracks, track_table
from etholoop.schema.tracks import NO_INSTANCE

__all__ = ["VERSION", "Params", "track"]

VERSION = 1
"""Raise it when the same detections would give other tracks; it is part of the memo key."""


def track(frames: DetectionFrames, settings: Params, *, fps: float, width: int, height: int) -> pd.DataFrame:
    """Tracks of one video; track t is kabr-tools' id t + 1. ``fps``, ``width`` and ``height`` play no part.

    Where the detector looked at every N-th frame, the tracker counts looks, and there are no rows for the frames between.
    """
    if not frames.n:
        return no_tracks()
    looks = np.arange(frames.n_frames) if frames.looked_at is None else frames.looked_at
    looks = np.union1d(looks, frames.frame)
    starts, stops = np.searchsorted(frames.frame, looks), np.searchsorted(frames.frame, looks, side="right")
    own = centroid_kalman.Settings(**settings.model_dump())
    tracker, store = centroid_kalman.Tracker(own, box_by_point=False), centroid_kalman.Store(own)
    for look, (start, stop) in enumerate(zip(starts.tolist(), stops.tolist(), strict=True)):
        boxes = frames.box[start:stop].astype(np.int64)
        store.update(look, tracker.update(boxes), boxes)
    rows = [row for found in store.tracks() for row in _rows(found)]
    return _table(np.array(rows, np.float64).reshape(-1, 7), frames, looks, starts)


def _rows(found: centroid_kalman.Track) -> Iterator[tuple[float, ...]]:
    """Track, look, row within the frame (-1 = interpolated) and box of each entry that has one."""
    for place, (box, row) in enumerate(zip(found.box, found.row, strict=True)):
        if box is not None:
            yield found.id - 1, found.start_frame + place, row, *box


def _table(rows: NDArray[np.float64], frames: DetectionFrames, looks: NDArray[np.int64], starts: NDArray[np.int64]) -> pd.DataFrame:
    number, look, within = rows[:, :3].astype(np.int64).T
    detected = within >= 0
    source = np.where(detected, starts[look] + within, 0)
    box = np.where(detected[:, None], frames.box[source], rows[:, 3:])
    instance = np.where(detected, frames.instance[source], NO_INSTANCE)
    species = frames.species[source]
    first: dict[int, str] = {}  # the species of a track is that of its first detection, as in kabr-tools
    for one, name, seen in zip(number.tolist(), species.tolist(), detected.tolist(), strict=True):
        if seen:
            first.setdefault(one, name)
    species = np.array([first[one] for one in number.tolist()], dtype=np.object_)
    return track_table(number, looks[look], box, species, frames.confidence[source], instance)
