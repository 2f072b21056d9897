"""Probing: count a file's frames, make its index, and find the frames that cannot be used."""

import contextlib
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np

from etholoop.io import _video_damage as damage
from etholoop.io._video_index import NO_TIME, VideoIndex, VideoInfo
from etholoop.io._video_open import LIMITS, Deadline, VideoFault, VideoLimits, open_video
from etholoop.io._video_packets import CORRUPT, HIDDEN, KEY, MISSING, Packets, decoded, demux, packets_of

PROBE_VERSION = 3
"""Raised when :func:`probe` says something else about the same file: remembered results are then made anew."""

DECODE_ALL_PIXELS = 3 * 10**10
"""Up to so many pixels in all (about 15 000 frames of 1080p) a file is always decoded once when it is probed."""

N_SPOTS, SPOT_FRAMES = 8, 30
"""A file that is not decoded as a whole is decoded at so many places, so many frames each."""

TRUSTED = ("h264", "hevc", "libdav1d", "av1", "mjpeg")
"""Codecs in which every packet shows exactly one picture, so that packets alone can be counted."""

SHOWS_B, SHOWS_KEY, SHOWS_BAD, SHOWS_OTHER_SIZE, SHOWS_INTERLACED = 1, 2, 4, 8, 16
PICTURE_I, PICTURE_B = 1, 3


def probe(path: Path, decode: bool | None = None, limits: VideoLimits = LIMITS) -> tuple[VideoInfo, VideoIndex]:
    """Count a file's frames and make its index; frames that cannot be used are ``index.gaps``.

    A frame's number is its place, counted from 0, in the order of presentation among all frames that the packets promise. Damaged and
    undecodable frames keep their number; where the file has no usable times, frames are numbered as the decoder gives them.

    A long file in a trusted codec (:data:`DECODE_ALL_PIXELS`, :data:`TRUSTED`) is decoded at a few places only, so **damage elsewhere
    in it is not in the index**. It is found when such a frame is read: the reader raises and never substitutes. ``decode=True`` finds
    it beforehand.

    Args:
        path: a local file.
        decode: True decodes every frame, False only a few places, None everything where that is cheap or the packets are not to be trusted.
        limits: what the file may cost.

    Raises:
        VideoFault: the file is no video, is refused, or holds not a single frame that can be used.
    """
    path = Path(path)
    deadline = limits.deadline(path) if path.is_file() else Deadline(path, float("inf"), 0)
    container, stream = open_video(path, limits=limits)
    with container:
        facts = _facts(container, stream)
    packets = demux(path, deadline, limits)
    if decode is None:
        decode = len(packets.flags) * facts.n_pixels <= DECODE_ALL_PIXELS or not _trustworthy(packets, facts)
    seen = None if decode else _spots(path, packets, deadline, limits)
    if seen is None:
        seen, decode = _decode(path, deadline, limits), True
    frames = _numbered(packets, seen, facts) if decode else _promised(packets)
    return _describe(path, frames, packets, facts, seen, decoded=decode, limits=limits)


@dataclass(frozen=True)
class _Facts:
    """What the opened file says of itself."""

    codec: str
    pix_fmt: str
    container: str
    n_frames_header: int
    time_base: Fraction
    rates: tuple[Fraction, ...]
    intra_only: bool
    n_pixels: int


def _facts(container: Any, stream: Any) -> _Facts:
    context = stream.codec_context
    rates = tuple(Fraction(rate) for rate in (stream.average_rate, stream.guessed_rate) if rate)
    return _Facts(
        codec=context.name,
        pix_fmt=context.pix_fmt or "",
        container=container.format.name,
        n_frames_header=stream.frames,
        time_base=Fraction(stream.time_base),
        rates=rates,
        intra_only=context.codec.intra_only,
        n_pixels=context.width * context.height,
    )


def _trustworthy(packets: Packets, facts: _Facts) -> bool:
    """Whether frames can be counted without decoding."""
    return (
        facts.codec in TRUSTED
        and facts.n_frames_header in (0, len(packets.flags))
        and not packets.are(CORRUPT | MISSING | HIDDEN).any()
        and not packets.broken
        and bool(packets.flags[0] & KEY)
        and packets.unique
        and packets.stamps[0] == packets.stamps.min()
    )


@dataclass
class _Seen:
    """What decoding gave, picture by picture in the order shown: ``stamps`` and ``bits`` (SHOWS_…).

    ``failures``: at each refusal of the decoder, the number of packets it had been given and of pictures that had come.
    """

    first: av.VideoFrame | None = None
    stamps: array = field(default_factory=lambda: array("q"))
    bits: array = field(default_factory=lambda: array("B"))
    failures: list[tuple[int, int]] = field(default_factory=list)
    fault: str = ""

    def add(self, picture: av.VideoFrame) -> None:
        bits = SHOWS_BAD * picture.is_corrupt | SHOWS_INTERLACED * picture.interlaced_frame
        bits |= SHOWS_B * (picture.pict_type == PICTURE_B) | SHOWS_KEY * (picture.key_frame and picture.pict_type == PICTURE_I)
        if self.first is None and not picture.is_corrupt:
            self.first = picture
        if self.first is not None and (picture.width, picture.height) != (self.first.width, self.first.height):
            bits |= SHOWS_OTHER_SIZE
        self.stamps.append(NO_TIME if picture.pts is None else picture.pts)
        self.bits.append(bits)

    def are(self, bit: int) -> np.ndarray:
        return (np.frombuffer(self.bits, np.uint8) & bit) != 0 if self.bits else np.zeros(0, bool)

    def times(self) -> np.ndarray:
        return np.frombuffer(self.stamps, np.int64) if self.stamps else np.zeros(0, np.int64)


def _decode(path: Path, deadline: Deadline, limits: VideoLimits) -> _Seen:
    """Decode the whole file.

    With one thread: only then does a refusal of the decoder belong to the packet it was just given, and with several FFmpeg's H.264
    decoder now and then loses the mark on a damaged picture that no other refers to.
    """
    seen, n_packets = _Seen(), 0
    container, stream = open_video(path, threads=1, limits=limits)
    with container, _ListenFor(stream.codec_context.name) as noise:
        for packet, trouble in packets_of(container, stream):
            deadline.check()
            pictures, fault = decoded(stream, packet) if not trouble else ([], trouble)
            for picture in pictures:
                seen.add(picture)
            if fault or noise.heard():
                seen.failures.append((n_packets, len(seen.bits)))
                seen.fault = seen.fault or fault
            n_packets += packet is not None
    return seen


class _ListenFor(contextlib.AbstractContextManager):
    """Listens to a decoder that only writes a line about damage: FFV1 checks sums, says so, and gives out the picture all the same."""

    def __init__(self, codec: str):
        self._line = "CRC mismatch" if codec == "ffv1" else ""
        self._before: Any = None

    def __enter__(self) -> "_ListenFor":
        if self._line:
            self._before = av.logging.get_level()
            av.logging.set_level(av.logging.ERROR)
            self._capture = av.logging.Capture(local=False)
            self._lines = self._capture.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        if self._line:
            self._capture.__exit__(None, None, None)
            av.logging.set_level(self._before)

    def heard(self) -> bool:
        """Whether the line was written since the last question."""
        if not self._line or not self._lines:
            return False
        found = any(self._line in line[2] for line in self._lines)
        self._lines.clear()
        return found


@dataclass(frozen=True)
class _Frames:
    """All frames in the order shown, (n,) each: time stamp, verdict, and the packet it comes from (-1 = unknown)."""

    stamps: np.ndarray
    verdicts: np.ndarray
    packets: np.ndarray
    rising: bool


def _promised(packets: Packets) -> _Frames:
    """The frames that the packets promise, all believed to be good."""
    order = packets.by_stamp
    return _Frames(packets.stamps[order], np.zeros(len(order), np.uint8), order, rising=True)


def _numbered(packets: Packets, seen: _Seen, facts: _Facts) -> _Frames:
    """Number what was decoded and what was promised."""
    times = seen.times()
    known = packets.unique and bool(np.isin(times, packets.stamps).all()) and len(np.unique(times)) == len(times)
    if not known:
        failures, delay = [count for _, count in seen.failures], 16
        verdicts = damage.judge_in_order_shown(seen.are(SHOWS_BAD), seen.are(SHOWS_KEY), failures, delay)
        verdicts[seen.are(SHOWS_OTHER_SIZE)] = damage.OTHER_SIZE
        rising = bool((times != NO_TIME).all() and (np.diff(times) > 0).all())
        return _Frames(times, verdicts, np.full(len(times), -1), rising)
    by_stamp = packets.by_stamp
    of_picture = by_stamp[np.searchsorted(packets.stamps[by_stamp], times)]
    verdicts = damage.judge(packets, _outcome(packets, seen, facts, of_picture), facts.codec)
    if (np.diff(times) > 0).all():
        order = by_stamp[verdicts[by_stamp] != damage.UNSHOWN]
        return _Frames(packets.stamps[order], verdicts[order], order, rising=True)
    # stamps tell pictures apart, but not when they are shown: what never came out has no place
    return _Frames(times, verdicts[of_picture], of_picture, rising=False)


def _outcome(packets: Packets, seen: _Seen, facts: _Facts, of_picture: np.ndarray) -> damage.Outcome:
    n_packets = len(packets.flags)

    def spread(bit: int) -> np.ndarray:
        values = np.zeros(n_packets, bool)
        values[of_picture] = seen.are(bit)
        return values

    came = np.zeros(n_packets, bool)
    came[of_picture] = True
    bad = spread(SHOWS_BAD)
    for place, _ in seen.failures:
        bad[min(place, n_packets - 1)] = True
    second_field = ~came & np.concatenate(([False], came[:-1] & spread(SHOWS_INTERLACED)[:-1]))
    start = damage.starts(packets, spread(SHOWS_KEY) | ~came, facts.intra_only)
    return damage.Outcome(
        came, bad, spread(SHOWS_OTHER_SIZE), start, damage.lonely(packets, spread(SHOWS_B), facts.codec, facts.intra_only), second_field
    )


def _spots(path: Path, packets: Packets, deadline: Deadline, limits: VideoLimits) -> _Seen | None:
    """Decode a few places of a file; None when one of them is not what the packets promise."""
    seen = _Seen()
    shown = packets.stamps[packets.by_stamp]
    keys = np.flatnonzero(packets.are(KEY))
    container, stream = open_video(path, threads=1, limits=limits)  # each thread of a decoder keeps pictures of its own
    with container:
        for key in keys[np.unique(np.linspace(0, len(keys) - 1, N_SPOTS).astype(int))]:
            first = int(np.searchsorted(shown, packets.stamps[key]))
            expected = shown[first : first + SPOT_FRAMES]
            if key:
                container.seek(int(packets.seeks[key]), stream=stream, backward=True, any_frame=False)
            spot = _Seen(first=seen.first)
            for picture in _from(container, stream, int(expected[0]), spot):
                deadline.check()
                spot.add(picture)
                if len(spot.bits) == len(expected):
                    break
            found = spot.times()
            if spot.fault or len(found) != len(expected) or (found != expected).any() or spot.are(SHOWS_BAD | SHOWS_OTHER_SIZE).any():
                return None
            seen.first = seen.first or spot.first
    return seen


def _from(container: Any, stream: Any, stamp: int, spot: _Seen) -> Iterator[av.VideoFrame]:
    """Pictures from this time stamp on; a fault ends them and is noted."""
    for packet, trouble in packets_of(container, stream):
        pictures, spot.fault = decoded(stream, packet) if not trouble else ([], trouble)
        if spot.fault:
            return
        yield from (picture for picture in pictures if picture.pts is None or picture.pts >= stamp)


def _describe(
    path: Path, frames: _Frames, packets: Packets, facts: _Facts, seen: _Seen, *, decoded: bool, limits: VideoLimits
) -> tuple[VideoInfo, VideoIndex]:
    gaps = damage.gaps_of(frames.verdicts)
    if seen.first is None or not (frames.verdicts == damage.GOOD).any():
        because = seen.fault or (", ".join(sorted({gap.reason for gap in gaps})) or "the decoder gives nothing")
        raise VideoFault("undecodable", f"No frame can be decoded ({because}).", path)
    fps, variable = _rate(frames.stamps, facts) if frames.rising else (next(iter(facts.rates), None), False)
    n_frames, rotation = len(frames.stamps), _clockwise(seen.first.rotation, path)
    duration_s = float(n_frames / fps) if fps else None
    if duration_s and duration_s > limits.max_duration_s:
        raise VideoFault("too_long", f"The video lasts {duration_s:.0f} s, beyond the limit of {limits.max_duration_s:.0f} s.", path)
    width, height = seen.first.width, seen.first.height
    if rotation % 180:
        width, height = height, width
    info = VideoInfo(
        n_frames, facts.n_frames_header or None, fps, duration_s, width, height,
        facts.codec, facts.pix_fmt, facts.container, rotation, variable, decoded,
    )  # fmt: skip
    if (frames.packets < 0).any():
        return info, VideoIndex(info, frames.stamps, np.zeros(0, np.int64), facts.time_base, frames.rising, gaps)
    keyframes = _keyframes(frames, packets, seen if decoded and not facts.intra_only else None)
    return info, VideoIndex(
        info, frames.stamps, keyframes, facts.time_base, frames.rising, gaps,
        stamped=True, seeks=packets.seeks[frames.packets[keyframes]], late=_late(frames.packets),
    )  # fmt: skip


def _keyframes(frames: _Frames, packets: Packets, seen: _Seen | None) -> np.ndarray:
    """Numbers of the usable frames where decoding can start; where it was ``seen``, the picture must be one too."""
    keys = packets.are(KEY)[frames.packets] & (frames.verdicts == damage.GOOD)
    if seen is not None:
        keys &= np.isin(frames.stamps, seen.times()[seen.are(SHOWS_KEY)])
    return np.flatnonzero(keys)


def _late(of_frame: np.ndarray) -> np.ndarray:
    """``VideoIndex.late`` from the packet of each frame."""
    numbers = np.argsort(of_frame, kind="stable")  # of the frames, in the order they are stored
    late = np.zeros(len(of_frame), np.uint8)
    late[numbers] = np.clip(np.maximum.accumulate(numbers) - numbers, 0, 255) if len(numbers) else 0
    return late


def _clockwise(counter_clockwise: int, path: Path) -> int:
    rotation = -counter_clockwise % 360
    if rotation % 90:
        raise VideoFault("undecodable", f"The display rotation is {rotation} degrees; only quarter turns are known.", path)
    return rotation


def _rate(stamps: np.ndarray, facts: _Facts) -> tuple[Fraction | None, bool]:
    """Frames per second and whether the rate varies.

    A claimed rate counts when no frame lies further than a quarter period from where it says; times are rounded to the time base.
    If none counts, the rate is the mean one, from the first to the last frame.
    """
    if len(stamps) < 2:
        return next(iter(facts.rates), None), False
    times, span = stamps - stamps[0], int(stamps[-1] - stamps[0])
    mean = Fraction(len(stamps) - 1, span) / facts.time_base
    for rate in [*facts.rates, mean]:
        period = float(1 / (rate * facts.time_base))
        if np.abs(times - np.arange(len(times)) * period).max() <= 0.25 * period:
            return rate.limit_denominator(1_000_000), False
    return mean.limit_denominator(1_000_000), True
