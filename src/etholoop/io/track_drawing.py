"""Tracks drawn into frames at the speed of an encoder: box, skeleton, trail, number or name, and what the animal does.

Boxes that lie between two detections are dashed. Everything has a dark rim, so that it shows on light and on dark ground.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from etholoop.io.drawing import BITS, OKABE_ITO, RIM, Colour

BEHAVTRACK: tuple[Colour, ...] = ((255, 0, 0), (0, 191, 255), (0, 255, 0), (255, 255, 0), (255, 0, 191))
"""RGB of BehavTrack's mice 1 to 5, of which red and green are hard to tell apart for some people."""

PALETTES: dict[str, tuple[Colour, ...]] = {"okabe_ito": OKABE_ITO, "behavtrack": BEHAVTRACK}

LIMIT = 2.0**14

TEXT, SMALLEST_TEXT = 0.45, 0.3
"""Scale of OpenCV's letters in a picture 640 pixels wide, and the least at which they can be read: about 7 pixels high."""


@dataclass(frozen=True)
class Shown:
    """One animal in one frame: ``box`` (4,) and ``keypoints`` (K, 2) source pixels, NaN = not drawn; ``sure`` = it was detected here."""

    track: int
    box: NDArray[np.float64]
    text: str
    sure: bool = True
    keypoints: NDArray[np.float64] | None = None


@dataclass
class TrackPen:
    """Draws frame after frame and remembers where the animals were.

    Args:
        edges: pairs of keypoint indices.
        trail: frames that a trail reaches back; 0 = none.
        scale: pixels of the picture for one source pixel.
    """

    edges: Sequence[tuple[int, int]] = ()
    colours: Sequence[Colour] = OKABE_ITO
    trail: int = 50
    scale: float = 1.0
    _paths: dict[int, deque[tuple[int, float, float]]] = field(default_factory=dict)

    def draw(self, image: np.ndarray, frame: int, animals: Sequence[Shown]) -> np.ndarray:
        """Draw into ``image`` (uint8 RGB), which is changed, and give it back."""
        width = max(1, round(image.shape[1] / 640))
        for animal in animals:
            self._remember(frame, animal)
        for track, path in self._paths.items():
            self._trail(image, track, path, frame, width)
        for animal in animals:
            colour = self.colour(animal.track)
            if np.isfinite(animal.box).all():
                _box(image, animal.box * self.scale, colour, width, animal.sure)
            if animal.keypoints is not None:
                self._skeleton(image, animal.keypoints * self.scale, colour, width)
        named = [animal for animal in animals if animal.text and np.isfinite(animal.box).all()]
        captions(image, [(animal.text, animal.box * self.scale, self.colour(animal.track)) for animal in named], width)
        return image

    def colour(self, track: int) -> Colour:
        return self.colours[track % len(self.colours)]

    def _remember(self, frame: int, animal: Shown) -> None:
        if self.trail and np.isfinite(animal.box).all():
            x, y = (animal.box[:2] + animal.box[2:]) / 2 * self.scale
            self._paths.setdefault(animal.track, deque(maxlen=self.trail)).append((frame, float(x), float(y)))

    def _trail(self, image: np.ndarray, track: int, path: deque[tuple[int, float, float]], frame: int, width: int) -> None:
        while path and path[0][0] < frame - self.trail:
            path.popleft()
        pieces: list[list[tuple[float, float]]] = []
        last = -2
        for number, x, y in path:
            if number != last + 1:  # no line across frames in which the animal was lost
                pieces.append([])
            pieces[-1].append((x, y))
            last = number
        lines = [_fixed(np.array(piece)) for piece in pieces if len(piece) > 1]
        cv2.polylines(image, lines, False, self.colour(track), width, cv2.LINE_AA, BITS)

    def _skeleton(self, image: np.ndarray, points: NDArray[np.float64], colour: Colour, width: int) -> None:
        seen: NDArray[np.bool_] = np.asarray(np.isfinite(points).all(axis=1))
        places = _fixed(np.nan_to_num(points))
        _lines(image, [places[[first, second]] for first, second in self.edges if seen[first] and seen[second]], colour, width)
        for index, place in enumerate(places.tolist()):
            if seen[index]:
                cv2.circle(image, place, (3 * width + 1) << BITS, RIM, -1, cv2.LINE_AA, BITS)
                cv2.circle(image, place, (3 * width) << BITS, OKABE_ITO[index % len(OKABE_ITO)], -1, cv2.LINE_AA, BITS)


def _box(image: np.ndarray, box: NDArray[np.float64], colour: Colour, width: int, sure: bool) -> None:
    x_min, y_min, x_max, y_max = np.clip(box, -LIMIT, LIMIT).tolist()
    corners = np.array([(x_min, y_min), (x_max, y_min), (x_max, y_max), (x_min, y_max), (x_min, y_min)])
    if sure:
        _lines(image, [_fixed(corners)], colour, width)
        return
    _lines(image, [_fixed(np.array(dash)) for side in pairwise(corners) for dash in _dashes(*side, 8.0 * width)], colour, width)


def _dashes(start: np.ndarray, stop: np.ndarray, length: float) -> list[tuple[np.ndarray, np.ndarray]]:
    n = max(1, round(float(np.linalg.norm(stop - start)) / (2 * length)))
    edges = np.linspace(0, 1, 2 * n)
    return [(start + (stop - start) * a, start + (stop - start) * b) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _lines(image: np.ndarray, lines: Sequence[NDArray[np.int32]], colour: Colour, width: int) -> None:
    """Rims of all lines, then the lines: one call of OpenCV each, for calls take longer than strokes."""
    for shade, thickness in ((RIM, width + 2), (colour, width)):
        cv2.polylines(image, list(lines), False, shade, thickness, cv2.LINE_AA, BITS)


def captions(image: np.ndarray, named: Sequence[tuple[str, NDArray[np.float64], Colour]], width: int) -> list[tuple[int, int, int, int]]:
    """Text, box and colour of each animal written at its box, none over another as long as there is room; where: left, top, right, bottom.

    Letters are as large as the picture allows. Those outside ASCII become question marks, because OpenCV's font has no others.
    """
    size, stroke = max(SMALLEST_TEXT, TEXT * image.shape[1] / 640), max(1, width)
    taken: list[tuple[int, int, int, int]] = []
    for text, box, colour in named:
        (wide, high), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size, stroke)
        places = _places(image, box, wide, high, width)
        x, y = next(((x, y) for x, y in places if not any(_over((x, y - high, x + wide, y), other) for other in taken)), places[0])
        taken.append((x, y - high, x + wide, y))
        for shade, thickness in ((RIM, stroke + 2), (colour, stroke)):
            cv2.putText(image, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, size, shade, thickness, cv2.LINE_AA)
    return taken


def _places(image: np.ndarray, box: NDArray[np.float64], wide: int, high: int, width: int) -> list[tuple[int, int]]:
    """Lower left corners of a text, best first: above the box, below it, inside at its upper and lower side; at either end of these."""
    x_min, y_min, x_max, y_max = np.clip(box, -LIMIT, LIMIT).tolist()
    gap = 3 * width
    lines = (y_min - gap, y_max + high + gap, y_min + high + gap, y_max - gap)
    return [
        (int(np.clip(x, 2, max(2, image.shape[1] - wide - 2))), int(np.clip(y, high + 2, image.shape[0] - 3)))
        for y in lines
        for x in (x_min, x_max - wide)
    ]


def _over(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> bool:
    """Whether two rectangles (left, top, right, bottom) lie over each other, with the rim of the letters."""
    return one[0] < other[2] + 2 and other[0] < one[2] + 2 and one[1] < other[3] + 2 and other[1] < one[3] + 2


def _fixed(points: np.ndarray) -> NDArray[np.int32]:
    """OpenCV puts whole numbers at pixel centres, we at pixel corners: half a pixel lies between."""
    return np.round((np.clip(points, -LIMIT, LIMIT) - 0.5) * 2**BITS).astype(np.int32)
