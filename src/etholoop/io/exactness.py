"""Is every frame that a reader gives by number the frame that decoding from the start gives?

One pass through the file makes a checksum of every frame; then frames are asked for at random, in every way the reader knows, and
each must have the checksum of its number. Memory does not grow with the length of the file beyond 8 bytes per frame.
"""

import hashlib
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from etholoop.io.video import VideoIndex, VideoReader

WAYS = ("fresh", "reused", "sorted", "unsorted", "slice", "time", "batches", "threads", "interleaved")
"""Ways to ask: one frame of a new reader or of one in use, lists, slices, times, batches, readers in threads, two readings in turn."""

LONGEST_SLICE = 12

Answer = tuple[int, int, np.ndarray]
"""Number asked for, number given with the frame, the frame."""


@dataclass(frozen=True)
class Request:
    """Frames that are asked for together, and the way they are asked for (one of :data:`WAYS`)."""

    way: str
    frames: tuple[int, ...]


@dataclass(frozen=True)
class Wrong:
    """A frame that was not the one asked for; ``got`` says in words what came instead."""

    way: str
    asked: int
    got: str


@dataclass(frozen=True)
class Verdict:
    """What was found.

    ``accesses`` requests gave ``compared`` frames. ``repeated`` frames have the same bytes as the one before; between such
    neighbours a checksum cannot tell. ``start_s`` is the time of the first frame, None without usable times.
    """

    index: VideoIndex
    n_usable: int
    repeated: int
    accesses: int
    compared: int
    wrong: tuple[Wrong, ...]
    start_s: float | None


def verify(path: Path, index: VideoIndex, accesses: int = 200, seed: int = 0, tell: Callable[[int], object] = lambda _: None) -> Verdict:
    """Compare random accesses with decoding from the start.

    Args:
        accesses: number of requests; one gives 1 to 12 frames.
        tell: called with 1 for every frame of the first pass and for every request.

    Raises:
        VideoFault: a usable frame cannot be decoded even from the start.
    """
    usable = np.flatnonzero(index.usable)
    sums = checksums(path, index, tell)
    reader, wrong, compared = VideoReader(path, index), list[Wrong](), 0
    for request, _ in zip(requests(index, seed), range(accesses), strict=False):
        try:
            for asked, given, image in answers(request, path, reader):
                compared += 1
                wrong += _judged(request.way, asked, given, checksum(image), sums)
        except Exception as error:  # whatever goes wrong here is what is looked for
            wrong.append(Wrong(request.way, request.frames[0], f"{type(error).__name__}: {error}"))
        tell(1)
    known = sums[usable]
    return Verdict(
        index=index,
        n_usable=len(usable),
        repeated=int((known[1:] == known[:-1]).sum()),
        accesses=accesses,
        compared=compared,
        wrong=tuple(wrong),
        start_s=float(index.pts[0] * index.time_base) if index.timed else None,
    )


def checksum(image: np.ndarray) -> int:
    """64 bits of a frame's bytes and shape."""
    digest = hashlib.blake2b(repr(image.shape).encode(), digest_size=8)
    digest.update(np.ascontiguousarray(image).data)
    return int.from_bytes(digest.digest(), "little")


def checksums(path: Path, index: VideoIndex, tell: Callable[[int], object] = lambda _: None) -> np.ndarray:
    """Checksum of every frame from one pass, (n_frames,) uint64; 0 for frames that are not usable.

    Raises:
        VideoFault: the pass did not give every usable frame once and in order.
    """
    sums = np.zeros(index.info.n_frames, np.uint64)
    for frame, image in VideoReader(path, index).read(np.flatnonzero(index.usable)):
        sums[frame] = checksum(image)
        tell(1)
    return sums


def requests(index: VideoIndex, seed: int) -> Iterator[Request]:
    """Random requests for usable frames without end, every way in turn; none for a file without usable frames."""
    chance, usable = random.Random(seed), np.flatnonzero(index.usable)
    if not len(usable):
        return
    ways = [way for way in WAYS if way != "time" or index.timed]
    while True:
        for way in ways:
            yield Request(way, _chosen(way, usable, chance))


def _chosen(way: str, usable: np.ndarray, chance: random.Random) -> tuple[int, ...]:
    """Frames for one request; ``usable`` (n,) ascending."""
    if way == "slice":
        return _run(usable, chance)
    places = [chance.randrange(len(usable)) for _ in range(6)]
    if way in ("fresh", "reused", "time"):
        places = places[:1]
    elif way == "sorted":
        places = sorted(set(places))
    else:  # one of them twice, and two neighbours
        places += [places[0], min(places[1] + 1, len(usable) - 1)]
    return tuple(usable[places].tolist())


def _run(usable: np.ndarray, chance: random.Random) -> tuple[int, ...]:
    """Frames with one distance, all of them usable."""
    place, step, length = chance.randrange(len(usable)), chance.choice((1, 1, 2, 5)), chance.randint(1, LONGEST_SLICE)
    wanted = usable[place] + step * np.arange(length)
    return tuple(wanted[np.cumprod(np.isin(wanted, usable[place : place + step * length])).astype(bool)].tolist())


def answers(request: Request, path: Path, reader: VideoReader) -> Iterator[Answer]:
    """What the reader gives for a request, in the order in which the frames were asked for.

    Raises:
        EthoLoopError: the reader gave an error, or fewer or more frames than were asked for.
    """
    given = _SERVE[request.way](request.frames, path, reader)
    for asked, (frame, image) in zip(request.frames, given, strict=True):
        yield asked, frame, image


Given = Iterator[tuple[int, np.ndarray]]


def _fresh(frames: tuple[int, ...], path: Path, reader: VideoReader) -> Given:
    return VideoReader(path, reader.index).read(frames)


def _reused(frames: tuple[int, ...], _: Path, reader: VideoReader) -> Given:
    return ((frame, reader[frame]) for frame in frames)


def _list(frames: tuple[int, ...], _: Path, reader: VideoReader) -> Given:
    return reader.read(frames)


def _slice(frames: tuple[int, ...], _: Path, reader: VideoReader) -> Given:
    step = frames[1] - frames[0] if len(frames) > 1 else 1
    return zip(frames, reader[frames[0] : frames[-1] + 1 : step], strict=True)


def _time(frames: tuple[int, ...], _: Path, reader: VideoReader) -> Given:
    times = reader.index.times_s()
    for frame in frames:
        until = times[frame + 1] if frame + 1 < len(times) else times[frame] + 0.01
        yield reader.at_time(0.75 * times[frame] + 0.25 * until)


def _batches(frames: tuple[int, ...], _: Path, reader: VideoReader) -> Given:
    images = (image for batch in reader.batches(frames, 3) for image in batch)
    return zip(frames, images, strict=True)


def _threads(frames: tuple[int, ...], path: Path, reader: VideoReader) -> Given:
    """Three new readers and the one in use, side by side."""
    readers = [reader, *(VideoReader(path, reader.index) for _ in range(3))]
    shares = [frames[place :: len(readers)] for place in range(len(readers))]
    with ThreadPoolExecutor(len(readers)) as pool:
        found = list(pool.map(lambda one, share: list(one.read(share)), readers, shares))
    for place in range(len(frames)):
        yield found[place % len(readers)][place // len(readers)]


def _interleaved(frames: tuple[int, ...], _: Path, reader: VideoReader) -> Given:
    """Two readings of one reader, a frame of each in turn."""
    readings = [reader.read(frames[::2]), reader.read(frames[1::2])]
    for place in range(len(frames)):
        yield next(readings[place % 2])


_SERVE: dict[str, Callable[[tuple[int, ...], Path, VideoReader], Given]] = {
    "fresh": _fresh,
    "reused": _reused,
    "sorted": _list,
    "unsorted": _list,
    "slice": _slice,
    "time": _time,
    "batches": _batches,
    "threads": _threads,
    "interleaved": _interleaved,
}


def _judged(way: str, asked: int, given: int, found: int, sums: np.ndarray) -> list[Wrong]:
    if given != asked:
        return [Wrong(way, asked, f"a frame that calls itself {given}")]
    if found == sums[asked]:
        return []
    places = np.flatnonzero(sums == found)
    return [Wrong(way, asked, f"frame {places[0]}" if len(places) else "a picture that decoding from the start does not give")]
