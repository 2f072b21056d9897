"""Small videos in which every frame shows its number, for the tests of reading videos."""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

WIDTH, HEIGHT, BITS, BLOCK = 128, 96, 12, 8
N_FRAMES = 90


def numbered(number: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """A grey frame with its number as a row of black and white blocks, lowest bit left."""
    image = np.full((height, width, 3), 128, np.uint8)
    for bit in range(BITS):
        image[:BLOCK, bit * BLOCK : (bit + 1) * BLOCK] = 255 * (number >> bit & 1)
    image[BLOCK:, :, 1] = (np.arange(width) + 7 * number) % 256
    return image


def number_of(image: np.ndarray) -> int:
    blocks = image[:BLOCK, : BITS * BLOCK].reshape(BLOCK, BITS, BLOCK, 3).mean(axis=(0, 2, 3))
    return int(sum(1 << bit for bit in range(BITS) if blocks[bit] > 127))


def make(
    path: Path,
    numbers: Iterable[int],
    codec="libx264",
    options=None,
    pix_fmt="yuv420p",
    *,
    times_ms=None,
    rotation=None,
    size=(WIDTH, HEIGHT),
) -> Path:
    """Write a video of numbered frames; ``times_ms`` gives each its own time."""
    with av.open(str(path), "w", options={"movflags": "faststart"} if path.suffix == ".mp4" else {}) as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = *size, pix_fmt
        stream.options = {"threads": "1", **(options or {})}
        if times_ms is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        if rotation is not None:
            stream.set_display_rotation(rotation)
        for place, number in enumerate(numbers):
            frame = av.VideoFrame.from_ndarray(numbered(number, *size), format="rgb24")
            if times_ms is not None:
                frame.pts, frame.time_base = times_ms[place], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path
