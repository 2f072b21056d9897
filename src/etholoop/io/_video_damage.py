"""Which frames of a damaged video can be used: a picture is as good as all pictures it is made from.

Decoders report the damaged picture only; those made from it look whole. In the order in which packets are stored, everything after a
damaged picture is therefore dependent, up to the next picture where decoding can start. Pictures that are stored after that one but
shown before it (open groups of pictures) may still lean on what came before, and are dependent too. A damaged picture that no other
refers to costs only itself. What no decoder notices (bytes exchanged for others that decode) is not found here.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from etholoop.io._video_index import NO_TIME, Gap
from etholoop.io._video_packets import CORRUPT, HIDDEN, KEY, MISSING, UNREFERENCED, Packets

GOOD, DAMAGED, DEPENDENT, MISSED, NO_REFERENCE, OTHER_SIZE, UNSHOWN = range(7)
REASONS = ("", "damaged", "dependent", "missing", "no_reference", "other_size")

SELF_TELLING = ("libdav1d",)
"""Decoders that give out no picture made from a damaged one."""

SILENT_PACKETS = ("mpeg4", "msmpeg4", "vp8", "vp9", "libvpx", "libvpx-vp9")
"""Codecs in which a packet without a picture is nothing wrong: pictures that are only referred to, or "the same again"."""


@dataclass(frozen=True)
class Outcome:
    """What decoding did with each packet, (n,) bool each, in the order of the file.

    ``came``: a picture came out. ``bad``: the decoder refused the packet or flagged its picture. ``other_size``: its picture has another
    size than the first. ``start``: decoding can start here. ``lonely``: no other picture is made from it. ``second_field``: the packet
    is the other half of the picture before it.
    """

    came: np.ndarray
    bad: np.ndarray
    other_size: np.ndarray
    start: np.ndarray
    lonely: np.ndarray
    second_field: np.ndarray


def judge(packets: Packets, outcome: Outcome, codec: str) -> np.ndarray:
    """Verdict on each packet, (n,) uint8: GOOD or why not; UNSHOWN = it never was to be shown."""
    verdicts = np.zeros(len(packets.flags), np.uint8)
    lost = packets.are(CORRUPT | MISSING)
    missing, hidden = packets.are(MISSING), packets.are(HIDDEN)
    cause, lead, key_stamp = (GOOD if outcome.start[0] else NO_REFERENCE), GOOD, NO_TIME
    for place in range(len(verdicts)):
        stamp = packets.stamps[place]
        if outcome.start[place]:
            cause, lead, key_stamp = GOOD, cause, stamp
        if lost[place] or outcome.bad[place]:
            verdict = MISSED if missing[place] else DAMAGED
            if not outcome.lonely[place] and codec not in SELF_TELLING:
                cause = DEPENDENT
        elif cause:
            verdict = cause
        elif lead and stamp < key_stamp:
            verdict = lead
        elif not outcome.came[place] and not hidden[place]:
            verdict = _without_picture(stamp < key_stamp, bool(outcome.second_field[place]), codec)
        else:
            verdict = OTHER_SIZE if outcome.other_size[place] else GOOD
        verdicts[place] = UNSHOWN if hidden[place] else verdict
    return verdicts


def _without_picture(leading: bool, second_field: bool, codec: str) -> int:
    if leading:
        return NO_REFERENCE
    return UNSHOWN if second_field or codec in SILENT_PACKETS else DAMAGED


def judge_in_order_shown(bad: np.ndarray, starts: np.ndarray, failures: list[int], delay: int) -> np.ndarray:
    """Verdict on each picture, (n,) uint8, where pictures cannot be told apart by time stamps.

    From the last sure start before the damage to the next one nothing is trusted.

    Args:
        bad: (n,) bool, flagged pictures in the order they are shown.
        starts: (n,) bool, pictures where decoding can start.
        failures: how many pictures had come out at each refusal of the decoder.
        delay: by how many pictures it may have been ahead of what came out.
    """
    n_pictures = len(bad)
    verdicts = np.where(bad, DAMAGED, GOOD).astype(np.uint8)
    edges = np.concatenate(([-1], np.flatnonzero(starts), [n_pictures]))
    hurt = set(np.flatnonzero(bad).tolist())
    for count in failures:
        hurt |= set(range(count, min(count + delay + 1, n_pictures)))
    for place in hurt:
        after = int(edges[np.searchsorted(edges, place, side="right")])
        before = int(edges[np.searchsorted(edges, place, side="left") - 1]) + 1
        part = verdicts[before:after]
        part[part == GOOD] = DEPENDENT
    return verdicts


def gaps_of(verdicts: np.ndarray) -> tuple[Gap, ...]:
    """Stretches of frames that cannot be used, from the verdict on each frame in the order shown."""
    edges = np.concatenate(([0], np.flatnonzero(np.diff(verdicts)) + 1, [len(verdicts)]))
    return tuple(
        Gap(int(start), int(stop), REASONS[verdicts[start]]) for start, stop in pairwise(edges) if start < stop and verdicts[start]
    )


def lonely(packets: Packets, types_b: np.ndarray, codec: str, intra_only: bool) -> np.ndarray:
    """(n,) bool: packets whose picture no other is made from. ``types_b``: pictures of type B, to which MPEG-1, 2 and 4 never refer."""
    if intra_only:
        return np.ones(len(packets.flags), bool)
    never = types_b if codec in ("mpeg1video", "mpeg2video", "mpeg4") else np.zeros(len(packets.flags), bool)
    return packets.are(UNREFERENCED) | never


def starts(packets: Packets, keys: np.ndarray, intra_only: bool) -> np.ndarray:
    """(n,) bool: packets where decoding can start: the container says so, and the picture that came is one (``keys``)."""
    return np.ones(len(packets.flags), bool) if intra_only else packets.are(KEY) & keys
