"""BoT-SORT (Aharon et al. 2022, https://arxiv.org/abs/2206.14651) in the version of ultralytics 8.4.190.

A tracker sees no pixels here, so the camera's motion is not compensated. With ``with_reid`` the detections' embeddings are its
appearance features.
"""

import pandas as pd

from etholoop.errors import EthoLoopError
from etholoop.modeling.trackers import _ultralytics
from etholoop.modeling.trackers._botsort_settings import Params
from etholoop.modeling.trackers._shared import DetectionFrames

__all__ = ["VERSION", "Params", "track"]

VERSION = 1
"""Raise it when the same detections would give other tracks; it is part of the memo key."""


def track(frames: DetectionFrames, settings: Params, *, fps: float, width: int, height: int) -> pd.DataFrame:
    """Tracks of one video; ``fps``, ``width`` and ``height`` play no part.

    Raises:
        EthoLoopError: ``with_reid`` without embeddings.
    """
    _ultralytics.need_lap()
    from ultralytics.trackers.bot_sort import BOTSORT

    if settings.with_reid and frames.embedding is None and frames.n:
        raise EthoLoopError("botsort: with_reid is set, but the detections have no embeddings. Set with_reid: false.")
    return _ultralytics.run(BOTSORT, frames, settings, frames.embedding if settings.with_reid else None)
