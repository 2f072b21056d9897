"""Videos: which frames a file really holds, and any of them by number.

A frame's number is its place, counted from 0, in what the decoder puts out. :func:`probe` makes the index once; the reader matches
every decoded frame to it by presentation time, so a seek can never give a neighbouring frame. What does not match is decoded
again from further back, and what cannot be decoded is an error that names the frame.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np
from av.stream import Disposition
from av.video.reformatter import VideoReformatter

from etholoop.errors import EthoLoopError
from etholoop.io import atomic

PROBE_VERSION = 1
"""Raised when :func:`probe` says something else about the same file: remembered results are then made anew."""

CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,mjpeg,ogg,asf,flv,dv,m4v,h264,hevc,ivf,obu,mxf,nut,yuv4mpegpipe"
)
"""Containers that hold their own frames. Playlists and lists of files are not among them: they would open other files or hosts."""

PLAYLISTS = (b"#extm3u", b"ffconcat", b"<?xml", b"<mpd", b"<smoothstreamingmedia", b"[playlist]", b"[reference]", b"<asx", b"v=0")
"""How files begin that only name other files."""

MAX_PIXELS = 8192 * 8192
"""Pixels of one frame; more is refused before anything is decoded."""

DECODE_ALL_PIXELS = 3 * 10**10
"""Up to so many pixels in all (about 15 000 frames of 1080p) a file is always decoded once when it is probed."""

SEEK_GAIN = 8
"""A jump ahead is a seek only when it saves more frames than this; a seek costs the decoder's delay."""

NO_TIME = np.iinfo(np.int64).min
"""Stands in ``VideoIndex.pts`` for a frame without presentation time."""


class VideoFault(EthoLoopError):  # noqa: N818 - a fault of the file, not of the program
    """A file that cannot be used as a video.

    ``reason`` is one of empty, not_a_video, no_video_stream, truncated, undecodable, forbidden_container, too_large, unreadable;
    ``detail`` is a sentence for people.
    """

    def __init__(self, reason: str, detail: str, path: Path | None = None):
        self.reason = reason
        self.detail = detail
        super().__init__(f"{path}: {detail}" if path else detail)


@dataclass(frozen=True)
class VideoInfo:
    """What a file holds. Width and height are as shown, after ``rotation`` (clockwise degrees).

    ``n_frames_header`` is what the container claims, None if it claims nothing. ``fps`` is None when the file has no times.
    ``decoded`` tells whether ``n_frames`` was counted by decoding or taken from the demux index.
    """

    n_frames: int
    n_frames_header: int | None
    fps: Fraction | None
    duration_s: float | None
    width: int
    height: int
    codec: str
    pix_fmt: str
    container: str
    rotation: int
    variable_rate: bool
    decoded: bool


@dataclass(frozen=True)
class VideoIndex:
    """Where each frame is.

    ``pts`` (n_frames,) int64: presentation time of each frame in units of ``time_base``, in the decoder's output order.
    ``keyframes`` (k,) int64: numbers of the frames where decoding can start, ascending.
    ``timed``: times are all there and rising, so that frames can be recognised by them; if not, reading goes from the start.
    """

    info: VideoInfo
    pts: np.ndarray
    keyframes: np.ndarray
    time_base: Fraction
    timed: bool

    def times_s(self) -> np.ndarray:
        """Seconds from the first frame, (n_frames,) float64; NaN where the file gives no times."""
        if not self.timed:
            return np.full(len(self.pts), np.nan)
        return (self.pts - self.pts[0]) * float(self.time_base)

    def start_for(self, frame: int) -> int:
        """The last keyframe at or before ``frame``; 0 when there is none or frames cannot be recognised."""
        if not self.timed:
            return 0
        place = int(np.searchsorted(self.keyframes, frame, side="right")) - 1
        return int(self.keyframes[place]) if place >= 0 else 0

    def save(self, path: Path) -> None:
        """Write as ``.npz``; the same index gives the same bytes."""
        info = {**asdict(self.info), "fps": str(self.info.fps) if self.info.fps is not None else None}
        meta = json.dumps({"info": info, "time_base": str(self.time_base), "timed": self.timed}, sort_keys=True)
        with atomic.new_file(path) as temporary, temporary.open("wb") as stream:
            # differences of times compress to almost nothing
            np.savez_compressed(stream, meta=np.array(meta), pts_steps=np.diff(self.pts, prepend=0), keyframes=self.keyframes)

    @classmethod
    def load(cls, path: Path) -> "VideoIndex":
        """Read what :meth:`save` wrote.

        Raises:
            EthoLoopError: the file is missing or damaged.
        """
        try:
            with np.load(path, allow_pickle=False) as arrays:
                meta = json.loads(str(arrays["meta"]))
                pts, keyframes = np.cumsum(arrays["pts_steps"]), arrays["keyframes"]
        except Exception as error:  # numpy and zipfile raise several unrelated types for a damaged file
            raise EthoLoopError(f"{path}: not readable as a video index ({error}). Run `etholoop repro` to make it again.") from error
        info = meta["info"]
        info["fps"] = Fraction(info["fps"]) if info["fps"] is not None else None
        return cls(VideoInfo(**info), pts, keyframes, Fraction(meta["time_base"]), meta["timed"])


def probe(path: Path, decode: bool | None = None) -> tuple[VideoInfo, VideoIndex]:
    """Count a file's frames and make its index.

    Args:
        path: a local file.
        decode: True decodes every frame, None only where that is cheap or where the demux index is not to be trusted.

    Raises:
        VideoFault: the file is no video, is refused, or holds frames that cannot be decoded.
    """
    container, stream = _open(path)
    with container:
        packets = _demux(container, stream, path)
        size = stream.codec_context.width * stream.codec_context.height
    if decode is None:
        decode = len(packets.times) * size <= DECODE_ALL_PIXELS or not packets.trustworthy
    container, stream = _open(path)
    with container:
        seen = _decode(container, stream, path, packets, everything=decode)
        return _describe(container, stream, path, packets, seen)


class VideoReader:
    """Frames of one file by number, as uint8 RGB (height, width, 3) with the display rotation applied.

    Memory does not grow with the length of the file. Each :meth:`read` and :meth:`stream` opens the file anew, so several may run
    side by side. Without an ``index`` the file is probed first.
    """

    def __init__(self, path: Path, index: VideoIndex | None = None):
        self.path = Path(path)
        self.index = index if index is not None else probe(self.path)[1]
        self._to_rgb = VideoReformatter()  # kept: making one costs more than converting a small frame
        info = self.index.info
        self.n_frames, self.width, self.height, self.fps = info.n_frames, info.width, info.height, info.fps

    def read(self, frames: Iterable[int]) -> Iterator[tuple[int, np.ndarray]]:
        """Give ``(frame, image)`` for ascending, unique frame numbers.

        Raises:
            ValueError: the numbers do not ascend.
            EthoLoopError: a number outside the file.
            VideoFault: a frame cannot be decoded; the message names it.
        """
        cursor: _Cursor | None = None
        last = -1
        try:
            for frame in map(int, frames):
                self._check(frame, last)
                cursor = cursor or _Cursor(self.path, self.index)
                yield frame, self._image(cursor.take(frame), frame)
                last = frame
        finally:
            if cursor:
                cursor.close()

    def stream(self, start: int = 0, stop: int | None = None, step: int = 1) -> Iterator[tuple[int, np.ndarray]]:
        """Every ``step``-th frame of ``[start, stop)``; ``stop`` None = to the end."""
        return self.read(range(start, self.n_frames if stop is None else min(stop, self.n_frames), step))

    def _check(self, frame: int, last: int) -> None:
        if not 0 <= frame < self.n_frames:
            raise EthoLoopError(f"{self.path}: frame {frame} was asked for; the file holds frames 0 to {self.n_frames - 1}.")
        if frame <= last:
            raise ValueError(f"frame numbers must ascend, found {frame} after {last}")

    def _image(self, picture: av.VideoFrame, frame: int) -> np.ndarray:
        rgb: np.ndarray = self._to_rgb.reformat(picture, format="rgb24").to_ndarray()
        image = np.ascontiguousarray(np.rot90(rgb, k=-(self.index.info.rotation // 90)))  # the decoder pads its rows
        if image.shape[:2] != (self.height, self.width):
            detail = f"frame {frame} is {image.shape[1]}x{image.shape[0]}, the file began with {self.width}x{self.height}."
            raise VideoFault("undecodable", detail, self.path)
        return image


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
    # one encoder thread: the bytes must not depend on the number of cores
    stream.options = {"crf": str(crf), "threads": "1"}
    return stream


def _open(path: Path) -> tuple[Any, Any]:
    """Open a local file: ``(container, video stream)``. Network, playlists and references to other files are refused."""
    container = _open_container(path)
    try:
        return container, _video_stream(container, path)
    except BaseException:
        container.close()
        raise


def _open_container(path: Path) -> Any:
    _refuse_playlist(path)
    options = {"protocol_whitelist": "file", "format_whitelist": CONTAINERS}
    try:
        # "file:" keeps a name such as "concat:a|b" from being read as an address
        return av.open(f"file:{path.absolute()}", options={"max_pixels": str(MAX_PIXELS)}, container_options=options)
    except av.error.ArgumentError as error:
        sentence = "The file's container is not one that EthoLoop opens. Convert it to mp4, mkv or avi."
        raise VideoFault("forbidden_container", sentence, path) from error
    except av.error.FFmpegError as error:
        sentence = f"The file is not a readable video, or is cut off before its index ({error.strerror})."
        raise VideoFault("not_a_video", sentence, path) from error


def _refuse_playlist(path: Path) -> None:
    try:
        with path.open("rb") as stream:
            head = stream.read(4096)
    except OSError as error:
        raise VideoFault("unreadable", f"The file cannot be read: {error.strerror}.", path) from error
    if not head:
        raise VideoFault("empty", "The file is empty (0 bytes).", path)
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(PLAYLISTS):
        sentence = "The file is a playlist: it names other files or addresses. Add the videos themselves."
        raise VideoFault("forbidden_container", sentence, path)


def _video_stream(container: Any, path: Path) -> Any:
    streams = [stream for stream in container.streams.video if Disposition.attached_pic not in stream.disposition]
    if not streams:
        raise VideoFault("no_video_stream", "The file holds no video stream.", path)
    stream = streams[0]
    if stream.codec_context is None:
        raise VideoFault("undecodable", "No decoder is known for the file's video stream.", path)
    width, height = stream.codec_context.width, stream.codec_context.height
    if width * height > MAX_PIXELS:
        raise VideoFault("too_large", f"Frames of {width}x{height} pixels are beyond the limit of {MAX_PIXELS} pixels.", path)
    stream.thread_type = "AUTO"
    return stream


@dataclass(frozen=True)
class _Packets:
    """What demuxing alone says; ``times`` (n,) int64 in the order of the file, ``keys`` the times of keyframes."""

    times: np.ndarray
    keys: np.ndarray
    n_corrupt: int
    trustworthy: bool


def _demux(container: Any, stream: Any, path: Path) -> _Packets:
    """Walk through all packets without decoding. ``times`` holds NO_TIME for packets without presentation time."""
    times, keys, n_corrupt, n_hidden, broken = [], [], 0, 0, False
    try:
        for packet in container.demux(stream):
            if packet.size == 0:
                continue
            times.append(NO_TIME if packet.pts is None else packet.pts)
            n_corrupt += packet.is_corrupt
            n_hidden += packet.is_discard
            if packet.is_keyframe:
                keys.append(times[-1])
    except av.error.FFmpegError:
        broken = True  # decoding meets the same fault and words it
    if not times:
        raise VideoFault("undecodable", "The file holds no frames.", path)
    n_corrupt += _ends_early(stream, path)
    all_times = np.array(times, dtype=np.int64)
    trustworthy = (
        stream.codec_context.name in ("h264", "hevc", "av1", "mjpeg")
        and stream.frames == len(times)
        and not (n_corrupt or n_hidden or broken)
        and bool(keys)
        and all_times[0] == keys[0] == all_times.min() != NO_TIME
        and len(np.unique(all_times)) == len(times)
    )
    return _Packets(all_times, np.array(keys, dtype=np.int64), n_corrupt, trustworthy)


def _ends_early(stream: Any, path: Path) -> bool:
    """Whether the container's own index names bytes that the file does not have: it was cut between two packets."""
    entries = stream.index_entries
    return len(entries) > 0 and entries[-1].pos + entries[-1].size > path.stat().st_size


@dataclass(frozen=True)
class _Seen:
    """What decoding says; ``first`` is the first picture, ``times`` (n,) of all pictures in output order."""

    first: av.VideoFrame
    times: np.ndarray
    decoded: bool


def _decode(container: Any, stream: Any, path: Path, packets: _Packets, everything: bool) -> _Seen:
    """Decode the file, or only its first picture and trust the packets.

    Raises:
        VideoFault: no picture, or damaged pictures; such a file never enters training.
    """
    times: list[int] = []
    first: av.VideoFrame | None = None
    damage: _Damage | None = None
    for picture, fault in _pictures(container, stream):
        if picture is None or fault:
            damage = damage or _Damage(len(times), fault)
            continue
        first = first or picture
        times.append(NO_TIME if picture.pts is None else picture.pts)
        if not everything and not damage:
            break
    if first is None:
        raise VideoFault("undecodable", f"No frame can be decoded{f' ({damage.what})' if damage else ''}.", path)
    if damage or packets.n_corrupt:
        raise _damaged(path, len(times), stream.frames, damage or _Damage(len(times), "the file ends early"))
    return _Seen(first, np.array(times, dtype=np.int64) if everything else np.sort(packets.times), everything)


@dataclass(frozen=True)
class _Damage:
    """The first damage met: how many good frames lie before it, and what it was."""

    frame: int
    what: str


def _damaged(path: Path, n_good: int, n_header: int, damage: _Damage) -> VideoFault:
    """Truncated = nothing good comes after the damage, and the header promises more."""
    cut = damage.frame == n_good and (not n_header or n_header > n_good)
    claim = f" of {n_header}" if n_header else ""
    sentence = f"{n_good}{claim} frames decode ({damage.what} at frame {damage.frame}). Repair or cut the file, then add it again."
    return VideoFault("truncated" if cut else "undecodable", sentence, path)


def _pictures(container: Any, stream: Any) -> Iterator[tuple[av.VideoFrame | None, str]]:
    """All pictures in output order from where the container stands, each with a fault in words or ''."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.error.FFmpegError as error:
            yield None, f"reading stops: {error.strerror}"
            return
        if packet is None:
            return
        try:
            pictures = packet.decode()
        except av.error.FFmpegError as error:
            yield None, f"decoder: {error.strerror}"
            continue
        for picture in pictures:
            yield picture, "damaged picture" if picture.is_corrupt else ""


def _describe(container: Any, stream: Any, path: Path, packets: _Packets, seen: _Seen) -> tuple[VideoInfo, VideoIndex]:
    times, time_base = seen.times, Fraction(stream.time_base)
    timed = bool(np.all(times != NO_TIME)) and bool(np.all(np.diff(times) > 0))
    fps, variable = _rate(times * 1.0 if timed else None, time_base, [stream.average_rate, stream.guessed_rate])
    rotation = _clockwise(seen.first.rotation, path)
    width, height = seen.first.width, seen.first.height
    info = VideoInfo(
        n_frames=len(times),
        n_frames_header=stream.frames or None,
        fps=fps,
        duration_s=float(len(times) / fps) if fps else None,
        width=height if rotation % 180 else width,
        height=width if rotation % 180 else height,
        codec=stream.codec_context.name,
        pix_fmt=stream.codec_context.pix_fmt or "",
        container=container.format.name,
        rotation=rotation,
        variable_rate=variable,
        decoded=seen.decoded,
    )
    keyframes = np.flatnonzero(np.isin(times, packets.keys)) if timed else np.zeros(0)
    return info, VideoIndex(info, times, keyframes.astype(np.int64), time_base, timed)


def _clockwise(counter_clockwise: int, path: Path) -> int:
    rotation = -counter_clockwise % 360
    if rotation % 90:
        raise VideoFault("undecodable", f"The display rotation is {rotation} degrees; only quarter turns are known.", path)
    return rotation


def _rate(times: np.ndarray | None, time_base: Fraction, claimed: list[Fraction | None]) -> tuple[Fraction | None, bool]:
    """Frames per second and whether the rate varies.

    A claimed rate counts when no frame lies further than a quarter period from where it says; times are rounded to ``time_base``.
    If none counts, the rate is the mean one, from the first to the last frame.
    """
    rates = [Fraction(rate) for rate in claimed if rate]
    if times is None or len(times) < 2:
        return (rates[0] if rates else None), False
    mean = Fraction(len(times) - 1, int(times[-1] - times[0])) / time_base
    for rate in [*rates, mean]:
        expected = times[0] + np.arange(len(times)) * float(1 / (rate * time_base))
        if np.abs(times - expected).max() <= 0.25 * float(1 / (rate * time_base)):
            return rate.limit_denominator(1_000_000), False
    return mean.limit_denominator(1_000_000), True


class _Cursor:
    """A place in one open file that only moves on, or starts again further back."""

    def __init__(self, path: Path, index: VideoIndex):
        self.path, self.index = path, index
        self._open()

    def close(self) -> None:
        self._container.close()

    def take(self, frame: int) -> av.VideoFrame:
        """The picture with this number; tries where it stands, then from ever earlier keyframes, at last from the start."""
        for attempt in self._starts(frame):
            if attempt is not None:
                self._go(attempt)
            picture = self._search(frame)
            if picture is not None:
                return picture
        raise VideoFault("undecodable", f"frame {frame} cannot be decoded ({self._fault or 'it is missing'}).", self.path)

    def _starts(self, frame: int) -> Iterator[int | None]:
        """Where to start: None = decode on from here."""
        key = self.index.start_for(frame)
        if self._next <= frame and key - self._next <= SEEK_GAIN:
            yield None
        back = 1
        while key > 0:
            yield key
            key = self.index.start_for(max(key - back, 0))
            back *= 8
        yield 0

    def _go(self, start: int) -> None:
        if start == 0:
            self.close()
            self._open()
            return
        self._next, self._wait_for, self._fault = start, start, ""
        try:
            self._container.seek(int(self.index.pts[start]), stream=self._stream, backward=True, any_frame=False)
            self._found = _pictures(self._container, self._stream)
        except av.error.FFmpegError as error:
            self._found, self._fault = iter(()), f"seeking: {error.strerror}"

    def _open(self) -> None:
        """Open anew: the only way to the start that holds for every container."""
        self._container, self._stream = _open(self.path)
        self._found = _pictures(self._container, self._stream)
        self._next, self._wait_for, self._fault = 0, -1, ""

    def _search(self, frame: int) -> av.VideoFrame | None:
        """Decode on to ``frame``; None if it does not come, or if anything on the way is damaged."""
        for picture, fault in self._found:
            number = self._number(picture) if picture is not None else -1
            if self._wait_for >= 0 and number < self._wait_for:
                continue  # what a seek gives before its keyframe may lack its references
            if self._wait_for >= 0 and number > self._wait_for:
                break
            self._wait_for = -1
            if fault:
                self._fault = fault
                break
            self._next = number + 1
            if number == frame:
                return picture
            if number > frame:
                break
        self._next = self.index.info.n_frames  # lost: the next take must start again
        return None

    def _number(self, picture: av.VideoFrame) -> int:
        """Number of a decoded picture; one with an unknown time counts as before everything."""
        if not self.index.timed:
            return self._next
        if picture.pts is None:
            return -1
        place = int(np.searchsorted(self.index.pts, picture.pts))
        known = place < len(self.index.pts) and self.index.pts[place] == picture.pts
        return place if known else -1
