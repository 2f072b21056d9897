"""What demuxing alone says about a video: the packets of its stream, in the order of the file, without decoding any."""

import io
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np

from etholoop.io._video_index import NO_TIME
from etholoop.io._video_open import Deadline, VideoFault, VideoLimits, open_video

KEY, CORRUPT, HIDDEN, MISSING, UNREFERENCED = 1, 2, 4, 8, 16
"""Bits of ``Packets.flags``: decoding can start here; damaged by what the container says; decoded but not shown; its bytes are not in the
file; no other picture is made from it."""

SEEK_BY_PTS = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "asf", "ogg", "nut")
"""Containers that are sought by presentation times; the others go by decoding times."""


LARGEST_PACKET = 1 << 28
"""Bytes of a packet that is still believed when an index promises it behind the end of the file."""


CHECK_EVERY = 1024


@dataclass(frozen=True)
class Packets:
    """The packets of a stream, (n,) each, in the order of the file.

    ``stamps`` int64: presentation times, NO_TIME where there is none. ``seeks`` int64: what to seek to for a packet.
    ``flags`` uint8: KEY, CORRUPT, HIDDEN, MISSING, UNREFERENCED. ``broken``: reading stopped with a fault before the end.
    """

    stamps: np.ndarray
    seeks: np.ndarray
    flags: np.ndarray
    broken: bool

    def are(self, bits: int) -> np.ndarray:
        """(n,) bool: packets with any of these bits."""
        return (self.flags & bits) != 0

    @cached_property
    def by_stamp(self) -> np.ndarray:
        """(n,) int64: places of the packets in the order of their stamps."""
        return np.argsort(self.stamps, kind="stable")

    @cached_property
    def unique(self) -> bool:
        """Whether every shown packet has a stamp of its own."""
        order = self.by_stamp[~self.are(HIDDEN)[self.by_stamp]] if self.are(HIDDEN).any() else self.by_stamp
        shown = self.stamps[order]
        return len(shown) > 0 and shown[0] != NO_TIME and bool((shown[1:] > shown[:-1]).all())


def demux(path: Path, deadline: Deadline, limits: VideoLimits) -> Packets:
    """Walk through all packets.

    Raises:
        VideoFault: there are none, or more than the limits allow.
    """
    n_bytes = path.stat().st_size

    def check(n_packets: int) -> None:
        deadline.check()
        if n_packets > limits.max_frames:
            raise VideoFault("too_long", f"The file holds more than {limits.max_frames} frames, which is the limit.", path)

    container, stream = open_video(path, limits=limits)
    with container:
        promised_bytes = _promised_bytes(stream, n_bytes, limits)
        packets = _walk(container, stream, n_bytes, check) if not promised_bytes else None
    if packets is None:
        # cut off: the index at its front still tells the times of what is gone, if the demuxer can read on through nothing
        with _Lengthened(path, promised_bytes) as file:
            container, stream = open_video(path, limits=limits, file=file)
            with container:
                packets = _walk(container, stream, n_bytes, check)
    if not len(packets.flags):
        raise VideoFault("undecodable", "The file holds no frames.", path)
    check(len(packets.flags))
    return packets


def _promised_bytes(stream: Any, n_bytes: int, limits: VideoLimits) -> int:
    """Length that the container's index gives to a file that was cut off; 0 for a whole file, or where the promise is not believed."""
    entries = stream.index_entries
    promised = entries[-1].pos + entries[-1].size if len(entries) else 0
    if not n_bytes < promised <= limits.max_bytes or max(entry.size for entry in entries) > LARGEST_PACKET:
        return 0
    return int(promised)


def packets_of(container: Any, stream: Any) -> Iterator[tuple[Any, str]]:
    """Packets of a stream from where the container stands, for the decoder, each with ''; at the end None, which empties the decoder.

    Where reading fails, ``(None, fault)`` comes first, in words.
    """
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.error.FFmpegError as error:
            yield None, f"reading stops: {error.strerror}"
            packet = None
        if packet is None or packet.size == 0:
            yield None, ""
            return
        yield packet, ""


def decoded(stream: Any, packet: Any) -> tuple[list[av.VideoFrame], str]:
    """Pictures that come out when the decoder gets this packet (None empties it), and its refusal in words or ''."""
    try:
        return stream.codec_context.decode(packet), ""
    except av.error.FFmpegError as error:
        return [], f"decoder: {error.strerror}"


def _walk(container: Any, stream: Any, n_bytes: int, check: Callable[[int], None]) -> Packets:
    """All packets; ``check`` is told now and then how many there are. ``n_bytes`` is the true length of the file."""
    stamps, seeks, flags, broken = array("q"), array("q"), array("B"), False
    by_pts, peek = container.format.name in SEEK_BY_PTS, _peek(stream)
    try:
        for packet in container.demux(stream):
            if packet.size == 0:
                continue
            stamp = NO_TIME if packet.pts is None else packet.pts
            missing = packet.pos is not None and packet.pos + packet.size > n_bytes
            bits = KEY * packet.is_keyframe | CORRUPT * packet.is_corrupt | HIDDEN * packet.is_discard | MISSING * missing
            stamps.append(stamp)
            seeks.append(stamp if by_pts or packet.dts is None else packet.dts)
            flags.append(bits if missing else bits | peek(packet))
            if len(flags) % CHECK_EVERY == 0:
                check(len(flags))
    except av.error.FFmpegError:
        broken = True
    # views: the arrays are not copied, a long file has many packets
    return Packets(_view(stamps, np.int64), _view(seeks, np.int64), _view(flags, np.uint8), broken)


def _view(values: array, kind: type) -> np.ndarray:
    return np.frombuffer(values, kind) if values else np.zeros(0, kind)


def _peek(stream: Any) -> Callable[[Any], int]:
    """What a packet's first bytes tell, as flags."""
    codec, extra = stream.codec_context.name, bytes(stream.codec_context.extradata or b"")
    if codec == "h264":
        nal_size = (extra[4] & 3) + 1 if extra[:1] == b"\1" and len(extra) > 4 else 0
        return lambda packet: _peek_h264(packet, nal_size)
    return _peek_vp8 if codec == "vp8" else lambda packet: 0


def _peek_h264(packet: Any, nal_size: int) -> int:
    """UNREFERENCED if the picture's first slice says that nothing refers to it (nal_ref_idc 0)."""
    for head in _nal_heads(memoryview(packet), nal_size):
        kind = head & 31
        if 1 <= kind <= 5:
            return UNREFERENCED if not head >> 5 & 3 else 0
    return 0


def _nal_heads(data: memoryview, nal_size: int) -> Iterator[int]:
    """First byte of each NAL unit, of a packet with lengths before the units (avcC) or with start codes (nal_size 0)."""
    if nal_size:
        place = 0
        while place + nal_size < len(data):
            yield data[place + nal_size]
            place += nal_size + int.from_bytes(data[place : place + nal_size], "big")
        return
    raw, place = bytes(data[:4096]), 0  # parameter sets and messages before the first slice are short
    while (place := raw.find(b"\0\0\1", place)) >= 0 and place + 3 < len(raw):
        yield raw[place + 3]
        place += 3


def _peek_vp8(packet: Any) -> int:
    """HIDDEN if the frame tag says so (show_frame 0)."""
    return 0 if memoryview(packet)[0] >> 4 & 1 else HIDDEN


class _Lengthened(io.RawIOBase):
    """A file that ends in zeros up to a length it does not have."""

    def __init__(self, path: Path, n_bytes: int):
        self._file = path.open("rb")
        self._real, self._n_bytes, self._place = path.stat().st_size, n_bytes, 0

    def read(self, size: int = -1) -> bytes:
        left = max(self._n_bytes - self._place, 0)
        size = left if size < 0 else min(size, left)
        self._file.seek(min(self._place, self._real))
        data = self._file.read(size)
        self._place += size
        return data + bytes(size - len(data))

    def seek(self, offset: int, whence: int = 0) -> int:
        self._place = max(0, offset + (0, self._place, self._n_bytes)[whence])
        return self._place

    def tell(self) -> int:
        return self._place

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self._file.close()
        super().close()
