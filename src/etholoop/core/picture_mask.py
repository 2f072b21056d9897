"""Parts of a picture that are kept or hidden, given as polygons."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Polygon = Sequence[Sequence[float]] | NDArray


def mask(width: int, height: int, keep: Sequence[Polygon], hide: Sequence[Polygon]) -> NDArray[np.bool_]:
    """(height, width) bool, True = kept: inside any polygon of ``keep`` (of none: everywhere) and outside all of ``hide``.

    A pixel is inside when its centre is; points x, y count from the outer corner of the first pixel.
    """
    kept = np.zeros((height, width), bool) if keep else np.ones((height, width), bool)
    for polygon in keep:
        kept |= inside(width, height, polygon)
    for polygon in hide:
        kept &= ~inside(width, height, polygon)
    return kept


def inside(width: int, height: int, polygon: Polygon) -> NDArray[np.bool_]:
    """(height, width) bool by the even-odd rule: a ray to the left crosses the outline an odd number of times."""
    points = np.asarray(polygon, dtype=float)
    x, y = np.arange(width) + 0.5, np.arange(height) + 0.5
    odd = np.zeros((height, width), bool)
    for (x1, y1), (x2, y2) in zip(points, np.roll(points, -1, axis=0), strict=True):
        crossing = (y1 > y) != (y2 > y)
        if crossing.any():
            at = x1 + (y[crossing] - y1) * (x2 - x1) / (y2 - y1)
            odd[crossing] ^= x[None, :] > at[:, None]
    return odd
