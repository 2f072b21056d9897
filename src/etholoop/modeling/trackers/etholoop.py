"""EthoLoop's tracker: safe tracklets, one global association over them, exchanges found and put right, short gaps filled and marked.

Works on boxes alone and uses keypoints, species and appearance where there are any.
"""

from dataclasses import fields, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from etholoop.core.tracking.bodies import spare
from etholoop.core.tracking.gaps import filled
from etholoop.core.tracking.identify import Options, numbered
from etholoop.modeling.trackers._etholoop_settings import Params
from etholoop.modeling.trackers._shared import DetectionFrames, no_tracks, track_table

__all__ = ["VERSION", "Params", "track"]

VERSION = 4
"""Raise it when the same detections would give other tracks; it is part of the memo key."""


def track(frames: DetectionFrames, settings: Params, *, fps: float, width: int, height: int) -> pd.DataFrame:
    """Tracks of one video; width and height play no part, the place is as large as the detections show."""
    used = _used(frames, settings)
    if not used.n:
        return no_tracks()
    n_animals = None if settings.world == "open" else settings.animals or frames.n_animals
    if settings.world == "closed" and n_animals is None:
        n_animals = int(np.quantile(np.unique(used.frame, return_counts=True)[1], 0.9))
    options = Options(n_animals, settings.confidence, settings.keypoint_confidence, settings.lost_s, fps)
    number = numbered(used, options)
    kept = np.flatnonzero(number >= 0)
    limit = int(settings.fill_s * fps / used.step)
    return _table(used, number[kept], kept, limit)


def _used(frames: DetectionFrames, settings: Params) -> DetectionFrames:
    """The detections that are likely enough, one for each body; no confidence counts as sure."""
    frames = _rows(frames, ~(frames.confidence < settings.least_confidence))
    return _rows(frames, ~spare(frames))


def _rows(frames: DetectionFrames, likely: NDArray[np.bool_]) -> DetectionFrames:
    if likely.all():
        return frames
    rows = ("frame", "box", "confidence", "species", "instance", "keypoints", "embedding", "body", "body_fit")
    named = {field.name: getattr(frames, field.name) for field in fields(frames) if field.name in rows}
    return replace(frames, **{name: values[likely] for name, values in named.items() if values is not None})


def _table(frames: DetectionFrames, number: NDArray[np.int64], kept: NDArray[np.int64], limit: int) -> pd.DataFrame:
    frame, box = frames.frame[kept], frames.box[kept]
    between, between_frame, between_box = filled(number, frame, box, limit, frames.step)
    codes, names = pd.factorize(frames.species[kept], sort=True)
    # the species of a track is what most of its detections say
    votes = np.zeros((int(number.max()) + 1 if len(number) else 0, len(names)), dtype=np.int64)
    np.add.at(votes, (number, codes), 1)
    filling = votes.argmax(1)[between] if len(between) else np.zeros(0, dtype=np.int64)
    nothing = np.full(len(between), -1, dtype=np.int64)
    return track_table(
        np.concatenate([number, between]),
        np.concatenate([frame, between_frame]),
        np.concatenate([box, between_box]),
        np.asarray(names, dtype=object)[np.concatenate([codes, filling])],
        np.concatenate([frames.confidence[kept], np.full(len(between), np.nan)]),
        np.concatenate([frames.instance[kept], nothing]),
    )
