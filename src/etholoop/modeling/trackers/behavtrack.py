"""BehavTrack's identity tracking, faults included: a baseline, and a way to repeat old results.

The ids of another tracker are made fewer by comparing each frame with the next (`core.tracking.behavtrack`, which lists the faults).
Two things differ: the boxes that BehavTrack repeats for a lost animal are left out, because a lost animal has no row, and detections to
which the other tracker gave no id are left out (BehavTrack stops with an error at the first of them).
"""

import numpy as np
import pandas as pd

from etholoop import registry
from etholoop.core.tracking import behavtrack
from etholoop.modeling.trackers import settings_of
from etholoop.modeling.trackers._behavtrack_settings import Params
from etholoop.modeling.trackers._shared import DetectionFrames, no_tracks, track_table

__all__ = ["VERSION", "Params", "track"]

VERSION = 1
"""Raise it when the same detections would give other tracks; it is part of the memo key."""


def track(frames: DetectionFrames, settings: Params, *, fps: float, width: int, height: int) -> pd.DataFrame:
    """Tracks of one video; track t is BehavTrack's id t + 1. ``fps`` plays no part."""
    first = registry.load("etholoop.modeling.trackers", settings.ids_from)
    given = first.track(frames, settings_of(settings.ids_from, {}, "behavtrack"), fps=fps, width=width, height=height)
    if given.empty:
        return no_tracks()
    row, identity = _rows_with_ids(frames, given)
    points = None if frames.keypoints is None else frames.keypoints[row]
    own = behavtrack.Settings(**settings.model_dump(exclude={"ids_from"}))
    held = behavtrack.track(frames.frame[row], identity, frames.box[row], points, width=width, height=height, settings=own)
    row, identity = row[held.row[~held.copied]], held.id[~held.copied]
    return track_table(identity - 1, frames.frame[row], frames.box[row], frames.species[row], frames.confidence[row], frames.instance[row])


def _rows_with_ids(frames: DetectionFrames, given: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the detections that have an id, by frame and instance, and the ids from 1."""
    row_of = {key: row for row, key in enumerate(zip(frames.frame.tolist(), frames.instance.tolist(), strict=True))}
    rows = np.array([row_of[key] for key in zip(given["frame"].tolist(), given["instance"].tolist(), strict=True)], np.int64)
    order = np.argsort(rows)
    return rows[order], given["track"].to_numpy(np.int64)[order] + 1
