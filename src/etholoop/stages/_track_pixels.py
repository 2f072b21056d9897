"""Pixels for tracking: of which videos they are worth the time, and where they come from."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from etholoop.core.tracking.detections import DetectionFrames
from etholoop.core.tracking.identity_accuracy import estimated
from etholoop.core.tracking.risks import risks_of
from etholoop.stages._sources import source_of

if TYPE_CHECKING:
    from etholoop.io.sources import Source

Choice = Literal["auto", "on", "off"]

DOUBTFUL = 0.05
"""Exchanges expected in a whole video from which on its pixels are looked at."""


def wanted(choice: Choice, frames: DetectionFrames, found: pd.DataFrame) -> bool:
    """Whether to look at a video's pixels, after it was tracked without.

    ``auto``: where the number of animals is known, for without it pixels say little, and an exchange is to be feared.
    """
    if choice != "auto":
        return choice == "on" and frames.n > 0
    if frames.n_animals is None or frames.n_animals < 2 or found.empty:
        return False
    return estimated(found, risks_of(frames, found)).n_switches >= DOUBTFUL


def with_pixels(root: Path, video_id: str, frames: DetectionFrames) -> DetectionFrames:
    """The detections of a video with what its silhouettes say; every frame that can be read is, once and forwards."""
    from etholoop.modeling.silhouettes import watched

    source = source_of(root, video_id)
    corners = source.affine.points(frames.box.reshape(-1, 2, 2))
    # a picture that was turned or mirrored has other corners first
    box = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
    seen = watched(replace(frames, box=box), source.read, source.frames)
    return replace(seen, box=frames.box)


def identity(source: "Source") -> list[Any]:
    """What decides the pixels of a source, for a memo key."""
    from etholoop.modeling.silhouettes import VERSION

    return [VERSION, source.sha256, *(float(value) for value in vars(source.affine).values())]
