"""Which tracks are the animal that people's behaviour labels are about.

A subject of labels is a name, the number of a track, or '' = the only animal. Names come from people who named tracks; where nobody did,
boxes that people labelled with an identity tell which animal a track is: between two of them that agree it is this animal, between two that
disagree the tracker has exchanged animals somewhere, and that time is nobody's.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from etholoop.core.metrics.matching import box_iou

SAME_ANIMAL_IOU = 0.5
"""Overlap from which a labelled box votes for a track."""

CORNERS = ["x_min", "y_min", "x_max", "y_max"]
NUMBER = re.compile(r"^(?:track[ _-]?)?(\d+)$", re.IGNORECASE)


Frames = dict[int, NDArray[np.int64]]
"""Frames of tracks, ascending."""


@dataclass(frozen=True)
class Matched:
    """Frames of the tracks of each subject of one video, and why some have none."""

    tracks: dict[str, Frames] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)


def match(subjects: Iterable[str], tracks: pd.DataFrame, names: pd.DataFrame, boxes: pd.DataFrame) -> Matched:
    """Match the subjects of one video.

    Args:
        tracks: rows of ``schema.tracks.Tracks`` of this video.
        names: rows of ``schema.tracks.TrackNames`` of this video.
        boxes: rows of ``schema.annotations.Boxes`` of this video.
    """
    by_track: dict[Any, pd.DataFrame] = dict(iter(tracks.groupby("track")))
    whole = {int(track): np.sort(rows["frame"].to_numpy(np.int64)) for track, rows in by_track.items()}
    by_name = {name: {track: whole[track] for track in own if track in whole} for name, own in _called(names).items()}
    called = by_name or _told(whole, tracks, boxes)
    matched = Matched()
    for subject in sorted(set(subjects)):
        found = called.get(subject) or _by_number(subject, whole)
        if subject == "" and not found:
            found = whole
        reason = _reason(subject, found, sorted(called))
        if reason:
            matched.reasons[subject] = reason
        else:
            matched.tracks[subject] = found
    return matched


def _called(names: pd.DataFrame) -> dict[str, list[int]]:
    found: dict[str, list[int]] = defaultdict(list)
    for track, name in zip(names["track"], names["name"], strict=True):
        if isinstance(name, str) and name:
            found[name].append(int(track))
    return dict(found)


def _told(whole: Frames, tracks: pd.DataFrame, boxes: pd.DataFrame) -> dict[str, Frames]:
    """Time of each track in which labelled boxes tell which animal it is; time that two tracks would share is nobody's."""
    claims: dict[str, Frames] = defaultdict(dict)
    for track, votes in sorted(_votes(tracks, boxes).items()):
        for name, frames in _agreed(whole[track], votes).items():
            claims[name][track] = frames
    for own in claims.values():
        frames, counts = np.unique(np.concatenate(list(own.values())), return_counts=True)
        for track in list(own):
            own[track] = np.setdiff1d(own[track], frames[counts > 1])
            if not len(own[track]):
                del own[track]
    return {name: own for name, own in sorted(claims.items()) if own}


def _votes(tracks: pd.DataFrame, boxes: pd.DataFrame) -> dict[int, dict[int, str]]:
    """Identity of the labelled box on each track, by frame."""
    votes: dict[int, dict[int, str]] = defaultdict(dict)
    at = dict(iter(tracks.groupby("frame")))
    labelled: dict[Any, pd.DataFrame] = dict(iter(boxes[boxes["identity"].notna()].groupby("frame")))
    for frame, rows in labelled.items():
        own = at.get(frame)
        if own is None:
            continue
        overlap = box_iou(rows[CORNERS].to_numpy(float), own[CORNERS].to_numpy(float))
        # the best pairs of all together: two animals that overlap do not vote for one track
        for row, place in zip(*linear_sum_assignment(-overlap), strict=True):
            if overlap[row, place] >= SAME_ANIMAL_IOU:
                votes[int(own["track"].iloc[place])][int(frame)] = str(rows["identity"].iloc[row])
    return votes


def _agreed(frames: NDArray[np.int64], votes: dict[int, str]) -> dict[str, NDArray[np.int64]]:
    """Frames of a track in which it is each identity: between votes that agree, and before the first and after the last."""
    seen = sorted(votes)
    found: dict[str, list[NDArray[np.int64]]] = defaultdict(list)
    found[votes[seen[0]]].append(frames[frames <= seen[0]])
    for one, two in pairwise(seen):
        inside = frames[(frames > one) & (frames < two)] if votes[one] == votes[two] else frames[:0]
        found[votes[two]].append(np.append(inside, two))
    found[votes[seen[-1]]].append(frames[frames > seen[-1]])
    return {name: np.unique(np.concatenate(parts)) for name, parts in found.items()}


def _by_number(subject: str, whole: Frames) -> Frames:
    number = NUMBER.match(subject)
    return {int(number[1]): whole[int(number[1])]} if number and int(number[1]) in whole else {}


def _reason(subject: str, found: Frames, named: list[str]) -> str:
    if not found:
        there = ", ".join(named) or "none is named"
        return f"no track is '{subject}' (named tracks: {there}); name it, or label boxes with this identity"
    frames = np.concatenate(list(found.values()))
    if len(np.unique(frames)) < len(frames):
        who = f"'{subject}'" if subject else "the only animal"
        return f"tracks {', '.join(map(str, found))} exist at the same time, so they cannot all be {who}; name the tracks"
    return ""
