"""From an image and a box to the square crop that the network sees, and the matrices that lead there and back.

Matrices are 3 × 3 and map columns (x, y, 1). Pixels have their origin at the corner of the image, so that the centre of the
top-left pixel is 0.5, 0.5. A view of a crop may be turned, zoomed, shifted and mirrored.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np

FILL = 114
"""Grey beyond the edge of the image, the same as detectors use."""

DENSITY = 1.25
"""Large animals are first shrunk to so many patch pixels per crop pixel, averaging areas; interpolation alone would alias."""


MAX_CHANGE = 1.5
"""A second look is at most so many times wider or narrower than the first."""


@dataclass(frozen=True)
class Window:
    """Square around a box: ``centre`` (2,) and ``side`` in source pixels."""

    centre: np.ndarray
    side: float


@dataclass(frozen=True)
class Patch:
    """Piece of an image, RGB; ``matrix`` leads from source pixels to patch pixels."""

    image: np.ndarray
    matrix: np.ndarray


@dataclass(frozen=True)
class View:
    """How a crop looks at its window. ``angle`` in radians, ``shift`` in sides of the window, ``mirror`` after everything else."""

    angle: float = 0.0
    zoom: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)
    mirror: bool = False


PLAIN = View()


def window_of(box: np.ndarray, margin: float) -> Window:
    """Square around a box, ``margin`` diagonals of the box wide; the diagonal of a long animal does not depend on its direction."""
    x_min, y_min, x_max, y_max = (float(value) for value in box)
    side = max(math.hypot(x_max - x_min, y_max - y_min) * margin, 2.0)
    return Window(np.array([(x_min + x_max) / 2, (y_min + y_max) / 2]), side)


def window_around(points: np.ndarray, size: float, first: Window) -> Window:
    """Square around the keypoints (K, 2) found in ``first``, ``size`` times the diagonal of their extent wide.

    An animal that curls up has a small extent, so the side stays within a factor of ``MAX_CHANGE`` of the first.
    """
    low, high = points.min(axis=0), points.max(axis=0)
    side = float(np.linalg.norm(high - low)) * size
    return Window((low + high) / 2, float(np.clip(side, first.side / MAX_CHANGE, first.side * MAX_CHANGE)))


def cut(image: np.ndarray, window: Window, crop_px: int, reach: float = 1.0) -> Patch:
    """The part of an image around a window, ``reach`` sides wide, shrunk if it holds far more pixels than the crop needs."""
    height, width = image.shape[:2]
    half = window.side * reach / 2
    x0, y0 = (math.floor(value) - 1 for value in window.centre - half)
    x1, y1 = (math.ceil(value) + 1 for value in window.centre + half)
    x0, x1 = max(min(x0, width - 1), 0), min(max(x1, 1), width)
    y0, y1 = max(min(y0, height - 1), 0), min(max(y1, 1), height)
    piece = image[y0:y1, x0:x1]
    scale = min(1.0, DENSITY * crop_px / window.side)
    size = (max(1, round((x1 - x0) * scale)), max(1, round((y1 - y0) * scale)))
    if scale < 1:
        piece = cv2.resize(piece, size, interpolation=cv2.INTER_AREA)
    matrix = np.diag([piece.shape[1] / (x1 - x0), piece.shape[0] / (y1 - y0), 1.0]) @ _translation(-x0, -y0)
    return Patch(np.ascontiguousarray(piece), matrix)


def reach_of(zoom: float, shift: float) -> float:
    """Side of a patch, in sides of the window, that holds every view of :func:`random_view`: half a diagonal and the displacement."""
    return 2 * (math.sqrt(0.5) * math.exp(zoom) + math.sqrt(2) * shift)


def view_matrix(window: Window, crop_px: int, view: View = PLAIN) -> np.ndarray:
    """From source pixels to crop pixels."""
    scale = crop_px / window.side * view.zoom
    cosine, sine = scale * math.cos(view.angle), scale * math.sin(view.angle)
    turn = np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])
    if view.mirror:
        turn = np.diag([-1.0, 1.0, 1.0]) @ turn
    centre = window.centre + np.array(view.shift) * window.side
    return _translation(crop_px / 2, crop_px / 2) @ turn @ _translation(-centre[0], -centre[1])


def look(patch: Patch, matrix: np.ndarray, crop_px: int) -> np.ndarray:
    """The crop (crop_px, crop_px, 3) uint8; ``matrix`` leads from source pixels to crop pixels."""
    # OpenCV counts from the centres of pixels
    warp = _translation(-0.5, -0.5) @ matrix @ np.linalg.inv(patch.matrix) @ _translation(0.5, 0.5)
    fill = (FILL, FILL, FILL)
    return cv2.warpAffine(
        patch.image, warp[:2], (crop_px, crop_px), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=fill
    )


def transform(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Points (..., 2) through a matrix; NaN stays NaN."""
    return points @ matrix[:2, :2].T + matrix[:2, 2]


def random_view(rng: np.random.Generator, *, degrees: float, zoom: float, shift: float, flip: float) -> View:
    """A view drawn as the settings say."""
    angle = math.radians(rng.uniform(-degrees, degrees))
    dx, dy = rng.uniform(-shift, shift, 2)
    return View(angle, math.exp(rng.uniform(-zoom, zoom)), (float(dx), float(dy)), bool(rng.random() < flip))


def relight(crop: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    """Random contrast, brightness, tint, blur and noise; float32, 0 to 255."""
    pixels: np.ndarray = crop.astype(np.float32)
    contrast, brightness = math.exp(strength * rng.uniform(-0.35, 0.35)), strength * rng.uniform(-40, 40)
    pixels = (pixels - 127) * np.float32(contrast) + np.float32(127 + brightness)
    if rng.random() < 0.3:
        pixels *= (1 + strength * rng.uniform(-0.15, 0.15, 3)).astype(np.float32)
    if rng.random() < 0.2 and strength > 0:
        pixels = cv2.GaussianBlur(pixels, (0, 0), strength * rng.uniform(0.4, 1.3))
    if rng.random() < 0.3:
        pixels = pixels + np.float32(strength * rng.uniform(2, 10)) * rng.standard_normal(pixels.shape, dtype=np.float32)
    return np.clip(pixels, 0, 255)


def _translation(x: float, y: float) -> np.ndarray:
    return np.array([[1.0, 0.0, x], [0.0, 1.0, y], [0.0, 0.0, 1.0]])
