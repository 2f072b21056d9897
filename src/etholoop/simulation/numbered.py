"""Frames that say their own number, to prove that a reader returns exactly the frame that was asked for.

The picture is a grid of 6 rows of 8 cells, each bright or dark. The four corners say which way is up: all are bright except the one
at the bottom right. The other 44 cells hold 24 bits of the number and 20 bits of its check sum. A cell is judged against the
corners, so the code survives lossy coding, scaling, grey, any bit depth and quarter turns; a blend of two frames or a damaged
picture is not read as some other number but refused. A fine texture moves from frame to frame, so that no two frames have the same
bytes and coders have something to predict.
"""

import zlib

import numpy as np

ROWS, COLUMNS = 6, 8
NUMBER_BITS, CHECK_BITS = 24, 20
DARK, BRIGHT = 50, 200
TEXTURE = 14
"""Grey levels that the texture moves up and down."""
CLEAR = 0.2
"""A cell is unreadable when it lies this near to the middle between dark and bright, as a share of their distance."""

_CORNERS = np.array([0, COLUMNS - 1, (ROWS - 1) * COLUMNS, ROWS * COLUMNS - 1])
_CELLS = np.setdiff1d(np.arange(ROWS * COLUMNS), _CORNERS)


class NotNumbered(ValueError):  # noqa: N818 - says what the picture is
    """A picture that does not show a number."""


def numbered_frame(number: int, width: int = 160, height: int = 120) -> np.ndarray:
    """A picture that shows its number, uint8 RGB (height, width, 3).

    Raises:
        ValueError: the number needs more than 24 bits, or the picture is smaller than 32 x 24 pixels.
    """
    if not 0 <= number < 1 << NUMBER_BITS:
        raise ValueError(f"a numbered frame holds numbers from 0 to {(1 << NUMBER_BITS) - 1}, found {number}")
    if width < 4 * COLUMNS or height < 4 * ROWS:
        raise ValueError(f"a numbered frame needs at least {4 * COLUMNS} x {4 * ROWS} pixels, found {width} x {height}")
    cells = np.where(_cells_of(number), BRIGHT, DARK).astype(np.int16).reshape(ROWS, COLUMNS)
    rows, columns = np.arange(height) * ROWS // height, np.arange(width) * COLUMNS // width
    grey = cells[rows][:, columns] + _texture(number, width, height)
    tint = np.array([number * 7 % 31 - 15, 0, 15 - number * 11 % 31], np.int16)  # colour changes too, brightness hardly
    return np.clip(grey[:, :, None] + tint, 0, 255).astype(np.uint8)


def read_number(image: np.ndarray) -> int:
    """The number that a picture shows, whichever quarter turn it was given.

    Args:
        image: (height, width) or (height, width, channels), any number type and range.

    Raises:
        NotNumbered: the picture shows no number, or not clearly enough.
    """
    grey = image.reshape(*image.shape[:2], -1).mean(axis=2)
    for turns in range(4):
        upright = np.rot90(grey, turns)
        number = _read_upright(upright)
        if number is not None:
            return number
    raise NotNumbered("the picture shows no number: it is damaged, blended, or no numbered frame")


def _read_upright(grey: np.ndarray) -> int | None:
    means = _means(grey)
    dark, bright = means[_CORNERS[3]], means[_CORNERS[:3]].min()
    if bright <= dark:
        return None
    level = (means - dark) / (means[_CORNERS[:3]].mean() - dark) - 0.5
    if np.abs(level).min() < CLEAR:
        return None
    bits = level > 0
    number = sum(int(bit) << place for place, bit in enumerate(bits[_CELLS[:NUMBER_BITS]]))
    return number if np.array_equal(_cells_of(number), bits) else None


def _cells_of(number: int) -> np.ndarray:
    """Which of the cells are bright, (48,) bool."""
    check = zlib.crc32(number.to_bytes(4, "big")) & ((1 << CHECK_BITS) - 1)
    word = check << NUMBER_BITS | number
    cells = np.ones(ROWS * COLUMNS, bool)
    cells[_CORNERS[3]] = False
    cells[_CELLS] = (word >> np.arange(NUMBER_BITS + CHECK_BITS, dtype=np.int64)) & 1
    return cells


def _means(grey: np.ndarray) -> np.ndarray:
    """Mean of the middle half of each cell, (48,): its edges are blurred by coding and scaling."""
    height, width = grey.shape
    rows = [_middle(row, ROWS, height) for row in range(ROWS)]
    columns = [_middle(column, COLUMNS, width) for column in range(COLUMNS)]
    return np.array([grey[row, column].mean() for row in rows for column in columns])


def _middle(index: int, count: int, size: int) -> slice:
    start, stop = index * size / count, (index + 1) * size / count
    quarter = (stop - start) / 4
    return slice(int(start + quarter), max(int(start + quarter) + 1, int(stop - quarter)))


def _texture(number: int, width: int, height: int) -> np.ndarray:
    """A diagonal wave that moves by one pixel per frame, (height, width) int16."""
    phase = (np.arange(height)[:, None] * 3 + np.arange(width)[None, :] * 2 + 5 * number) % 64
    return (np.abs(phase - 32) * TEXTURE // 16 - TEXTURE).astype(np.int16)
