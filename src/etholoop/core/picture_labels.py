"""Animals moved between source pixels and the pixels of a derived picture, and what becomes of those at its edge."""

import numpy as np
from numpy.typing import NDArray

from etholoop.core.affine import Affine

Animals = tuple[NDArray, NDArray, NDArray]
EDGE_PX = 2.0
"""A point so little outside of a picture is rounding, and is left to the writer of labels to move onto the edge."""


def into_picture(animals: Animals, affine: Affine, width: int, height: int) -> Animals:
    """Boxes (n, 4), classes (n,) and keypoints (n, K, 3: x, y, visibility) of a source, in pixels of a derived picture.

    Boxes are cut at the edge; animals that lie outside altogether are not in the result, keypoints outside are missing (NaN, NaN, 0).
    Where the picture is the source's own, the animals come back as they are.
    """
    if affine.is_identity:
        return animals
    boxes, classes, keypoints = affine.boxes(animals[0]), animals[1], affine.points(animals[2])
    out = _outside(keypoints, width, height)
    keypoints[out, :2], keypoints[out, 2] = np.nan, 0
    boxes, seen = _cut(boxes, width, height)
    return boxes[seen], classes[seen], keypoints[seen]


def into_source(boxes: NDArray, affine: Affine, width: int, height: int) -> tuple[NDArray, NDArray[np.bool_]]:
    """Boxes (n, 4) found in a derived picture, in pixels of its source of ``width`` x ``height``, and (n,) which have area there.

    What was found on the filling around the source's picture has none.
    """
    if affine.is_identity:
        return boxes, np.ones(len(boxes), bool)
    return _cut(affine.inverse().boxes(boxes), width, height)


def _cut(boxes: NDArray, width: int, height: int) -> tuple[NDArray, NDArray[np.bool_]]:
    cut = np.clip(boxes, 0, np.array([width, height, width, height], dtype=boxes.dtype))
    return cut, (cut[:, 2] > cut[:, 0]) & (cut[:, 3] > cut[:, 1])


def _outside(points: NDArray, width: int, height: int) -> NDArray[np.bool_]:
    """Missing points (NaN) are not outside."""
    x, y = points[..., 0], points[..., 1]
    return (x < -EDGE_PX) | (y < -EDGE_PX) | (x > width + EDGE_PX) | (y > height + EDGE_PX)
