"""SLEAP's "analysis" export (``.analysis.h5``): plain HDF5 with the tracks of one video.

The format: ``tracks`` (animals, 2, keypoints, frames) x and y, NaN = missing; ``point_scores`` (animals, keypoints, frames) in newer files;
``track_names``, ``node_names``. Frames count from 0. Since SLEAP 1.1 whole numbers are pixel centres,
so half a pixel is added.
Projects are read by :mod:`etholoop.io.slp`.
"""

from pathlib import Path

import h5py
import numpy as np

from etholoop.errors import EthoLoopError
from etholoop.io.pose_tracks import PoseTracks

SHIFT_PX = 0.5


def read(path: Path) -> PoseTracks:
    """Read an analysis file.

    Raises:
        EthoLoopError: not such a file.
    """
    if not path.is_file():
        raise EthoLoopError(f"{path}: file not found.")
    try:
        with h5py.File(path) as file:
            places = np.asarray(file["tracks"], dtype=float)
            nodes = _texts(file["node_names"])
            names = _texts(file["track_names"])
            scores = np.asarray(file["point_scores"], dtype=float) if "point_scores" in file else None
    except (OSError, KeyError, ValueError) as error:
        raise EthoLoopError(f"{path}: not readable as SLEAP analysis HDF5 ({error}).") from None
    if places.ndim != 4 or places.shape[1] != 2 or places.shape[2] != len(nodes):
        raise EthoLoopError(f"{path}: expected 'tracks' of the shape (animals, 2, {len(nodes)}, frames), found {places.shape}.")
    names = names or tuple(f"track_{number}" for number in range(len(places)))
    if len(names) != len(places):
        raise EthoLoopError(f"{path}: {len(names)} track names for {len(places)} tracks.")
    points = np.full((places.shape[3], len(names), len(nodes), 3), np.nan)
    points[..., :2] = places.transpose(3, 0, 2, 1) + SHIFT_PX
    if scores is not None and scores.shape == (len(names), len(nodes), places.shape[3]):
        points[..., 2] = scores.transpose(2, 0, 1)
    points[np.isnan(points[..., :2]).any(axis=-1)] = np.nan
    return PoseTracks(np.arange(len(points), dtype=np.int64), points, names, nodes)


def _texts(values: h5py.Dataset) -> tuple[str, ...]:
    return tuple(value.decode("utf-8") if isinstance(value, bytes) else str(value) for value in values[:])
