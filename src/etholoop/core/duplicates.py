"""Near-duplicates for fixed cameras: two frames are near-duplicates when nothing moved anywhere.

Global measures (histograms, embeddings, hashes) find every two frames of one arena alike, because the arena fills the picture.
What counts is the place that changed most, however small: a mouse that walked one step changes a few cells strongly.
"""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import convolve1d
from scipy.spatial.distance import cdist

from etholoop.core.pixels import grey, shrink

SIZE = 48
"""Cells per side of a thumbnail; a cell is 1/48 of the picture, below the body width of a mouse in a usual arena."""

MAX_LEVEL = 6.0
"""Grey levels (of 255) that noise and compression may change a cell by."""

CHUNK = 256


def thumbnails(images: Iterable[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Grey area means of images (RGB or grey, any sizes): (n, 48, 48) uint8; (0, 48, 48) for no images."""
    small = [np.rint(shrink(grey(image), SIZE, SIZE)).astype(np.uint8) for image in images]
    return np.stack(small) if small else np.zeros((0, SIZE, SIZE), np.uint8)


def near_duplicates(a: NDArray[np.uint8], b: NDArray[np.uint8] | None = None, max_level: float = MAX_LEVEL) -> NDArray[np.int64]:
    """Index pairs (m, 2) of near-duplicates, sorted.

    The difference of two thumbnails is lightly blurred against noise; its largest absolute value must be ``<= max_level``
    grey levels. With one set the pairs are ``i < j`` within it; with two, ``i`` of ``a`` and ``j`` of ``b``.
    """
    left = _smooth(a)
    right = left if b is None else _smooth(b)
    pairs = [pair for pair in _candidates(left, right, max_level, within=b is None) if len(pair)]
    found = [_verified(pair, left, right, max_level) for pair in pairs]
    return np.concatenate(found) if found else np.zeros((0, 2), np.int64)


def _smooth(thumbs: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Blur of weights 1 2 1 along both sides: (n, 48, 48). Linear, so blurring before subtracting is blurring the difference."""
    kernel = np.array([0.25, 0.5, 0.25], np.float32)
    values = thumbs.astype(np.float32)
    return convolve1d(convolve1d(values, kernel, axis=1, mode="nearest"), kernel, axis=2, mode="nearest")


def _candidates(left: NDArray[np.float32], right: NDArray[np.float32], max_level: float, within: bool) -> Iterator[NDArray[np.int64]]:
    """Pairs that a coarse look cannot rule out: a cell mean cannot differ by more than the largest difference inside it."""
    coarse_left, coarse_right = _coarse(left, 8), _coarse(right, 8)
    for start in range(0, len(left), CHUNK):
        distance = cdist(coarse_left[start : start + CHUNK], coarse_right, "chebyshev")
        rows, columns = np.nonzero(distance <= max_level + 1e-3)
        rows = rows + start
        keep = columns > rows if within else np.ones(len(rows), bool)
        yield np.stack([rows[keep], columns[keep]], axis=1).astype(np.int64)


def _verified(pairs: NDArray[np.int64], left: NDArray[np.float32], right: NDArray[np.float32], max_level: float) -> NDArray[np.int64]:
    keep = [_largest(left[part[:, 0]], right[part[:, 1]]) <= max_level for part in _parts(pairs)]
    return pairs[np.concatenate(keep)]


def _largest(left: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.abs(left - right).max(axis=(1, 2))


def _parts(pairs: NDArray[np.int64], size: int = 2048) -> Iterator[NDArray[np.int64]]:
    for start in range(0, len(pairs), size):
        yield pairs[start : start + size]


def _coarse(thumbs: NDArray[np.float32], block: int) -> NDArray[np.float64]:
    n = SIZE // block
    return thumbs.reshape(len(thumbs), n, block, n, block).astype(np.float64).mean(axis=(2, 4)).reshape(len(thumbs), n * n)
