"""Several videos written side by side, frame by frame, while their source is read once."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from etholoop.errors import EthoLoopError


class VideoSink:
    """One H.264 file (yuv420p, mp4) that takes uint8 RGB frames of one size as they come; odd sizes lose their last row or column.

    ``as_bgr``: let FFmpeg turn the colours to YUV from blue-green-red, as OpenCV's writer does; it rounds otherwise and makes the picture
    about 1.5 grey levels darker.
    The bytes do not depend on the computer. The file stands under its name from the first frame on, so write into a folder of
    ``atomic.new_folder``.
    """

    def __init__(self, path: Path, fps: Fraction, crf: int = 18, preset: str = "veryfast", as_bgr: bool = False):
        self.path, self.fps, self.crf, self.preset, self.as_bgr = path, fps, crf, preset, as_bgr
        self.n_frames = 0
        self.size: tuple[int, ...] = ()
        self._container: Any = None
        self._stream: Any = None

    def add(self, image: np.ndarray) -> None:
        """Append one frame.

        Raises:
            EthoLoopError: its size differs from that of the first.
        """
        if self._stream is None:
            self._open(image)
        if image.shape != self.size:
            raise EthoLoopError(f"{self.path}: frames of one video must have one size, found {image.shape} after {self.size}.")
        even = image[: self._stream.height, : self._stream.width]
        given = (even[..., ::-1], "bgr24") if self.as_bgr else (even, "rgb24")
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(given[0]), format=given[1])
        self._container.mux(self._stream.encode(picture))
        self.n_frames += 1

    def close(self) -> None:
        """Finish the file; nothing happens where no frame came."""
        if self._stream is not None:
            self._container.mux(self._stream.encode())
            self._container.close()
            self._stream = self._container = None

    def abandon(self) -> None:
        """Close without finishing, after a fault."""
        if self._container is not None:
            self._container.close()
            self._stream = self._container = None

    def __enter__(self) -> "VideoSink":
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self.close() if kind is None else self.abandon()

    def _open(self, image: np.ndarray) -> None:
        self._container = av.open(str(self.path), "w", format="mp4", options={"movflags": "faststart"})
        self._stream = self._container.add_stream("libx264", rate=self.fps)
        self._stream.height, self._stream.width = (side // 2 * 2 for side in image.shape[:2])
        self._stream.pix_fmt = "yuv420p"
        # the bytes must not depend on the number of cores, nor on the processor
        x264 = {"threads": "1", "x264-params": "cpu-independent=1"}
        self._stream.options = {"crf": str(self.crf), "preset": self.preset, **x264}
        self.size = image.shape
