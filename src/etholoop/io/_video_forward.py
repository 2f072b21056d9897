"""Many frames of one video from front to back, each made into something small, as quickly as the cores allow.

Most of a video's frames, asked for in ascending order, are cut into groups that begin at keyframes; several decoders of one thread each
take groups and make of their pictures what is wanted, so that colours and sizes are no bottleneck behind the decoder. Nothing is
believed that the index does not say: where a picture comes that should not come there, is flagged as damaged, or is of a kind whose
colours this way does not treat exactly as :class:`VideoReader` does, the group is read by that class, with its faults.
"""

import os
from collections.abc import Callable, Iterator
from itertools import count, islice
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar

import av
import av.error
import numpy as np
from av.video.reformatter import VideoReformatter

from etholoop.io._read_ahead import read_ahead
from etholoop.io._side_by_side import side_by_side
from etholoop.io._video_index import VideoIndex
from etholoop.io._video_open import open_video
from etholoop.io._video_packets import packets_of
from etholoop.io._video_reader import VideoReader, _threads_of_environment

Made = TypeVar("Made")

DENSE = 0.5
"""Share of the frames between the first and the last one from which on everything between is decoded."""

GROUP_FRAMES, LONGEST_GROUP = 48, 128
"""Frames of a group at least; with keyframes farther apart than the second number one decoder reads everything."""

AHEAD = 4
"""Groups that lie ready where one decoder reads everything."""


def forward(
    path: Path, index: VideoIndex, frames: list[int], make: Callable[[np.ndarray], Made], threads: int | None = None
) -> Iterator[tuple[int, Made]]:
    """``(frame, make(image))`` of ascending frames; ``make`` runs in several threads and gets uint8 RGB (height, width, 3).

    Args:
        threads: as many decoders; None: as the environment variable ETHOLOOP_DECODER_THREADS says, else one per core.

    Raises:
        EthoLoopError, VideoFault: as :meth:`VideoReader.read`.
    """
    if not frames:
        return
    n_threads = threads or _threads_of_environment() or os.cpu_count() or 1
    if not _is_plain(index, frames):
        with VideoReader(path, index, threads=threads) as reader:
            yield from ((frame, make(image)) for frame, image in reader.read(frames))
        return
    groups = list(_groups(index, frames))
    if n_threads == 1 or len(groups) == 1 or max(group[-1] - index.start_for(group[0]) for group in groups) > LONGEST_GROUP:
        alone = _one_by_one(path, index, groups, make)
        yield from alone if n_threads == 1 else read_ahead(alone, AHEAD * GROUP_FRAMES)
        return
    decoders: SimpleQueue[_Forward] = SimpleQueue()
    for _ in range(n_threads):
        decoders.put(_Forward(path, index))

    def work(group: list[int]) -> Iterator[list[tuple[int, Made]]]:
        decoder = decoders.get()
        try:
            yield decoder.take(group, make)
        finally:
            decoders.put(decoder)

    try:
        for made in side_by_side(work, groups, n_threads, n_threads):  # groups, because handing over each picture would cost more
            yield from made
    finally:
        while not decoders.empty():
            decoders.get().close()


def _one_by_one(path: Path, index: VideoIndex, groups: list[list[int]], make: Callable[[np.ndarray], Made]) -> Any:
    decoder = _Forward(path, index)
    try:
        for group in groups:
            yield from decoder.take(group, make)
    finally:
        decoder.close()


def _is_plain(index: VideoIndex, frames: list[int]) -> bool:
    """Whether frames can be recognised one after the other, are many, and their colours are of the common kind."""
    first, last = frames[0], frames[-1]
    if not 0 <= first <= last < index.info.n_frames or len(frames) < DENSE * (last - first + 1):
        return False
    # the last column and row of odd sizes would get other colours
    common = index.info.pix_fmt == "yuv420p" and index.info.rotation == 0 and index.info.width % 2 == index.info.height % 2 == 0
    ascends = all(a < b for a, b in zip(frames, islice(frames, 1, None), strict=False))
    return common and ascends and index.timed and len(index.keyframes) > 0 and bool(index.usable[first : last + 1].all())


def _groups(index: VideoIndex, frames: list[int]) -> Iterator[list[int]]:
    """Frames from one keyframe to another, so many together that finding the place costs little; parts of them where keyframes are rare."""
    keys = set(index.keyframes.tolist())
    wanted = set(frames)
    group: list[int] = []
    for frame in range(frames[0], frames[-1] + 1):
        if len(group) >= GROUP_FRAMES and (frame in keys or len(group) >= LONGEST_GROUP):
            yield group
            group = []
        if frame in wanted:
            group.append(frame)
    if group:
        yield group


class _Unexpected(Exception):  # noqa: N818 - never leaves this file
    """What came is not what the index says."""


class _Forward:
    """One decoder of one thread that expects the pictures of the index, one after the other."""

    def __init__(self, path: Path, index: VideoIndex):
        self.path, self.index = path, index
        self._container: Any = None
        self._careful: VideoReader | None = None
        self._next = -1
        self._pictures: Iterator[av.VideoFrame] = iter(())
        self._to_rgb = VideoReformatter()

    def close(self) -> None:
        if self._container is not None:
            self._container.close()
            self._container = None
        if self._careful is not None:
            self._careful.close()

    def take(self, group: list[int], make: Callable[[np.ndarray], Made]) -> list[tuple[int, Made]]:
        """The frames of a group; from VideoReader if anything is not as expected."""
        try:
            return self._taken(group, make)
        except (_Unexpected, av.error.FFmpegError):
            self._next = -1
            self._careful = self._careful or VideoReader(self.path, self.index, threads=1, read_ahead=0)
            return [(frame, make(image)) for frame, image in self._careful.read(group)]

    def _taken(self, group: list[int], make: Callable[[np.ndarray], Made]) -> list[tuple[int, Made]]:
        found, wanted = [], set(group)
        for frame, picture in self._from(group[0]):
            if frame in wanted:
                found.append((frame, make(self._rgb(picture))))
            if frame == group[-1]:
                break
        if len(found) < len(group):
            raise _Unexpected
        return found

    def _from(self, first: int) -> Iterator[tuple[int, av.VideoFrame]]:
        """Frames from ``first`` or a keyframe before it on, each checked against the index."""
        start = self.index.start_for(first)
        if not start <= self._next <= first:
            self._seek(start)
        pts = self.index.pts
        for number in count(self._next):
            picture = next(self._pictures, None)
            if picture is None or number >= len(pts) or picture.pts != pts[number] or picture.is_corrupt:
                raise _Unexpected
            self._next = number + 1
            yield number, picture

    def _seek(self, key: int) -> None:
        """Stand before the picture of a keyframe; pictures that a seek gives before it are left out."""
        if self._container is None:
            self._container, self._stream = open_video(self.path, threads=1)
            fresh = True
        else:
            fresh = False
        if key > 0 or not fresh:
            place = self.index.key_place(key)
            target = self.index.seeks[place] if len(self.index.seeks) else self.index.pts[key]
            self._container.seek(int(target), stream=self._stream, backward=True, any_frame=False)
        self._pictures = self._decoded(int(self.index.pts[key]))
        self._next = key

    def _decoded(self, first_stamp: int) -> Iterator[av.VideoFrame]:
        arrived, context = False, self._stream.codec_context
        for packet, trouble in packets_of(self._container, self._stream):
            if trouble:
                raise _Unexpected
            for picture in context.decode(packet):
                arrived = arrived or picture.pts == first_stamp
                if arrived:
                    yield picture

    def _rgb(self, picture: av.VideoFrame) -> np.ndarray:
        info = self.index.info
        if (picture.width, picture.height, picture.format.name) != (info.width, info.height, "yuv420p") or picture.interlaced_frame:
            raise _Unexpected
        plane = self._to_rgb.reformat(picture, format="rgb24", threads=1).planes[0]
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[: info.height, : 3 * info.width]
        return np.ascontiguousarray(rows).reshape(info.height, info.width, 3)
