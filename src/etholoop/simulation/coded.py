"""Frames that carry their own number as black and white blocks, to prove that a reader returns exactly the frame that was asked for.

The picture is 4 rows of 8 blocks: 24 bits of the number, most significant first, then 8 bits of its CRC-32. Blocks are large and
either dark or bright, so the code survives lossy compression.
"""

import zlib

import numpy as np

COLUMNS, ROWS = 8, 4
NUMBER_BITS = 24
DARK, BRIGHT = 30, 220


def coded_frame(number: int, width: int = 320, height: int = 240) -> np.ndarray:
    """A frame that shows its number, uint8 RGB (height, width, 3).

    Raises:
        ValueError: the number needs more than 24 bits, or the frame is smaller than 32 x 16 pixels.
    """
    if not 0 <= number < 1 << NUMBER_BITS:
        raise ValueError(f"a coded frame holds numbers from 0 to {(1 << NUMBER_BITS) - 1}, found {number}")
    if width < 32 or height < 16:
        raise ValueError(f"a coded frame needs at least 32 x 16 pixels, found {width} x {height}")
    blocks = np.where(_bits(number), BRIGHT, DARK).astype(np.uint8).reshape(ROWS, COLUMNS)
    rows, columns = np.arange(height) * ROWS // height, np.arange(width) * COLUMNS // width
    return np.repeat(blocks[rows][:, columns, None], 3, axis=2)


def read_code(image: np.ndarray) -> int:
    """The number a coded frame shows; the frame may have been compressed or scaled.

    Raises:
        ValueError: the picture is not a coded frame (its check sum is wrong).
    """
    grey = image.reshape(*image.shape[:2], -1).mean(axis=2)
    height, width = grey.shape
    bits = [
        # the middle half of each block, away from its edges
        grey[_middle(row, ROWS, height), _middle(column, COLUMNS, width)].mean() > (DARK + BRIGHT) / 2
        for row in range(ROWS)
        for column in range(COLUMNS)
    ]
    number = sum(int(bit) << (NUMBER_BITS - 1 - place) for place, bit in enumerate(bits[:NUMBER_BITS]))
    if list(_bits(number)) != bits:
        raise ValueError("this picture is not a coded frame: its check sum does not fit its number")
    return number


def _bits(number: int) -> np.ndarray:
    """24 bits of the number and 8 of its check sum, (32,) bool."""
    check = zlib.crc32(number.to_bytes(4, "big")) & 0xFF
    word = (number << 8) | check
    return np.array([(word >> place) & 1 for place in range(31, -1, -1)], bool)


def _middle(index: int, count: int, size: int) -> slice:
    start, stop = index * size / count, (index + 1) * size / count
    quarter = (stop - start) / 4
    return slice(int(start + quarter), max(int(start + quarter) + 1, int(stop - quarter)))
