"""Arithmetic on the pixels of one image: grey, blur, shrink. NumPy only, so that ``core`` needs no image library."""

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]

# ITU-R BT.601 luma weights in 15-bit fixed point (R, G, B); they add up to 2**15, and OpenCV rounds the same way
GREY_WEIGHTS = (9798, 19235, 3735)
GREY_BITS = 15

ROWS_AT_ONCE = 64
"""Images are worked on in strips that fit into the processor's cache."""


def grey(image_rgb: Image) -> Image:
    """Luma of an RGB image, (h, w, 3) → (h, w), uint8; a grey image (h, w) comes back as it is."""
    if image_rgb.ndim == 2:
        return image_rgb
    luma = np.empty(image_rgb.shape[:2], np.uint8)
    for top in range(0, len(image_rgb), ROWS_AT_ONCE):
        rows = image_rgb[top : top + ROWS_AT_ONCE]
        # whole numbers below 2**24, exact in float32
        total = np.dot(rows.reshape(-1, 3).astype(np.float32), np.array(GREY_WEIGHTS, np.float32))
        total += np.float32(1 << (GREY_BITS - 1))
        total *= np.float32(1 / (1 << GREY_BITS))
        luma[top : top + ROWS_AT_ONCE] = total.astype(np.uint8).reshape(rows.shape[:2])
    return luma


def blur_5x5(grey_image: Image) -> Image:
    """Binomial 5x5 blur, borders mirrored without repeating the edge pixel, rounded once at the end (half up)."""
    sums = np.pad(grey_image, 2, mode="reflect").astype(np.uint16)  # at most 255 * 256: 16 bits are enough
    for _ in range(4):  # four times the sum of neighbours has the weights 1 4 6 4 1
        sums = sums[:-1] + sums[1:]
    for _ in range(4):
        sums = sums[:, :-1] + sums[:, 1:]
    return ((sums + np.uint16(128)) >> np.uint16(8)).astype(np.uint8)


def histogram(grey_image: Image) -> NDArray[np.int64]:
    """How many pixels have each grey level, (256,)."""
    levels = np.ascontiguousarray(grey_image).ravel()
    even = levels.size // 2 * 2
    # counted in pairs of neighbours: half as many to count
    pairs = np.bincount(levels[:even].view(np.uint16), minlength=1 << 16).reshape(256, 256)
    counts = pairs.sum(axis=0) + pairs.sum(axis=1)
    if even < levels.size:
        counts[levels[-1]] += 1
    return counts


def shrink(grey_image: NDArray, height: int, width: int) -> NDArray[np.float64]:
    """Mean grey level of each cell of a (height, width) grid laid over the image; pixels on a cell's border count by their area."""
    rows, columns = grey_image.shape
    return np.asarray(_cells(rows, height) @ grey_image.astype(np.float64) @ _cells(columns, width).T)


def _cells(n_pixels: int, n_cells: int) -> NDArray[np.float64]:
    """Weights (n_cells, n_pixels): the share of each cell that each pixel covers; every row adds up to 1."""
    edges = np.linspace(0, n_pixels, n_cells + 1)
    pixels = np.arange(n_pixels)
    covered = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return np.clip(covered, 0, None) * n_cells / n_pixels
