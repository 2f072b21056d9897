"""Runs one of Ultralytics' trackers over given detections, without network, pixels or files.

The tracker decides which detection belongs to which track; boxes, confidence and species stay those of the detection (Ultralytics itself
reports the box smoothed by its filter). Tracks count from 0 in the order of Ultralytics' ids.
"""

import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from etholoop.errors import EthoLoopError
from etholoop.modeling.trackers._shared import DetectionFrames, no_tracks, track_table
from etholoop.modeling.trackers._ultralytics_settings import UltralyticsParams

TESTED_WITH = "8.4.190"
"""The version of ultralytics whose results the tests hold."""


@dataclass(frozen=True)
class Boxes:
    """The detections of one frame as Ultralytics' trackers want them; any boolean index gives a part."""

    xyxy: NDArray[np.float32]
    conf: NDArray[np.float32]
    cls: NDArray[np.float32]

    @property
    def xywh(self) -> NDArray[np.float32]:
        """Centre, width and height."""
        low, high = self.xyxy[:, :2], self.xyxy[:, 2:]
        return np.concatenate([(low + high) / 2, high - low], axis=1)

    def __len__(self) -> int:
        return len(self.conf)

    def __getitem__(self, index: Any) -> "Boxes":
        return Boxes(self.xyxy[index], self.conf[index], self.cls[index])


def run(
    make: Callable[[Any], Any], frames: DetectionFrames, settings: UltralyticsParams, features: NDArray[np.float32] | None = None
) -> pd.DataFrame:
    """Tracks of one video by a new tracker ``make(settings)``: its state and its ids begin with the call and end with it.

    Every frame that the detector looked at is shown to the tracker, also those without detections, so that lost tracks age.
    """
    if not frames.n:
        return no_tracks()
    tracker = make(SimpleNamespace(**settings.model_dump(), model="auto"))
    rows, identities = [], []
    for start, boxes in _looks(frames):
        own = None if features is None else features[start : start + len(boxes)]
        found = tracker.update(boxes, feats=own).reshape(-1, 8)
        identities.append(found[:, 4].astype(np.int64) - 1)
        rows.append(found[:, 7].astype(np.int64) + start)
    row, track = np.concatenate(rows), np.concatenate(identities)
    return track_table(track, frames.frame[row], frames.box[row], frames.species[row], frames.confidence[row], frames.instance[row])


def need_lap() -> None:
    """Ultralytics would try to install a missing package by itself.

    Raises:
        EthoLoopError: the package lap is not installed.
    """
    if importlib.util.find_spec("lap") is None:
        raise EthoLoopError(
            "Ultralytics' trackers need the package lap, which is not installed: pip install lap, or use tracker 'etholoop'."
        )


def _looks(frames: DetectionFrames) -> Iterator[tuple[int, Boxes]]:
    """First row and detections of each frame that was looked at, from the first to the last."""
    looks = np.arange(frames.n_frames) if frames.looked_at is None else frames.looked_at
    looks = np.union1d(looks, frames.frame)
    codes = np.unique(frames.species.astype(str), return_inverse=True)[1]
    everything = Boxes(frames.box.astype(np.float32), frames.confidence.astype(np.float32), codes.astype(np.float32))
    starts, stops = np.searchsorted(frames.frame, looks), np.searchsorted(frames.frame, looks, side="right")
    for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
        yield start, everything[start:stop]
