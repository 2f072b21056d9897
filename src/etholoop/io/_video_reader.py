"""Reading frames by number, time, slice or list, one after the other or in batches."""

import os
from collections.abc import Generator, Iterable, Iterator, Sized
from contextlib import contextmanager
from itertools import groupby, islice, pairwise
from pathlib import Path
from queue import SimpleQueue
from typing import Any, overload

import av
import numpy as np

from etholoop.errors import EthoLoopError
from etholoop.io._read_ahead import read_ahead as make_ahead
from etholoop.io._side_by_side import side_by_side
from etholoop.io._video_cursor import Cursor
from etholoop.io._video_index import VideoIndex
from etholoop.io._video_open import VideoFault
from etholoop.io._video_pixels import Pixels
from etholoop.io._video_probe import probe

Numbered = tuple[int, np.ndarray]

WINDOW_FRAMES = 4096
"""So many frame numbers are looked at together."""

WINDOW_BYTES = 256 * 1024**2
"""Decoded pictures that are kept to serve an unsorted list in the order asked."""

SCATTERED = 8
"""Frames that are at least so far apart on average are looked for by several decoders side by side."""

SCATTERED_BYTES = 48 * 1024**2
"""Images that wait for those before them take no more than this, or one for each decoder; each decoder has one more in hand."""

LEAST_BYTES, MOST_BYTES = {"yuv420p": 1.5, "yuvj420p": 1.5, "gray": 1.0, "yuv422p": 2.0, "yuvj422p": 2.0}, 8.0
"""Bytes of a pixel of a decoded picture, by its format; of any other format at most."""

THREADS_VARIABLE = "ETHOLOOP_DECODER_THREADS"
"""Environment variable: decoder threads where the reader is not told, for workers that share the cores of a machine."""


class VideoReader:
    """Frames of one file by number, as uint8 RGB (height, width, 3) with the display rotation applied; 8 bit whatever the file has.

    Memory does not grow with the length of the file. Several readings may run side by side, also in threads.

    Args:
        path: a local file.
        index: made by :func:`probe`; None probes the file first.
        size: (width, height) to scale to; None keeps that of the file.
        grey: give (height, width) luma from 0 to 255 instead of RGB (see :class:`Pixels`).
        threads: of the decoder; None: as the environment variable ETHOLOOP_DECODER_THREADS says, else one per core.
        read_ahead: how many images a thread decodes in advance; 0 = no thread.
    """

    def __init__(
        self,
        path: Path,
        index: VideoIndex | None = None,
        *,
        size: tuple[int, int] | None = None,
        grey: bool = False,
        threads: int | None = None,
        read_ahead: int = 4,
    ):
        self.path = Path(path)
        self.index = index if index is not None else probe(self.path)[1]
        info = self.index.info
        self.n_frames, self.fps = info.n_frames, info.fps
        self.width, self.height = size or (info.width, info.height)
        self.size, self.grey, self.read_ahead = size, grey, read_ahead
        self.threads = threads if threads is not None else _threads_of_environment()
        self._n_threads = self.threads if self.threads else os.cpu_count() or 1
        self._idle: list[tuple[Cursor, Pixels]] = []

    def read(self, frames: Iterable[int]) -> Iterator[Numbered]:
        """Give ``(frame, image)`` for each number, in the order asked: ascending, unsorted, with repeats.

        An ascending list is decoded in one pass. An unsorted one is decoded in passes over as many numbers as :data:`WINDOW_BYTES`
        have room for, each in ascending order.

        Raises:
            EthoLoopError: a number outside the file.
            VideoFault: a frame lies in a gap or cannot be decoded; the message names it.
        """
        images = self._images(iter(frames))
        few = isinstance(frames, Sized) and len(frames) < 3
        yield from images if few or not self.read_ahead else make_ahead(images, self.read_ahead)

    def stream(self, start: int = 0, stop: int | None = None, step: int = 1) -> Iterator[Numbered]:
        """Every ``step``-th frame of ``[start, stop)`` that can be used, as ``(frame, image)``; ``stop`` None = to the end."""
        usable = self.index.usable
        return self.read(frame for frame in range(*slice(start, stop, step).indices(self.n_frames)) if usable[frame])

    def batches(self, frames: Iterable[int], size: int) -> Iterator[np.ndarray]:
        """Images of the frames as arrays (n, height, width, 3) with memory of their own, n = ``size`` but for the last."""
        images = self.read(frames)
        while first := next(images, None):
            batch = np.empty((size, *first[1].shape), np.uint8)
            batch[0], n_images = first[1], 1
            for _, image in islice(images, size - 1):
                batch[n_images] = image
                n_images += 1
            yield batch[:n_images]

    def at_time(self, seconds: float) -> Numbered:
        """``(frame, image)`` of the frame shown ``seconds`` after the first one.

        Raises:
            EthoLoopError: the file gives no times, or nothing is shown then.
        """
        frame = self.index.frame_at(seconds)
        return frame, self[frame]

    @overload
    def __getitem__(self, frames: int) -> np.ndarray: ...
    @overload
    def __getitem__(self, frames: slice) -> np.ndarray: ...
    def __getitem__(self, frames: int | slice) -> np.ndarray:
        """The image of a frame, or those of a slice as one array (n, height, width, 3), which must fit into memory."""
        if not isinstance(frames, slice):
            return next(self._images(iter([frames])))[1]
        numbers = range(*frames.indices(self.n_frames))
        empty = np.empty((0, self.height, self.width) if self.grey else (0, self.height, self.width, 3), np.uint8)
        return next(self.batches(numbers, max(len(numbers), 1)), empty)

    def __len__(self) -> int:
        return self.n_frames

    def __iter__(self) -> Iterator[Numbered]:
        return self.stream()

    def close(self) -> None:
        """Close the files that are kept open for the next question."""
        while self._idle:
            self._idle.pop()[0].close()

    def __enter__(self) -> "VideoReader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_idle": []}

    def _images(self, frames: Iterator[int]) -> Generator[Numbered, None, None]:
        with self._decoder() as (cursor, pixels):
            while window := [self._checked(frame) for frame in islice(frames, WINDOW_FRAMES)]:
                for part in self._parts(window):
                    if self._is_scattered(part):
                        yield from self._scattered(part)
                        continue
                    cursor.want(part)
                    yield from self._in_order_asked(part, cursor, pixels)

    def _is_scattered(self, part: list[int]) -> bool:
        """Few frames of many, ascending: most time goes into finding each, and threads of one decoder wait for each other.

        Unsorted ones are not looked for in this way: what must be kept for them would take twice the memory.
        """
        if self._n_threads < 2 or len(part) < 2 * self._n_threads or not self.index.timed or not _ascends(part):
            return False
        far_apart = part[-1] - part[0] >= SCATTERED * (len(part) - 1)
        return far_apart and self.index.key_place(part[-1]) > self.index.key_place(part[0])

    def _scattered(self, part: list[int]) -> Iterator[Numbered]:
        """The frames after each keyframe by decoders of one thread each, side by side."""
        decoders: SimpleQueue[tuple[Cursor, Pixels]] = SimpleQueue()
        for _ in range(self._n_threads):
            decoders.put((Cursor(self.path, self.index, 1), Pixels(self.index.info.rotation, self.size, self.grey)))

        def work(group: list[int]) -> Iterator[Numbered]:
            cursor, pixels = decoders.get()
            try:
                cursor.want(group)
                yield from self._in_order_asked(group, cursor, pixels)
            finally:
                decoders.put((cursor, pixels))

        groups = (list(frames) for _, frames in groupby(part, self.index.key_place))
        room = SCATTERED_BYTES // (self.width * self.height * (1 if self.grey else 3))
        try:
            yield from side_by_side(work, groups, self._n_threads, max(room, self._n_threads))
        finally:
            while not decoders.empty():
                decoders.get()[0].close()

    def _parts(self, window: list[int]) -> Iterator[list[int]]:
        """The window itself if it ascends, else pieces of which all images fit into memory."""
        if _ascends(window):
            yield window
            return
        n_pixels = self.index.info.width * self.index.info.height
        length = max(1, int(WINDOW_BYTES / (n_pixels * LEAST_BYTES.get(self.index.info.pix_fmt, MOST_BYTES))))
        for start in range(0, len(window), length):
            yield window[start : start + length]

    def _in_order_asked(self, part: list[int], cursor: Cursor, pixels: Pixels) -> Iterator[Numbered]:
        if _ascends(part):
            kept: np.ndarray | None = None
            for frame, following in zip(part, [*part[1:], -1], strict=True):
                image = kept if kept is not None else self._image(pixels, cursor.take(frame), frame)
                kept = image.copy() if following == frame else None  # what is given out may be written to
                yield frame, image
            return
        last = {frame: place for place, frame in enumerate(part)}
        pictures = {frame: cursor.take(frame) for frame in sorted(last)}  # as decoded: half the size of RGB
        for place, frame in enumerate(part):
            yield frame, self._image(pixels, pictures[frame] if place < last[frame] else pictures.pop(frame), frame)

    def _image(self, pixels: Pixels, picture: av.VideoFrame, frame: int) -> np.ndarray:
        image = pixels.array(picture)
        if image.shape[:2] != (self.height, self.width):
            detail = f"frame {frame} is {image.shape[1]}x{image.shape[0]}, the file began with {self.width}x{self.height}."
            raise VideoFault("undecodable", detail, self.path)
        return image

    def _checked(self, frame: int) -> int:
        frame = int(frame)
        if not 0 <= frame < self.n_frames:
            raise EthoLoopError(f"{self.path}: frame {frame} was asked for; the file holds frames 0 to {self.n_frames - 1}.")
        if not self.index.usable[frame]:
            gap = self.index.gap_at(frame)
            detail = f"frame {frame} lies in the gap of frames {gap.start_frame} to {gap.stop_frame - 1} ({gap.reason})." if gap else ""
            raise VideoFault("gap", detail, self.path)
        return frame

    @contextmanager
    def _decoder(self) -> Iterator[tuple[Cursor, Pixels]]:
        """An open file that nobody else reads, kept for the next question unless something went wrong."""
        try:
            decoder = self._idle.pop()
        except IndexError:
            decoder = Cursor(self.path, self.index, self.threads), Pixels(self.index.info.rotation, self.size, self.grey)
        try:
            yield decoder
        except GeneratorExit:  # whoever asked has enough
            self._keep(decoder)
            raise
        except BaseException:
            decoder[0].close()
            raise
        self._keep(decoder)

    def _keep(self, decoder: tuple[Cursor, Pixels]) -> None:
        if self._idle:
            decoder[0].close()
        else:
            self._idle.append(decoder)


def _ascends(numbers: list[int]) -> bool:
    return all(before <= after for before, after in pairwise(numbers))


def _threads_of_environment() -> int | None:
    text = os.environ.get(THREADS_VARIABLE, "")
    if text and not (text.isdigit() and int(text)):
        raise EthoLoopError(f"{THREADS_VARIABLE}='{text}': expected a number of threads, for example 1.")
    return int(text) if text else None
