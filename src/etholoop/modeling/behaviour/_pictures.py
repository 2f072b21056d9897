"""The picture of one animal, cut from a frame. Training and use call the same function, so a model sees what it was trained on."""

import cv2
import numpy as np

from etholoop.core.miniscene import cuts
from etholoop.modeling.behaviour._shared import View


def picture_of(image: np.ndarray, window: np.ndarray, view: View) -> np.ndarray:
    """A picture (h, w, 3) uint8 of what the window (4,) x_min, y_min, x_max, y_max shows; beyond the image (h, w, 3) it is black.

    Raises:
        ValueError: a window with NaN or without area.
    """
    shaped = shape(np.asarray(window, float), view)
    width, height = size_of(shaped, view)
    cut = cuts(shaped[None], image.shape[1], image.shape[0])
    (x, y), (w, h), pad = cut.corner[0], cut.size[0], [int(v) for v in cut.pad[0]]
    piece = np.ascontiguousarray(image[y : y + h, x : x + w])
    if not piece.size:
        return np.zeros((height, width, 3), np.uint8)
    if any(pad):
        piece = cv2.copyMakeBorder(piece, pad[0], pad[1], pad[2], pad[3], cv2.BORDER_CONSTANT, value=(0, 0, 0))
    smaller = width < piece.shape[1] or height < piece.shape[0]
    resized: np.ndarray = cv2.resize(piece, (width, height), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)
    return resized


def shape(window: np.ndarray, view: View) -> np.ndarray:
    """The window as the view wants it, in whole pixels."""
    width, height = window[2] - window[0], window[3] - window[1]
    if view.fit == "keep":
        return np.asarray(np.round(window))
    side = min(width, height) if view.fit == "crop" else max(width, height)
    corner = np.floor((window[:2] + window[2:] - side) / 2 + 0.5)
    return np.concatenate([corner, corner + np.round(side)])


def size_of(window: np.ndarray, view: View) -> tuple[int, int]:
    """Width and height of the picture of a window that :func:`shape` has made; the same for all windows of one animal.

    The longer side is a multiple of 8: windows that grow with the animal differ in shape by half a pixel, pictures of one clip must not.
    """
    width, height = window[2] - window[0], window[3] - window[1]
    longer = round(view.crop_px * max(width, height) / min(width, height) / 8) * 8
    if view.fit != "keep" or width == height:
        return view.crop_px, view.crop_px
    return (longer, view.crop_px) if width > height else (view.crop_px, longer)
