"""Mini-scenes: the pixels of windows that follow animals, and the folders that tracks_extractor makes of them.

The public face: pixels straight from a pass over the source's frames are here; writing them for people is in `_miniscene_folder`, what is
drawn in `_miniscene_drawing`.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from etholoop.core.affine import Affine
from etholoop.core.miniscene import SCENE, Cuts, cuts
from etholoop.io._miniscene_folder import Counts, Metadata, read_metadata, write_folder

__all__ = ["Counts", "Crops", "Metadata", "crops", "pixels", "read_metadata", "write_folder"]

EDGES = ["x_min", "y_min", "x_max", "y_max"]


class Crops(NamedTuple):
    """The animals of one frame: ``tracks`` (k,) ascending, ``images`` (k, height, width, 3) uint8 RGB."""

    frame: int
    tracks: NDArray[np.int64]
    images: NDArray[np.uint8]


def wanted_frames(scenes: pd.DataFrame) -> list[int]:
    """The frames that :func:`crops` needs, ascending: what to ask the reader for."""
    return np.unique(scenes["frame"].to_numpy()).tolist()


def crops(
    images: Iterable[tuple[int, np.ndarray]], scenes: pd.DataFrame, size: tuple[int, int] = SCENE, affine: Affine | None = None
) -> Iterator[Crops]:
    """The mini-scenes of all animals, frame by frame, from one pass over the images: each is decoded once, only one is kept.

    Args:
        images: frame and uint8 RGB image, as ``VideoReader.read(wanted_frames(scenes))`` or ``Source.read`` give them; a frame without
            windows is passed over.
        scenes: table MiniScenes of one video (columns track, frame and the window).
        size: width and height of what is given.
        affine: from source pixels to those of the images (``Source.affine``).
    """
    rows = scenes.sort_values(["frame", "track"])
    frames, tracks = rows["frame"].to_numpy(), rows["track"].to_numpy(dtype=np.int64)
    windows = rows[EDGES].to_numpy()
    windows = windows if affine is None else affine.boxes(windows)
    for frame, image in images:
        own = slice(*np.searchsorted(frames, [frame, frame + 1]))
        if own.start == own.stop:
            continue
        parts = cuts(windows[own], image.shape[1], image.shape[0])
        given = np.stack([pixels(image, parts, place, size) for place in range(len(parts))])
        yield Crops(int(frame), tracks[own], given)


def pixels(image: np.ndarray, parts: Cuts, place: int, size: tuple[int, int] = SCENE) -> np.ndarray:
    """One mini-scene (height, width, channels): the part numbered ``place`` with its black padding, scaled to ``size`` by area."""
    (x, y), (width, height) = parts.corner[place], parts.size[place]
    piece = image[y : y + height, x : x + width]
    if parts.pad[place].any():
        above, below, left, right = parts.pad[place].tolist()
        padded = np.zeros((height + above + below, width + left + right, image.shape[2]), np.uint8)
        padded[above : above + height, left : left + width] = piece
        piece = padded
    if piece.shape[1::-1] == tuple(size):
        return piece.copy()
    return cv2.resize(piece, size, interpolation=cv2.INTER_AREA)
