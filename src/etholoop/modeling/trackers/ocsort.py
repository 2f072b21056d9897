"""OC-SORT (Cao et al. 2023, https://arxiv.org/abs/2203.14360) in the version of ultralytics 8.4.190."""

import pandas as pd

from etholoop.modeling.trackers import _ultralytics
from etholoop.modeling.trackers._ocsort_settings import Params
from etholoop.modeling.trackers._shared import DetectionFrames

__all__ = ["VERSION", "Params", "track"]

VERSION = 1
"""Raise it when the same detections would give other tracks; it is part of the memo key."""


def track(frames: DetectionFrames, settings: Params, *, fps: float, width: int, height: int) -> pd.DataFrame:
    """Tracks of one video; fps, width and height play no part."""
    _ultralytics.need_lap()
    from ultralytics.trackers.oc_sort import OCSORT

    return _ultralytics.run(OCSORT, frames, settings)
