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

from etholoop.core.affine import Affine

Role = Literal["truth", "prediction"]
Colour = tuple[int, int, int]

ORANGE: Colour = (230, 159, 0)
SKY: Colour = (86, 180, 233)
OKABE_ITO: tuple[Colour, ...] = (ORANGE, SKY, (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167), (255, 255, 255))
"""For keypoints in the skeleton's order, beginning again after eight; white takes the place of black, which does not show on fur."""

ROLE_COLOUR: dict[str, Colour] = {"truth": SKY, "prediction": ORANGE}
RIM: Colour = (20, 20, 20)
FINER = 2
"""Pictures are drawn this much larger and then reduced."""
LIMIT = 2.0**14
"""Coordinates beyond this are drawn at it; OpenCV's own end where theirs do."""
BITS = 4
"""Fraction bits of OpenCV coordinates: lines are placed to a sixteenth of a pixel."""


@dataclass(frozen=True)
class Animal:
    """One animal to draw: ``box`` (4,) xyxy and ``keypoints`` (K, 2 or more) x, y in source pixels; NaN = not drawn."""

    box: np.ndarray
    keypoints: np.ndarray
    name: str = ""


def moved(animal: Animal, affine: Affine) -> Animal:
    """The animal in other pixels."""
    return animal if affine.is_identity else Animal(affine.boxes(animal.box), affine.points(animal.keypoints), animal.name)


@dataclass(frozen=True)
class View:
    """A part of an image, enlarged or shrunk: source pixel ``x`` lies at ``(x - left) * scale``.

    ``image`` is ``FINER`` times larger than the picture that :func:`finished` gives; thin lines and small dots need that.
    """

    image: np.ndarray
    left: float
    top: float
    scale: float

    @property
    def pen(self) -> int:
        """Width of a line: one and a half pixels of a finished picture 320 wide, two of one 640 wide."""
        return max(1, round(FINER * (1 + self.image.shape[1] / FINER / 640)))

    def place(self, points: np.ndarray) -> np.ndarray:
        """Where source pixels (n, 2 or more) lie in ``image``."""
        return (points[:, :2] - [self.left, self.top]) * self.scale


def keypoint_colour(index: int) -> Colour:
    """Colour of a keypoint by its place in the skeleton."""
    return OKABE_ITO[index % len(OKABE_ITO)]


def whole(image: np.ndarray, width_px: int) -> View:
    """The whole image, ``width_px`` wide when finished."""
    height = max(1, round(image.shape[0] * width_px / image.shape[1]))
    return View(_resized(image, FINER * width_px, FINER * height), 0.0, 0.0, FINER * width_px / image.shape[1])


def around(image: np.ndarray, box: np.ndarray, width_px: int, margin: float = 0.45) -> View:
    """A 4:3 piece around a box with ``margin`` box sizes on each side, moved inside the image where it would leave it."""
    height, width = image.shape[:2]
    centre = (box[:2] + box[2:]) / 2
    size = np.maximum(box[2:] - box[:2], 8.0) * (1 + 2 * margin)
    wide = max(4, round(min(max(size[0], size[1] * 4 / 3), width, height * 4 / 3)))
    high = min(height, round(wide * 3 / 4))
    left = int(np.clip(round(centre[0] - wide / 2), 0, max(0, width - wide)))
    top = int(np.clip(round(centre[1] - high / 2), 0, max(0, height - high)))
    piece = image[top : top + high, left : left + wide]
    return View(_resized(piece, FINER * width_px, FINER * round(width_px * 3 / 4)), left, top, FINER * width_px / piece.shape[1])


def finished(view: View) -> np.ndarray:
    """The picture at its final size, uint8 RGB."""
    height, width = view.image.shape[:2]
    return _resized(view.image, width // FINER, height // FINER)


def draw(view: View, animals: Iterable[Animal], edges: Sequence[tuple[int, int]], role: Role) -> None:
    """Draw animals into ``view.image``.

    Args:
        edges: pairs of keypoint indices.
    """
    for animal in animals:
        corners = view.place(animal.box.reshape(2, 2))
        points = view.place(animal.keypoints) if len(animal.keypoints) else np.zeros((0, 2))
        if np.isfinite(corners).all():
            _box(view.image, corners, role, view.pen)
        for first, second in edges:
            if np.isfinite(points[[first, second]]).all():
                _line(view.image, points[first], points[second], ROLE_COLOUR[role], view.pen)
        for index, point in enumerate(points):
            if np.isfinite(point).all():
                _keypoint(view.image, point, keypoint_colour(index), role, view.pen)
        if animal.name and np.isfinite(corners).all():
            _name(view.image, animal.name, corners[0], ROLE_COLOUR[role], view.pen)


def draw_errors(view: View, truth: np.ndarray, predicted: np.ndarray) -> None:
    """A line from each labelled keypoint to where it was predicted; both (K, 2 or more) in source pixels."""
    for start, stop in zip(view.place(truth), view.place(predicted), strict=True):
        if np.isfinite([*start, *stop]).all():
            _line(view.image, start, stop, (255, 255, 255), view.pen)


def jpeg(image: np.ndarray, quality: int = 82) -> bytes:
    """Bytes of a JPEG for a page; colour at full resolution, because thin coloured lines bleed otherwise."""
    options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    done, encoded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    if not done:
        raise ValueError(f"an image of shape {image.shape} could not be encoded as JPEG")
    return encoded.tobytes()


def _box(image: np.ndarray, corners: np.ndarray, role: Role, pen: int) -> None:
    # far outside nothing shows, and a line of a million dashes takes for ever
    (left, top), (right, bottom) = np.clip(corners, -LIMIT, LIMIT)
    path = np.array([(left, top), (right, top), (right, bottom), (left, bottom), (left, top)])
    for start, stop in pairwise(path):
        for piece in [(start, stop)] if role == "truth" else _dashes(start, stop, pen):
            _line(image, piece[0], piece[1], ROLE_COLOUR[role], pen)


def _dashes(start: np.ndarray, stop: np.ndarray, pen: int) -> list[tuple[np.ndarray, np.ndarray]]:
    length = float(np.linalg.norm(stop - start))
    n = max(1, round(length / (11 * pen)))
    edges = np.linspace(0, 1, 2 * n)  # starts and ends with a dash, so that corners show
    # lines have round ends that reach beyond them; without this they would fill the gaps
    cap = min((pen + 2) / 2 / length, 0.4 * float(edges[1])) if length > 0 else 0.0
    return [(start + (stop - start) * (a + cap), start + (stop - start) * (b - cap)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _keypoint(image: np.ndarray, point: np.ndarray, colour: Colour, role: Role, pen: int) -> None:
    if role == "truth":
        _circle(image, point, 3.2 * pen, RIM, pen + 2)
        _circle(image, point, 3.2 * pen, colour, pen)
    else:
        _circle(image, point, 2.2 * pen + 1, RIM, -1)
        _circle(image, point, 2.2 * pen, colour, -1)


def _line(image: np.ndarray, start: np.ndarray, stop: np.ndarray, colour: Colour, pen: int) -> None:
    for shade, thickness in ((RIM, pen + 2), (colour, pen)):
        cv2.line(image, _fixed(start), _fixed(stop), shade, thickness, cv2.LINE_AA, BITS)


def _circle(image: np.ndarray, centre: np.ndarray, radius: float, colour: Colour, thickness: int) -> None:
    cv2.circle(image, _fixed(centre), round(radius * 2**BITS), colour, thickness, cv2.LINE_AA, BITS)


def _name(image: np.ndarray, text: str, corner: np.ndarray, colour: Colour, pen: int) -> None:
    """A name above a box; letters outside ASCII become question marks, because OpenCV's font has no others."""
    size, stroke = 0.26 * pen, max(1, pen // 2)
    (wide, high), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size, stroke)
    x = int(np.clip(corner[0], 2, max(2, image.shape[1] - wide - 2)))
    y = int(np.clip(corner[1] - 2 * pen, high + 2, image.shape[0] - 3))
    for shade, thickness in ((RIM, stroke + 2 * FINER), (colour, stroke)):
        cv2.putText(image, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, size, shade, thickness, cv2.LINE_AA)


def _fixed(point: np.ndarray) -> tuple[int, int]:
    """OpenCV puts whole numbers at pixel centres, we at pixel corners: half a pixel lies between."""
    x, y = np.clip(np.asarray(point, dtype=float) - 0.5, -LIMIT, LIMIT)
    return round(x * 2**BITS), round(y * 2**BITS)


def _resized(image: np.ndarray, width: int, height: int) -> np.ndarray:
    smaller = width < image.shape[1]
    # a new array in every case: drawing must not reach the caller's image
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC).copy()
