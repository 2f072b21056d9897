"""Animals drawn on pictures: boxes, skeletons, keypoints and names.

Told apart without colour too: labels are rings and solid boxes, predictions are dots and dashed boxes. Colours are Okabe and Ito's, which
people with any common kind of colour vision can tell apart; every line has a dark rim, so that it shows on light and on dark ground.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import cv2
import numpy as np

Role = Literal["truth", "prediction"]
Colour = tuple[int, int, int]

ORANGE: Colour = (230, 159, 0)
SKY: Colour = (86, 180, 233)
OKABE_ITO: tuple[Colour, ...] = (ORANGE, SKY, (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167), (255, 255, 255))
"""For keypoints in the skeleton's order, beginning again after eight; white takes the place of black, which does not show on fur."""

ROLE_COLOUR: dict[str, Colour] = {"truth": SKY, "prediction": ORANGE}
RIM: Colour = (20, 20, 20)
BITS = 4
"""Fraction bits of OpenCV coordinates: lines are placed to a sixteenth of a pixel."""


@dataclass(frozen=True)
class Animal:
    """One animal to draw: ``box`` (4,) xyxy and ``keypoints`` (K, 2 or more) x, y in source pixels; NaN = not drawn."""

    box: np.ndarray
    keypoints: np.ndarray
    name: str = ""


@dataclass(frozen=True)
class View:
    """A part of an image, enlarged or shrunk: source pixel ``x`` is drawn at ``(x - left) * scale``."""

    image: np.ndarray
    left: float
    top: float
    scale: float


def keypoint_colour(index: int) -> Colour:
    """Colour of a keypoint by its place in the skeleton."""
    return OKABE_ITO[index % len(OKABE_ITO)]


def whole(image: np.ndarray, width_px: int) -> View:
    """The whole image, ``width_px`` wide."""
    height = max(1, round(image.shape[0] * width_px / image.shape[1]))
    return View(_resized(image, width_px, height), 0.0, 0.0, width_px / image.shape[1])


def around(image: np.ndarray, box: np.ndarray, width_px: int, margin: float = 0.6) -> View:
    """A 4:3 piece around a box with ``margin`` box sizes on each side, moved inside the image where it would leave it."""
    height, width = image.shape[:2]
    centre = (box[:2] + box[2:]) / 2
    size = np.maximum(box[2:] - box[:2], 8.0) * (1 + 2 * margin)
    wide = min(max(size[0], size[1] * 4 / 3), width, height * 4 / 3)
    wide, high = round(wide), round(wide * 3 / 4)
    left = int(np.clip(round(centre[0] - wide / 2), 0, width - wide))
    top = int(np.clip(round(centre[1] - high / 2), 0, max(0, height - high)))
    piece = image[top : top + high, left : left + wide]
    return View(_resized(piece, width_px, round(width_px * 3 / 4)), left, top, width_px / wide)


def draw(view: View, animals: Iterable[Animal], edges: Sequence[tuple[int, int]], role: Role) -> None:
    """Draw animals into ``view.image``.

    Args:
        edges: pairs of keypoint indices.
    """
    unit = max(1, round(view.image.shape[1] / 320))
    for animal in animals:
        offset = np.array([view.left, view.top])
        points = (animal.keypoints[:, :2] - offset) * view.scale if len(animal.keypoints) else np.zeros((0, 2))
        corners = (animal.box.reshape(2, 2) - offset) * view.scale
        if np.isfinite(corners).all():
            _box(view.image, corners, role, unit)
        _skeleton(view.image, points, edges, role, unit)
        _keypoints(view.image, points, role, unit)
        if animal.name and np.isfinite(corners).all():
            _name(view.image, animal.name, corners[0], ROLE_COLOUR[role], unit)


def draw_errors(view: View, truth: np.ndarray, predicted: np.ndarray) -> None:
    """A thin line from each labelled keypoint to where it was predicted; both (K, 2 or more) in source pixels."""
    offset = np.array([view.left, view.top])
    unit = max(1, round(view.image.shape[1] / 320))
    for start, stop in zip((truth[:, :2] - offset) * view.scale, (predicted[:, :2] - offset) * view.scale, strict=True):
        if np.isfinite([*start, *stop]).all():
            _line(view.image, start, stop, (255, 255, 255), unit)


def jpeg(image: np.ndarray, quality: int = 82) -> bytes:
    """Bytes of a JPEG for a page; colour at full resolution, because thin coloured lines bleed otherwise."""
    options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    done, encoded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    if not done:
        raise ValueError(f"an image of shape {image.shape} could not be encoded as JPEG")
    return encoded.tobytes()


def _box(image: np.ndarray, corners: np.ndarray, role: Role, unit: int) -> None:
    (left, top), (right, bottom) = corners
    path = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
    for start, stop in pairwise(path):
        pieces = [(start, stop)] if role == "truth" else _dashes(np.array(start), np.array(stop), 7.0 * unit)
        for piece in pieces:
            _line(image, np.array(piece[0]), np.array(piece[1]), ROLE_COLOUR[role], unit)


def _dashes(start: np.ndarray, stop: np.ndarray, length: float) -> list[tuple[np.ndarray, np.ndarray]]:
    n = max(1, round(float(np.linalg.norm(stop - start)) / (2 * length)))
    edges = np.linspace(0, 1, 2 * n)  # starts and ends with a dash, so that corners show
    return [(start + (stop - start) * a, start + (stop - start) * b) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _skeleton(image: np.ndarray, points: np.ndarray, edges: Sequence[tuple[int, int]], role: Role, unit: int) -> None:
    for first, second in edges:
        if np.isfinite(points[[first, second]]).all():
            _line(image, points[first], points[second], ROLE_COLOUR[role], unit)


def _keypoints(image: np.ndarray, points: np.ndarray, role: Role, unit: int) -> None:
    for index, point in enumerate(points):
        if not np.isfinite(point).all():
            continue
        if role == "truth":
            _circle(image, point, 4.0 * unit, RIM, 3 * unit)
            _circle(image, point, 4.0 * unit, keypoint_colour(index), unit)
        else:
            _circle(image, point, 3.2 * unit, RIM, -1)
            _circle(image, point, 2.4 * unit, keypoint_colour(index), -1)


def _line(image: np.ndarray, start: np.ndarray, stop: np.ndarray, colour: Colour, unit: int) -> None:
    for shade, thickness in ((RIM, 3 * unit), (colour, unit)):
        cv2.line(image, _fixed(start), _fixed(stop), shade, thickness, cv2.LINE_AA, BITS)


def _circle(image: np.ndarray, centre: np.ndarray, radius: float, colour: Colour, thickness: int) -> None:
    cv2.circle(image, _fixed(centre), round(radius * 2**BITS), colour, thickness, cv2.LINE_AA, BITS)


def _name(image: np.ndarray, text: str, corner: np.ndarray, colour: Colour, unit: int) -> None:
    size = 0.38 * unit
    (wide, high), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size, unit)
    x = int(np.clip(corner[0], 2, max(2, image.shape[1] - wide - 2)))
    y = int(np.clip(corner[1] - 4 * unit, high + 2, image.shape[0] - 3))
    for shade, thickness in ((RIM, 3 * unit), (colour, unit)):
        cv2.putText(image, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, size, shade, thickness, cv2.LINE_AA)


def _fixed(point: np.ndarray) -> tuple[int, int]:
    """OpenCV puts whole numbers at pixel centres, we at pixel corners: half a pixel lies between."""
    limit = 2**14
    x, y = np.clip(np.asarray(point, dtype=float) - 0.5, -limit, limit)
    return round(x * 2**BITS), round(y * 2**BITS)


def _resized(image: np.ndarray, width: int, height: int) -> np.ndarray:
    smaller = width < image.shape[1]
    # a new array in every case: drawing must not reach the caller's image
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC).copy()
