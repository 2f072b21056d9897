"""Which pixels of a picture are the animal: colours of its middle against colours of its border, with no background picture.

The window of an animal has the animal in its middle and ground at its border. How often each colour occurs in the two (histogram
backprojection, Swain & Ballard 1991) says how likely a pixel is the animal; the mask found gives better histograms, and so on a few times.
It needs no still camera and no empty arena, and an animal that never moves is found as well as one that runs.
"""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from etholoop.modeling.colour_counts import log_shares

N_ROUNDS = 3
N_LIGHT, N_TINT = 22, 8
"""Bins of the lightness and of each of the two tints."""


@dataclass(frozen=True)
class Silhouette:
    """One animal in a picture.

    ``mask`` (h, w) bool. ``centre`` (2,) x, y in pixels. ``angle`` of the long axis in radians, x towards y, known up to a half turn.
    ``half_axes`` (2,) standard deviations of the mask along and across it, in pixels. ``found``: False where nothing stands out, then
    the mask is a disc in the middle. ``alike`` (h, w) bool: coloured more like the animal than like the ground, wherever it lies.
    """

    mask: np.ndarray
    centre: np.ndarray
    angle: float
    half_axes: np.ndarray
    found: bool
    alike: np.ndarray

    @property
    def area(self) -> float:
        return float(self.mask.sum())


def silhouette(picture: np.ndarray) -> Silhouette:
    """The animal in the middle of a picture (h, w, 3) uint8 RGB; black pixels are taken for what lies beyond the image."""
    height, width = picture.shape[:2]
    radius = _radius(height, width)
    inside = picture.max(axis=2) > 0
    code = _codes(picture)
    animal = np.exp(-((radius / 0.35) ** 2) / 2) * inside
    ground = (radius > 0.85) * inside
    mask = alike = np.zeros((height, width), bool)
    for _ in range(N_ROUNDS):
        likely = _smooth(animal, code) - _smooth(ground, code)
        evidence = cv2.GaussianBlur(likely[code].astype(np.float32), (0, 0), 1.0)
        alike = evidence > 0
        mask = _middle_blob(evidence > 0.5 * (radius / 0.6) ** 2, radius)
        near = cv2.dilate(mask.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
        if not mask.any() or not (inside & ~near).any():
            break
        animal, ground = mask + 1e-6, (~near) * inside
    # tails, cords and what only touches the animal fall away
    trunk = _middle_blob(mask, radius, thick=max(3, round(min(height, width) / 14)))
    mask = trunk if trunk.any() else mask
    found = bool(mask.sum() >= 12)
    return _measured(mask if found else radius < 0.4, found, alike)


@lru_cache(maxsize=8)
def _radius(height: int, width: int) -> np.ndarray:
    """Distance from the middle, 1 at the edge of the largest circle."""
    y, x = np.mgrid[:height, :width]
    return np.hypot(y - (height - 1) / 2, x - (width - 1) / 2) / (min(height, width) / 2)


def _codes(picture: np.ndarray) -> np.ndarray:
    """Bin of each pixel's colour in CIE Lab; tints are binned finely around grey, where animals are."""
    lab = cv2.cvtColor(picture, cv2.COLOR_RGB2LAB).astype(np.int32)
    tint = np.clip((lab[..., 1:] - 128) // 4 + N_TINT // 2, 0, N_TINT - 1)
    return np.asarray((lab[..., 0] // 12 * N_TINT + tint[..., 0]) * N_TINT + tint[..., 1])


def _smooth(weights: np.ndarray, code: np.ndarray) -> np.ndarray:
    """Logarithm of the share of each bin, neighbouring bins mixed."""
    counts: np.ndarray = np.bincount(code.ravel(), weights.ravel(), N_LIGHT * N_TINT * N_TINT).astype(float)
    return log_shares(counts.reshape(N_LIGHT, N_TINT, N_TINT)).ravel()


def _middle_blob(mask: np.ndarray, radius: np.ndarray, thick: int = 3) -> np.ndarray:
    """The connected part that has most pixels near the middle, without threads thinner than ``thick`` pixels."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (thick, thick))
    opened = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, kernel if thick > 3 else np.ones((3, 3), np.uint8))
    n, parts = cv2.connectedComponents(opened)
    if n < 2:
        return np.zeros(mask.shape, bool)
    weight = np.bincount(parts.ravel(), np.exp(-((radius.ravel() / 0.4) ** 2) / 2), n)
    weight[0] = 0
    return np.asarray(parts == weight.argmax())


def _measured(mask: np.ndarray, found: bool, alike: np.ndarray) -> Silhouette:
    y, x = np.nonzero(mask)
    points = np.column_stack([x, y]).astype(float)
    centre = points.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov(points.T, bias=True))
    along = vectors[:, 1]
    angle = float(np.arctan2(along[1], along[0]) % np.pi)
    return Silhouette(mask, centre, angle, np.sqrt(np.maximum(values[::-1], 0.25)), found, alike)
