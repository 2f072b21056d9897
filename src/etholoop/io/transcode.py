"""Derived videos: encoded in independent chunks, joined by copying, checked frame by frame before they get their name.

The default encoder gives the same bytes from the same pictures on every processor and with any number of cores: libx264 with one
thread and ``cpu-independent`` (without it libx264 takes other decisions on processors with AVX than on those without). Cores are
used by encoding chunks side by side. There are no B-frames, so a frame's place in the file is its place in time, its decoding time
is its presentation time, and the file needs no edit list that some browsers and tools overlook.
"""

import io
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np
from av.codec import Codec
from av.codec.codec import UnknownCodecError
from av.video.frame import VideoFrame

from etholoop.errors import EthoLoopError
from etholoop.io import atomic, images, video
from etholoop.io.transcode_filters import clean

VERSION = 1
"""To be changed with the bytes that are written, so that old chunks in the memo are not used."""

SOFTWARE = {"h264": "libx264", "hevc": "libx265"}
HARDWARE = {
    "h264": ("h264_nvenc", "h264_videotoolbox", "h264_qsv", "h264_amf", "h264_v4l2m2m"),
    "hevc": ("hevc_nvenc", "hevc_videotoolbox", "hevc_qsv", "hevc_amf", "hevc_v4l2m2m"),
}
QUALITY_OPTION = {"nvenc": "cq", "qsv": "global_quality", "amf": "qp_i", "videotoolbox": "q", "v4l2m2m": "qp"}


class EncoderFault(EthoLoopError):  # noqa: N818 - a fault of the machine's encoder, not of the program
    """The encoder does not work here."""


@dataclass(frozen=True)
class Encoding:
    """How a derived video is encoded. ``crf``: constant quality, lower is better; ``gop``: at most so many frames between keyframes.

    ``tick`` is the unit in which the times of frames are given, in seconds; a constant rate has ``tick = 1 / fps``.
    """

    width: int
    height: int
    tick: Fraction
    codec: str = "h264"
    crf: int = 18
    gop: int = 50
    preset: str = "medium"
    encoder: str = "libx264"

    @property
    def fps(self) -> Fraction:
        return 1 / self.tick


def library() -> str:
    """The version of the libraries that make the bytes."""
    parts = (f"{name} {'.'.join(map(str, number))}" for name, number in sorted(av.library_versions.items()))
    return f"av {av.__version__}, {', '.join(parts)}"


def working_encoder(codec: str, wanted: str, width: int, height: int) -> str:
    """Name of the encoder for pictures of this size: of ``cpu``, ``auto`` (hardware that works, otherwise CPU), or a name.

    Hardware counts only when it has encoded pictures of this size here and now; that a library knows its name says nothing.

    Raises:
        EncoderFault: an encoder asked for by name does not work; ``auto`` never raises for hardware.
    """
    if wanted == "cpu":
        return SOFTWARE[codec]
    tried = HARDWARE[codec] if wanted == "auto" else (wanted,)
    for name in tried:
        fault = trial(Encoding(width, height, Fraction(1, 25), codec, encoder=name))
        if fault is None:
            return name
    if wanted == "auto":
        return SOFTWARE[codec]
    raise EncoderFault(f"the encoder '{wanted}' does not work on this machine: {fault}. Use `encoder: cpu`, or `auto` to fall back to it.")


def trial(encoding: Encoding) -> str | None:
    """Encode a few grey pictures in memory; the fault in words, or None."""
    try:
        Codec(encoding.encoder, "w")
        planes = np.full((encoding.height * 3 // 2, encoding.width), 128, np.uint8)
        packets = _encode(io.BytesIO(), [clean(planes) for _ in range(3)], range(3), encoding)
    except UnknownCodecError:
        return "unknown here"
    except (av.error.FFmpegError, EncoderFault) as error:
        return str(error)
    return None if packets == 3 else f"it gave {packets} of 3 pictures"


class Pictures:
    """Pictures of one source as the decoder gives them: not converted, not yet turned. The last ``keep`` are kept.

    ``index`` is None for a folder of images.
    """

    def __init__(self, path: Path, index: video.VideoIndex | None, keep: int):
        self.path, self.index, self.keep = path, index, keep
        self._cursor: video.Cursor | None = None
        self._kept: dict[int, VideoFrame] = {}

    def want(self, numbers: Iterable[int]) -> None:
        """Say which frames of a video come next: where nothing is made from the others, they need not be decoded."""
        if self.index is not None:
            if self._cursor is None:
                self._cursor = video.Cursor(self.path, self.index, _decoder_threads())
            self._cursor.want(numbers)

    def frame(self, number: int) -> VideoFrame:
        """A frame of a video that was wanted.

        Raises:
            VideoFault: it cannot be decoded; the message names it.
        """
        if number not in self._kept:
            assert self._cursor is not None, "say with want() what comes"
            self._keep(number, self._cursor.take(number))
        return self._kept[number]

    def image(self, number: int, path: Path) -> VideoFrame:
        """An image file, read as :func:`etholoop.io.images.read_rgb` reads it."""
        if number not in self._kept:
            self._keep(number, VideoFrame.from_ndarray(images.read_rgb(path), format="rgb24"))
        return self._kept[number]

    def close(self) -> None:
        if self._cursor is not None:
            self._cursor.close()

    def _keep(self, number: int, picture: VideoFrame) -> None:
        self._kept[number] = picture
        if len(self._kept) > self.keep:
            del self._kept[next(iter(self._kept))]


def write_chunk(path: Path, pictures: Iterable[VideoFrame], ticks: Iterable[int], encoding: Encoding) -> None:
    """Encode yuv420p pictures as one closed piece; times count from the first frame of the piece.

    Raises:
        EncoderFault: the encoder fails, or what it wrote does not decode to as many frames.
    """
    ticks = list(ticks)
    with atomic.new_file(path) as temporary:
        try:
            with temporary.open("wb") as stream:
                n = _encode(stream, pictures, ticks, encoding)
        except av.error.FFmpegError as error:
            raise EncoderFault(f"{path.name}: {encoding.encoder} fails ({error}).") from error
        found = _count_decoded(temporary)
        if not n == found == len(ticks):
            raise EncoderFault(f"{path.name}: {len(ticks)} frames expected, {encoding.encoder} wrote {n}, of which {found} decode.")


def join(parts: Iterable[Path], ticks: np.ndarray, encoding: Encoding, path: Path) -> None:
    """Put chunks one behind the other without encoding again; ``ticks`` (n,) are the times of all frames.

    Raises:
        EncoderFault: chunks of different encoders, or a result with other frames or times than given; nothing is written then.
    """
    with atomic.new_file(path) as temporary:
        n = _copy_packets(list(parts), ticks, encoding, temporary)
        if n != len(ticks):
            raise EncoderFault(f"{path.name}: the chunks hold {n} frames, expected {len(ticks)}.")
        check_times(temporary, ticks, encoding.tick)


def check_times(path: Path, ticks: np.ndarray, tick: Fraction) -> video.VideoIndex:
    """Index of a file whose frames have exactly these times.

    Raises:
        EncoderFault: other frames or times.
    """
    _, index = video.probe(path, decode=False)
    if len(index.pts) != len(ticks):
        raise EncoderFault(f"{path.name}: {len(index.pts)} frames, expected {len(ticks)}.")
    unit = index.time_base / tick  # whole ticks on both sides, so that equal means equal
    found = (index.pts - index.pts[0]) * unit.numerator
    expected = (np.asarray(ticks, np.int64) - int(ticks[0])) * unit.denominator
    wrong = np.flatnonzero(found != expected)
    if not index.timed or wrong.size:
        place = int(wrong[0]) if wrong.size else 0
        raise EncoderFault(f"{path.name}: frame {place} has another time than it was given.")
    return index


def _encode(target: Any, pictures: Iterable[VideoFrame], ticks: Iterable[int], encoding: Encoding) -> int:
    """Encode into a file object; the number of packets."""
    n = 0
    ticks = list(ticks)
    with av.open(target, "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        stream = _stream(container, encoding)
        for place, picture in enumerate(pictures):
            if place >= len(ticks):
                raise EncoderFault(f"more pictures than the {len(ticks)} times given.")
            if place == 0:
                context = stream.codec_context
                context.color_range, context.colorspace = picture.color_range, picture.colorspace
            picture.pts, picture.time_base = ticks[place] - ticks[0], encoding.tick
            n += _mux(container, stream.encode(picture))
        n += _mux(container, stream.encode())
    return n


def _mux(container: Any, packets: Iterable[Any]) -> int:
    packets = list(packets)
    container.mux(packets)
    return len(packets)


def _stream(container: Any, encoding: Encoding) -> Any:
    stream = container.add_stream(encoding.encoder, rate=encoding.fps.limit_denominator(1_000_000))
    stream.width, stream.height, stream.pix_fmt = encoding.width, encoding.height, "yuv420p"
    context = stream.codec_context
    context.time_base, context.thread_count = encoding.tick, 1
    stream.options = _options(encoding)
    return stream


def _options(encoding: Encoding) -> dict[str, str]:
    common = {"g": str(encoding.gop), "bf": "0", "threads": "1"}
    if encoding.encoder == "libx264":
        own = {"crf": str(encoding.crf), "preset": encoding.preset, "profile": "high", "x264-params": "cpu-independent=1"}
        return common | own
    if encoding.encoder == "libx265":
        params = f"pools=none:frame-threads=1:bframes=0:keyint={encoding.gop}:open-gop=0:info=0:log-level=error"
        return common | {"crf": str(encoding.crf), "preset": encoding.preset, "x265-params": params}
    family = encoding.encoder.rsplit("_", 1)[-1]
    return common | {QUALITY_OPTION.get(family, "crf"): str(encoding.crf)}


def _count_decoded(path: Path) -> int:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return sum(1 for picture in container.decode(stream) if not picture.is_corrupt)


def _copy_packets(parts: list[Path], ticks: np.ndarray, encoding: Encoding, path: Path) -> int:
    n = 0
    head: bytes | None = None
    options = {"movflags": "faststart", "fflags": "+bitexact"}
    with av.open(str(path), "w", format="mp4", options=options) as container:
        stream: Any = None
        for part in parts:
            with av.open(str(part)) as source:
                given = source.streams.video[0]
                found = bytes(given.codec_context.extradata or b"")
                if stream is None:
                    head, stream = found, container.add_stream_from_template(given)
                    stream.time_base = encoding.tick
                if found != head:
                    raise EncoderFault(f"{part}: made by another encoder than the chunks before it. Remove .memo/normalise and run again.")
                for packet in _whole(source.demux(given)):
                    if n < len(ticks):
                        _stamp(packet, ticks, n, encoding.tick)
                        packet.stream = stream
                        container.mux(packet)
                    n += 1
    return n


def _decoder_threads() -> int | None:
    return int(os.environ.get(video.THREADS_VARIABLE) or 0) or None


def _whole(packets: Iterable[Any]) -> Iterator[Any]:
    return (packet for packet in packets if packet.size)


def _stamp(packet: Any, ticks: np.ndarray, place: int, tick: Fraction) -> None:
    """Give a packet its time in the joined file; without B-frames decoding and showing times are one."""
    last = place + 1 >= len(ticks)
    step = int(ticks[place] - ticks[place - 1]) if last and place else (1 if last else int(ticks[place + 1] - ticks[place]))
    packet.time_base = tick
    packet.pts = packet.dts = int(ticks[place] - ticks[0])
    packet.duration = step
