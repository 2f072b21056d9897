"""Pictures of a source for people to look at: whole frames, or the surroundings of one animal, as JPEG with their frame number."""

from collections.abc import Iterable, Iterator
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from etholoop.core import miniscene
from etholoop.io import drawing

NOTHING = b""
"""In place of a picture that is not there."""

Boxes = dict[int, NDArray[np.float64]]
"""Box (4,) of one animal by frame, source pixels."""


class Footage(Protocol):
    """Where frames come from: a video reader or a source."""

    def read(self, frames: Iterable[int]) -> Iterator[tuple[int, np.ndarray]]: ...


def whole(footage: Footage, frames: Iterable[int], usable: NDArray[np.bool_], width: int) -> Iterator[tuple[int, bytes]]:
    """Frames at most ``width`` wide, in their order; nothing for those that are not usable."""
    for frame, image in _read(footage, frames, usable):
        yield frame, NOTHING if image is None else jpeg_at_most(image, width)


def around(footage: Footage, frames: Iterable[int], usable: NDArray[np.bool_], boxes: Boxes) -> Iterator[tuple[int, bytes]]:
    """Mini-scenes of one animal; nothing where it is not there."""
    wanted = usable.copy()
    wanted[[frame for frame in frames if frame not in boxes and frame < len(wanted)]] = False
    for frame, image in _read(footage, frames, wanted):
        yield frame, NOTHING if image is None else drawing.jpeg(scene(image, boxes[frame]))


def scene(image: np.ndarray, box: NDArray[np.float64]) -> np.ndarray:
    """The animal in ``box`` as a picture of :data:`etholoop.core.miniscene.SCENE` pixels, black beyond the source's edge."""
    height, width = image.shape[:2]
    cut = miniscene.cuts(miniscene.windows(box), width, height)
    (x, y), (wide, high), (above, below, left, right) = cut.corner[0], cut.size[0], cut.pad[0]
    part = np.pad(image[y : y + high, x : x + wide], ((above, below), (left, right), (0, 0)))
    return cv2.resize(part, miniscene.SCENE, interpolation=cv2.INTER_AREA)


def _read(footage: Footage, frames: Iterable[int], usable: NDArray[np.bool_]) -> Iterator[tuple[int, np.ndarray | None]]:
    frames = [int(frame) for frame in frames if frame < len(usable)]
    images = iter(footage.read([frame for frame in frames if usable[frame]]))
    for frame in frames:
        if usable[frame]:
            yield next(images)
        else:
            yield frame, None


def jpeg_at_most(image: np.ndarray, width: int) -> bytes:
    """JPEG of an image, made smaller where it is wider than that."""
    if image.shape[1] <= width:
        return drawing.jpeg(image)
    smaller = cv2.resize(image, (width, max(1, round(image.shape[0] * width / image.shape[1]))), interpolation=cv2.INTER_AREA)
    return drawing.jpeg(smaller)
