"""Tracks of keypoints as other programs keep them: one row for each frame, one block for each animal."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from etholoop.errors import FaultsError
from etholoop.io import tables
from etholoop.schema.tracks import DETECTED, INTERPOLATED, NO_INSTANCE, TrackNames, Tracks


@dataclass(frozen=True)
class PoseTracks:
    """Keypoints of all animals of one video.

    ``frames`` (n,) int64 ascending. ``points`` (n, animals, keypoints, 3): x, y in source pixels and confidence; NaN = missing, a lost
    animal has only NaN. ``names`` of the animals, ``keypoints`` those of the points.
    """

    frames: NDArray[np.int64]
    points: NDArray[np.float64]
    names: tuple[str, ...]
    keypoints: tuple[str, ...]

    def __post_init__(self) -> None:
        expected = (len(self.frames), len(self.names), len(self.keypoints), 3)
        if self.points.shape != expected:
            raise ValueError(f"points have the shape {self.points.shape}, names and frames want {expected}")


def to_tracks(
    pose: PoseTracks, video_id: str, *, species: str = "animal", state: str = DETECTED, margin: float = 0.15, least_px: float = 8.0
) -> pd.DataFrame:
    """Table Tracks: a box around the placed keypoints of each animal in each frame where it has some.

    The margin on every side is a share of the longer side of their extent, at least ``least_px``. The confidence is the mean of theirs,
    NaN where none has one.

    Args:
        state: "detected", or "human" where people placed the keypoints.
    """
    placed = np.asarray(np.isfinite(pose.points[..., :2]).all(axis=-1))
    frame, track = np.nonzero(placed.any(axis=2))
    own = np.where(placed[..., None], pose.points, np.nan)[frame, track]
    low, high = np.nanmin(own[..., :2], axis=1), np.nanmax(own[..., :2], axis=1)
    pad = np.maximum(margin * (high - low).max(axis=1, initial=0), least_px)[:, None]
    sure = own[..., 2]
    n_sure = np.isfinite(sure).sum(axis=1)
    confidence = np.where(n_sure > 0, np.nansum(sure, axis=1) / np.maximum(n_sure, 1), np.nan)
    boxes = np.hstack([low - pad, high + pad])
    table = pd.DataFrame(
        {
            "video_id": video_id,
            "track": track.astype("int64"),
            "frame": pose.frames[frame],
            **{name: boxes[:, place] for place, name in enumerate(("x_min", "y_min", "x_max", "y_max"))},
            "species": species,
            # filters of other programs leave the range by rounding
            "confidence": np.clip(confidence, 0, 1),
            "state": state,
            "instance": NO_INSTANCE,
        }
    )
    return tables.typed(table, Tracks).sort_values(["track", "frame"], ignore_index=True) if len(table) else tables.empty(Tracks)


def from_tables(tracks: pd.DataFrame, names: pd.DataFrame, keypoints: pd.DataFrame, order: tuple[str, ...], n_frames: int) -> PoseTracks:
    """Keypoints of the detections behind each track of one video; interpolated boxes have none.

    Args:
        tracks, names: tables Tracks and TrackNames of the video.
        keypoints: table PredictedKeypoints of the video.
        order: names of the keypoints.

    Raises:
        FaultsError: two animals of one name.
    """
    numbers = sorted(set(tracks["track"].tolist()))
    given = dict(zip(names["track"].tolist(), names["name"], strict=True))
    called = tuple(str(given[n]) if isinstance(given.get(n), str) and given[n] else f"animal{n + 1}" for n in numbers)
    twice = sorted({name for name in called if called.count(name) > 1})
    if twice:
        raise FaultsError("names of tracks", [f"'{name}' is the name of two tracks" for name in twice], "`etholoop tracks rename` them.")
    behind = tracks.loc[tracks["instance"] != NO_INSTANCE, ["frame", "instance", "track"]]
    rows = keypoints.merge(behind, on=["frame", "instance"], how="inner", validate="many_to_one")
    rows = rows[rows["keypoint"].isin(order)]
    points = np.full((n_frames, len(numbers), len(order), 3), np.nan)
    place = (rows["frame"].to_numpy(), np.searchsorted(numbers, rows["track"]), rows["keypoint"].map(list(order).index).to_numpy(dtype=int))
    points[place] = rows[["x", "y", "confidence"]].to_numpy()
    return PoseTracks(np.arange(n_frames, dtype=np.int64), points, called, order)


def names_of(pose: PoseTracks, tracks: pd.DataFrame) -> pd.DataFrame:
    """Table TrackNames for tracks made by :func:`to_tracks`."""
    rows = []
    for (video_id, track), own in tracks.groupby(["video_id", "track"], sort=True):
        counts = {"n_detected": int((own["state"] != INTERPOLATED).sum()), "n_interpolated": int((own["state"] == INTERPOLATED).sum())}
        extent = {"start_frame": int(own["frame"].min()), "stop_frame": int(own["frame"].max()) + 1}
        row = {"video_id": video_id, "track": track, "name": pose.names[int(str(track))], "species": own["species"].iloc[0]}
        rows.append(row | extent | counts)
    return tables.from_rows(rows, TrackNames)
