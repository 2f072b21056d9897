"""Change finished video files: cut, overwrite, relabel and remux them, as cameras, disks and converters do."""

import random
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import av

TS_PACKET = 188
TS_VIDEO = 0x100
PACKED_MARK = b"DivX503b1393p"
"""User data by which decoders know that two MPEG-4 pictures may share a packet."""


def remux(source: Path, target: Path, edit: Callable[[list[Any]], Iterable[Any]]) -> None:
    """Copy the first video stream without coding it again; ``edit`` is given all packets and gives those to write."""
    with av.open(str(source)) as old, av.open(str(target), "w", options={"fflags": "bitexact"}) as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in edit([packet for packet in old.demux(video=0) if packet.size]):
            packet.stream = stream
            new.mux(packet)


def begin_inside(packets: list[Any], key: int, first: int) -> list[Any]:
    """Drop what lies before keyframe ``key`` and let the time 0 be that of frame ``first``: an edit list hides the frames between."""
    times = sorted(packet.pts for packet in packets)
    kept = packets[[packet.pts for packet in packets].index(times[key]) :]
    for packet in kept:
        packet.pts, packet.dts = packet.pts - times[first], packet.dts - times[first]
    return [packet for packet in kept if packet.pts >= times[key] - times[first]]


def pack_b_frames(packets: list[Any]) -> list[Any]:
    """Put every B picture of an MPEG-4 stream (one between two others) into the packet before it, as DivX did in AVI files."""
    packed: list[Any] = []
    for packet in packets:
        data = bytes(packet)
        if _picture_type(data) == 2:  # the place of the B picture is taken by an empty one
            packed[-1] = _with_data(packed[-1], bytes(packed[-1]) + data)
            packed.append(_with_data(packet, b"\x00\x00\x01\xb6\x50\x5f\xff"))
        elif packet.is_keyframe:
            place = data.index(b"\x00\x00\x01\xb6")
            packed.append(_with_data(packet, data[:place] + b"\x00\x00\x01\xb2" + PACKED_MARK + data[place:]))
        else:
            packed.append(packet)
    return packed


def hide(packets: list[Any], places: Iterable[int]) -> list[Any]:
    """Mark pictures of a VP8 stream as references that are not shown."""
    changed = list(packets)
    for place in places:
        data = bytes(packets[place])
        changed[place] = _with_data(packets[place], bytes([data[0] & ~0x10]) + data[1:])
    return changed


def _picture_type(data: bytes) -> int:
    return data[data.index(b"\x00\x00\x01\xb6") + 4] >> 6


def _with_data(packet: Any, data: bytes) -> Any:
    changed = av.Packet(data)
    changed.pts, changed.dts, changed.time_base, changed.is_keyframe = packet.pts, packet.dts, packet.time_base, packet.is_keyframe
    return changed


def cut(path: Path, share: float) -> None:
    """Keep the first ``share`` of the bytes."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])


def overwrite(path: Path, shares: Sequence[float], length: int = 60, seed: int = 0) -> list[int]:
    """Replace bytes inside the packets that lie at these shares of the video by noise; their headers and the container stay whole.

    Returns:
        the places of these packets in the order of the file.
    """
    with av.open(str(path)) as container:
        spans = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size and packet.pos is not None]
    data, noise, hit = bytearray(path.read_bytes()), random.Random(seed), []
    for share in shares:
        number = int(share * len(spans))
        place, size = spans[number]
        start = place + min(40, size // 3)
        stop = min(start + length, place + size)
        data[start:stop] = noise.randbytes(stop - start)
        hit.append(number)
    path.write_bytes(bytes(data))
    return hit


def overwrite_ts(path: Path, shares: Sequence[float], seed: int = 0) -> None:
    """Replace the contents of transport packets of the video that begin no picture; their headers stay whole."""
    data, noise = bytearray(path.read_bytes()), random.Random(seed)
    inner = [place for place, begins in _ts_video(bytes(data)) if not begins]
    for share in shares:
        place = inner[int(share * len(inner))]
        data[place + 60 : place + TS_PACKET] = noise.randbytes(TS_PACKET - 60)
    path.write_bytes(bytes(data))


def begin_at_ts_picture(path: Path, number: int) -> None:
    """Drop everything before picture ``number`` of a transport stream, except the tables: a recording that began in the middle."""
    data = path.read_bytes()
    begins = [place for place, begins in _ts_video(data) if begins]
    head = b"".join(data[place : place + TS_PACKET] for place in range(0, begins[0], TS_PACKET))
    path.write_bytes(head + data[begins[number] :])


def promised(path: Path, intact: Path) -> list[int]:
    """Which frames of ``intact`` the packets of a damaged copy still promise, ascending.

    Packets are recognised by their presentation times; where there are none, frames must be stored in the order they are shown.
    """
    whole, left = _times(intact), _times(path)
    if None in whole or None in left:
        return list(range(len(left)))
    places = {time: place for place, time in enumerate(sorted(whole))}  # type: ignore[type-var]
    return sorted(places[time] for time in left)


def _times(path: Path) -> list[int | None]:
    with av.open(str(path)) as container:
        return [packet.pts for packet in container.demux(video=0) if packet.size]


def _ts_video(data: bytes) -> list[tuple[int, bool]]:
    """``(place, begins a picture)`` of every transport packet of the video."""
    video = (place for place in range(0, len(data) - TS_PACKET + 1, TS_PACKET) if _ts_stream(data, place) == TS_VIDEO)
    return [(place, bool(data[place + 1] & 0x40)) for place in video]


def _ts_stream(data: bytes, place: int) -> int:
    return (data[place + 1] & 0x1F) << 8 | data[place + 2]


def claim_frames(path: Path, count: int) -> None:
    """Write a number of frames into both headers of an AVI file."""
    data = bytearray(path.read_bytes())
    for mark, offset in ((b"avih", 8 + 16), (b"strh", 8 + 32)):
        place = data.index(mark) + offset
        data[place : place + 4] = count.to_bytes(4, "little")
    path.write_bytes(bytes(data))


def claim_all_keyframes(path: Path) -> None:
    """Let the file's own index claim that decoding can start at every frame (AVI: flags, MP4: the list of keyframes is taken out)."""
    data = bytearray(path.read_bytes())
    if path.suffix == ".avi":
        place = data.rindex(b"idx1")
        for entry in range(place + 8, place + 8 + int.from_bytes(data[place + 4 : place + 8], "little"), 16):
            data[entry + 4] |= 0x10
    else:
        place = data.index(b"stss")
        data[place : place + 4] = b"free"
    path.write_bytes(bytes(data))


def join(parts: Sequence[Path], target: Path) -> None:
    """Put files behind each other, byte by byte."""
    target.write_bytes(b"".join(part.read_bytes() for part in parts))
