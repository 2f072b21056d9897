"""Many small pictures as one: what a batch looks like at a glance."""

from collections.abc import Sequence

import cv2
import numpy as np

from etholoop.io.drawing import jpeg

GROUND = 255
"""Grey level between and below pictures."""
GAP_PX = 6
CAPTION_PX = 16


def contact_sheet(pictures: Sequence[bytes], captions: Sequence[str], columns: int = 6) -> bytes:
    """JPEG with the pictures (PNG or JPEG bytes) row by row, each with its caption below; all cells have the largest picture's size.

    Letters outside ASCII become question marks, because OpenCV's font has no others.

    Raises:
        ValueError: no pictures, bytes that are no picture, or another number of captions.
    """
    images = [_decoded(content) for content in pictures]
    if not images:
        raise ValueError("a contact sheet needs at least one picture")
    height, width = (max(image.shape[side] for image in images) for side in (0, 1))
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    cell_high, cell_wide = height + CAPTION_PX + GAP_PX, width + GAP_PX
    sheet = np.full((rows * cell_high + GAP_PX, columns * cell_wide + GAP_PX, 3), GROUND, np.uint8)
    for number, (image, caption) in enumerate(zip(images, captions, strict=True)):
        top, left = GAP_PX + number // columns * cell_high, GAP_PX + number % columns * cell_wide
        sheet[top : top + image.shape[0], left : left + image.shape[1]] = image
        _write(sheet[top + height : top + height + CAPTION_PX, left : left + width], caption)
    return jpeg(sheet)


def _decoded(content: bytes) -> np.ndarray:
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) if content else None
    if image is None:
        raise ValueError("a picture of the contact sheet is neither PNG nor JPEG")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def _write(strip: np.ndarray, text: str) -> None:
    """Black letters, as many as fit."""
    ink = np.ascontiguousarray(strip)
    cv2.putText(ink, text, (1, CAPTION_PX - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.36, (29, 39, 51), 1, cv2.LINE_AA)
    strip[:] = ink
