"""ByteTrack (Zhang et al. 2022, https://arxiv.org/abs/2110.06864) in the version of ultralytics 8.4.190."""

import pandas as pd

from etholoop.modeling.trackers import _ultralytics
from etholoop.modeling.trackers._bytetrack_settings import Params
from etholoop.modeling.trackers._shared import DetectionFrames

__all__ = ["VERSION", "Params", "track"]

VERSION = 1
"""Raise it when the same detections would give other tracks; it is part of the memo key."""


def track(frames: DetectionFrames, settings: Params, *, fps: float, width: int, height: int) -> pd.DataFrame:
    """Tracks of one video; fps, width and height play no part."""
    _ultralytics.need_lap()
    from ultralytics.trackers.byte_tracker import BYTETracker

    return _ultralytics.run(BYTETracker, frames, settings)
