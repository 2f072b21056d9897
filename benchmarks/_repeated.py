"""A long video made of a short one: its packets again and again, nothing is coded."""

from fractions import Fraction
from pathlib import Path


def repeat(clip: Path, target: Path, times: int) -> None:
    """The clip ``times`` times behind itself, at its own constant rate."""
    import av

    with av.open(str(clip)) as source, av.open(str(target), "w") as container:
        video = source.streams.video[0]
        stream = container.add_stream_from_template(video)
        packets = [
            (bytes(packet), packet.pts, packet.dts, packet.time_base, packet.is_keyframe) for packet in source.demux(video) if packet.size
        ]
        length = int(Fraction(len(packets)) / video.average_rate / packets[0][3])
        for turn in range(times):
            for data, pts, dts, time_base, is_keyframe in packets:
                packet = av.Packet(data)
                packet.pts, packet.dts, packet.time_base = pts + turn * length, dts + turn * length, time_base
                packet.is_keyframe, packet.stream = is_keyframe, stream
                container.mux(packet)
