"""The detections of one video as arrays, and tracks as a table."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from etholoop.schema.tracks import DETECTED, INTERPOLATED, NO_INSTANCE


@dataclass(frozen=True)
class DetectionFrames:
    """Everything that was detected in one video; rows are sorted by frame, then instance.

    ``frame`` (n,) int64. ``box`` (n, 4) x_min, y_min, x_max, y_max in source pixels. ``confidence`` (n,) 0 to 1. ``species`` (n,) text.
    ``instance`` (n,) int64, the detection's number within its frame. ``keypoints`` (n, K, 3) x, y, confidence with NaN for missing ones,
    or None. ``embedding`` (n, d) appearance of each detection, NaN = not seen, or None. ``n_frames``: length of the video. ``sigmas`` (K,)
    of OKS, or None.
    ``looked_at``: sorted numbers of the frames that the detector saw, with or without animals in them; None = every frame.
    ``n_animals``: how many are in view at most, None = unknown. ``body`` (n,) the silhouette under each detection that is one animal for
    certain, -1 = not known (`bodies.py`); ``body_fit`` (n,) how well the box fits it, 0 to 1; ``body_span`` (B, 2) first and last frame in
    which each silhouette is in view. The three are None without pixels.
    """

    frame: NDArray[np.int64]
    box: NDArray[np.float64]
    confidence: NDArray[np.float64]
    species: NDArray[np.object_]
    instance: NDArray[np.int64]
    n_frames: int
    keypoints: NDArray[np.float64] | None = None
    embedding: NDArray[np.float32] | None = None
    sigmas: NDArray[np.float64] | None = None
    looked_at: NDArray[np.int64] | None = None
    n_animals: int | None = None
    body: NDArray[np.int64] | None = None
    body_fit: NDArray[np.float32] | None = None
    body_span: NDArray[np.int64] | None = None

    @property
    def n(self) -> int:
        """Number of detections."""
        return len(self.frame)

    @property
    def step(self) -> int:
        """Frames from one look to the next: 1 where every frame was looked at, N for every N-th."""
        if self.looked_at is None or len(self.looked_at) < 2:
            return 1
        return int(np.median(np.diff(self.looked_at)))


def track_table(  # noqa: PLR0917 (one column each)
    track: NDArray[np.int64],
    frame: NDArray[np.int64],
    box: NDArray[np.float64],
    species: NDArray[np.object_],
    confidence: NDArray[np.float64],
    instance: NDArray[np.int64],
) -> pd.DataFrame:
    """Rows of ``schema.tracks.Tracks`` without ``video_id``, sorted by track and frame; rows without an instance are interpolated."""
    order = np.lexsort((frame, track))
    columns = {name: box[order, column] for column, name in enumerate(("x_min", "y_min", "x_max", "y_max"))}
    found = instance[order] != NO_INSTANCE
    # names as objects are pointers; as an array of text each would take its full length
    state = np.array([INTERPOLATED, DETECTED], dtype=object)[found.astype(np.int64)]
    return pd.DataFrame(
        {
            "track": track[order].astype("int64"),
            "frame": frame[order].astype("int64"),
            **columns,
            "species": pd.Series(species[order], dtype="str"),
            "confidence": np.where(found, confidence[order], np.nan).astype("float64"),
            "state": pd.Series(state, dtype="str"),
            "instance": instance[order].astype("int64"),
        }
    )
