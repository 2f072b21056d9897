"""The index that a file's packets promise, for a file that is about to be read from its first frame to its last.

A probe decodes a file to count its frames, and reading decodes it again. Where packets tell the frames, they are believed here, and the
reading itself finds what is not so: a frame that is damaged or does not come is a fault, never left out or replaced.
"""

from pathlib import Path

from etholoop.io._video_index import VideoIndex
from etholoop.io._video_open import LIMITS, VideoLimits, open_video
from etholoop.io._video_packets import CORRUPT, HIDDEN, KEY, MISSING, decoded, demux, packets_of
from etholoop.io._video_probe import TRUSTED, _describe, _facts, _promised, _Seen, probe

ONE_PICTURE = {"mpeg4": "mov,mp4,m4a,3gp,3g2,mj2"}
"""Codecs in which a packet shows one picture in this container; in others (AVI) two may lie in one packet."""


def promised_index(path: Path, limits: VideoLimits = LIMITS) -> VideoIndex:
    """Index of a file with ``info.decoded`` False, decoding one picture only; where packets do not tell the frames, that of a probe.

    Raises:
        VideoFault: the file is no video, is refused, or its first frame cannot be decoded.
    """
    path = Path(path)
    deadline = limits.deadline(path) if path.is_file() else None
    container, stream = open_video(path, threads=1, limits=limits)
    with container:
        facts, seen = _facts(container, stream), _Seen()
        for packet, trouble in packets_of(container, stream):
            pictures, seen.fault = decoded(stream, packet) if not trouble else ([], trouble)
            seen.first = pictures[0] if pictures and not pictures[0].is_corrupt else None
            if pictures or seen.fault:
                break
    assert deadline is not None, "open_video refuses what is no file"
    packets = demux(path, deadline, limits)
    told = facts.codec in TRUSTED or ONE_PICTURE.get(facts.codec) == facts.container
    whole = not packets.broken and not packets.are(CORRUPT | MISSING | HIDDEN).any() and facts.n_frames_header in (0, len(packets.flags))
    if not (told and whole and packets.unique and packets.flags[0] & KEY and seen.first is not None):
        return probe(path, limits=limits)[1]
    return _describe(path, _promised(packets), packets, facts, seen, decoded=False, limits=limits)[1]
