"""Where the picture of one animal is cut from a frame: windows of one shape that keep a large animal whole.

Two geometries. *Ours*: the window always has the shape of the mini-scene, beyond the picture it is black, so nothing is stretched.
*Compat*: the integer arithmetic of kabr-tools' tracks_extractor (state of May 2026) with its two faults, for comparison with mini-scenes
and models made by it: it cuts one pixel short of the right and lower edge, and fills up by the size that a small animal would need, so
large animals at an edge are stretched.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

SCENE = (400, 300)
"""Width and height of a mini-scene in pixels."""

MARGIN_PX = 50
"""Source pixels that are kept around an animal too large for the scene."""


@dataclass(frozen=True)
class Cuts:
    """What to take from each frame: ``corner`` (n, 2) x, y and ``size`` (n, 2) width, height of a part inside the picture, int64, and
    ``pad`` (n, 4) black pixels to lay around it: above, below, left, right. The result is then scaled to the scene."""

    corner: NDArray[np.int64]
    size: NDArray[np.int64]
    pad: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.corner)


def windows(boxes: ArrayLike, scene: tuple[int, int] = SCENE, margin_px: int = MARGIN_PX) -> NDArray[np.float64]:
    """Windows (n, 4) x_min, y_min, x_max, y_max on whole source pixels around boxes (n, 4); they may reach beyond the picture.

    An animal that fits into the scene is shown pixel by pixel. A larger one is shown whole with a margin: the window grows in both
    directions by the same factor, to half a pixel. A box with NaN gives a window of NaN.

    Raises:
        ValueError: a box whose corners are exchanged.
    """
    boxes = np.asarray(boxes, dtype=float).reshape(-1, 4)
    extent = boxes[:, 2:] - boxes[:, :2]
    if (extent < 0).any():
        raise ValueError(f"box {boxes[(extent < 0).any(axis=1)][0].tolist()}: x_max and y_max must not lie before x_min and y_min")
    fits = (extent <= scene).all(axis=1)
    factor = np.where(fits, 1.0, ((extent + 2 * margin_px) / scene).max(axis=1))
    size = np.round(np.asarray(scene) * factor[:, None])
    corner = np.floor((boxes[:, :2] + boxes[:, 2:]) / 2 - size / 2 + 0.5)
    return np.where(np.isfinite(boxes).all(axis=1)[:, None], np.hstack([corner, corner + size]), np.nan)


def cuts(windows: ArrayLike, width: int, height: int) -> Cuts:
    """The part of each window (n, 4) that lies in a picture, and what is missing around it; nothing is stretched.

    Raises:
        ValueError: a window with NaN, or without area.
    """
    edges = np.asarray(windows, dtype=float).reshape(-1, 4)
    if not np.isfinite(edges).all():
        raise ValueError("a window with NaN cannot be cut")
    edges = np.round(edges).astype(np.int64)
    if (edges[:, 2:] <= edges[:, :2]).any():
        raise ValueError("a window without area cannot be cut")
    limits, whole = np.array([width, height]), edges[:, 2:] - edges[:, :2]
    low, high = np.clip(edges[:, :2], 0, limits), np.clip(edges[:, 2:], 0, limits)
    seen = (high > low).all(axis=1)[:, None]  # otherwise the window lies outside, and all of it is padding
    before, after = np.where(seen, low - edges[:, :2], whole), np.where(seen, edges[:, 2:] - high, 0)
    pad = np.stack([before[:, 1], after[:, 1], before[:, 0], after[:, 0]], axis=1)
    return Cuts(np.where(seen, low, 0), np.where(seen, high - low, 0), pad)


def compat_boxes(boxes: ArrayLike) -> NDArray[np.int64]:
    """Boxes as tracks_extractor takes them: cut to whole pixels towards zero."""
    return np.trunc(np.asarray(boxes, dtype=float).reshape(-1, 4)).astype(np.int64)


def compat_centroids(boxes: ArrayLike) -> NDArray[np.int64]:
    """Their centres (n, 2), cut to whole pixels."""
    boxes = compat_boxes(boxes)
    return np.trunc((boxes[:, :2] + boxes[:, 2:]) / 2).astype(np.int64)


def compat_cuts(boxes: ArrayLike, width: int, height: int, scene: tuple[int, int] = SCENE) -> Cuts:
    """What tracks_extractor takes for each box (n, 4) of a picture, faults included.

    Raises:
        ValueError: a box that lies outside of the picture; the original fails there as well.
    """
    boxes, centre, half = compat_boxes(boxes), compat_centroids(boxes), np.array(scene) // 2
    low, high = centre - half, centre + half
    tall = boxes[:, 3] - boxes[:, 1] > scene[1]
    reach = np.trunc(half[0] * ((boxes[:, 3] - boxes[:, 1]) / scene[1])).astype(np.int64) + MARGIN_PX
    low = np.where(tall[:, None], np.stack([centre[:, 0] - reach, boxes[:, 1] - MARGIN_PX], axis=1), low)
    high = np.where(tall[:, None], np.stack([centre[:, 0] + reach, boxes[:, 3] + MARGIN_PX], axis=1), high)
    last = np.array([width - 1, height - 1])
    before = np.where(low < 0, np.maximum(half - centre, 0), 0)
    after = np.where(high > last, np.maximum(centre + half - last, 0), 0)
    low, high = np.maximum(low, 0), np.minimum(high, last)
    if (high <= low).any():
        outside = boxes[(high <= low).any(axis=1)][0].tolist()
        raise ValueError(f"box {outside} lies outside of the picture of {width}x{height} pixels: nothing can be cut there")
    return Cuts(low, high - low, np.stack([before[:, 1], after[:, 1], before[:, 0], after[:, 0]], axis=1))
