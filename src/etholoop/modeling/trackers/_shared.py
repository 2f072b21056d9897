"""What goes into and comes out of every tracker."""

import numpy as np
import pandas as pd

from etholoop.core.tracking.detections import DetectionFrames, track_table

__all__ = ["COLUMNS", "DetectionFrames", "no_tracks", "track_table"]

COLUMNS = ["track", "frame", "x_min", "y_min", "x_max", "y_max", "species", "confidence", "state", "instance"]
"""Columns of what ``track`` returns: those of ``schema.tracks.Tracks`` without ``video_id``."""


def no_tracks() -> pd.DataFrame:
    """The answer of a tracker that saw nothing."""
    none = np.zeros(0, dtype=np.int64)
    return track_table(none, none, np.zeros((0, 4)), np.zeros(0, dtype=object), np.zeros(0), none)
