"""Writing images as a video."""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from etholoop.errors import EthoLoopError
from etholoop.io import atomic


def write_video(path: Path, frames: Iterable[np.ndarray], fps: Fraction, crf: int = 18) -> None:
    """Write uint8 RGB frames (h, w, 3) as H.264 (yuv420p, mp4), all or nothing; odd sizes lose their last row or column.

    Raises:
        EthoLoopError: there are no frames, or their sizes differ.
    """
    with atomic.new_file(path) as temporary, av.open(str(temporary), "w", format="mp4", options={"movflags": "faststart"}) as container:
        stream: Any = None
        size: tuple[int, ...] = ()
        for image in frames:
            if stream is None:
                stream, size = _h264_stream(container, image, fps, crf), image.shape
            if image.shape != size:
                raise EthoLoopError(f"{path}: frames of one video must have one size, found {image.shape} after {size}.")
            even = np.ascontiguousarray(image[: stream.height, : stream.width])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(even, format="rgb24")))
        if stream is None:
            raise EthoLoopError(f"{path}: no frames were given, so there is no video to write.")
        container.mux(stream.encode())


def _h264_stream(container: Any, image: np.ndarray, fps: Fraction, crf: int) -> Any:
    stream = container.add_stream("libx264", rate=fps)
    stream.height, stream.width = (side // 2 * 2 for side in image.shape[:2])
    if not stream.height or not stream.width:
        raise EthoLoopError(f"H.264 needs at least 2x2 pixels, found {image.shape[1]}x{image.shape[0]}.")
    stream.pix_fmt = "yuv420p"
    # one encoder thread: the bytes must not depend on the number of cores; cpu-independent: nor on the processor, nor, as libx264 does
    # with AVX otherwise, on what the memory held before
    stream.options = {"crf": str(crf), "threads": "1", "x264-params": "cpu-independent=1"}
    return stream
