"""Arithmetic on the pixels of one image: grey, blur, shrink. NumPy only, so that ``core`` needs no image library."""

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]

# ITU-R BT.601 luma weights in 15-bit fixed point (R, G, B); they add up to 2**15, and OpenCV rounds the same way
GREY_WEIGHTS = (9798, 19235, 3735)
GREY_BITS = 15

BINOMIAL_5 = (1, 4, 6, 4, 1)
"""Weights of a 5-tap Gaussian with whole numbers; what OpenCV takes for ``ksize 5, sigma 0``."""


def grey(image_rgb: Image) -> Image:
    """Luma of an RGB image, (h, w, 3) → (h, w), uint8; a grey image (h, w) comes back as it is."""
    if image_rgb.ndim == 2:
        return image_rgb
    red, green, blue = (image_rgb[..., channel].astype(np.int32) for channel in range(3))
    total = red * GREY_WEIGHTS[0] + green * GREY_WEIGHTS[1] + blue * GREY_WEIGHTS[2]
    return ((total + (1 << (GREY_BITS - 1))) >> GREY_BITS).astype(np.uint8)


def blur_5x5(grey_image: Image) -> Image:
    """Binomial 5x5 blur, borders mirrored without repeating the edge pixel, rounded once at the end (half up)."""
    blurred = _binomial(_binomial(grey_image.astype(np.uint16)).T).T  # at most 255 * 256: 16 bits are enough
    return ((blurred + np.uint16(128)) >> 8).astype(np.uint8)


def shrink(grey_image: NDArray, height: int, width: int) -> NDArray[np.float64]:
    """Mean grey level of each cell of a (height, width) grid laid over the image; pixels on a cell's border count by their area."""
    rows, columns = grey_image.shape
    return np.asarray(_cells(rows, height) @ grey_image.astype(np.float64) @ _cells(columns, width).T)


def _binomial(values: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Weighted sum along the columns (last axis), borders mirrored."""
    size = values.shape[1]
    padded = np.pad(values, ((0, 0), (2, 2)), mode="reflect")
    total = np.zeros(values.shape, np.uint16)
    for offset, weight in enumerate(BINOMIAL_5):
        total += padded[:, offset : offset + size] * np.uint16(weight)
    return total


def _cells(n_pixels: int, n_cells: int) -> NDArray[np.float64]:
    """Weights (n_cells, n_pixels): the share of each cell that each pixel covers; every row adds up to 1."""
    edges = np.linspace(0, n_pixels, n_cells + 1)
    pixels = np.arange(n_pixels)
    covered = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return np.clip(covered, 0, None) * n_cells / n_pixels
