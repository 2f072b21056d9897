"""Which tracks are the animal that people's behaviour labels are about.

A subject of labels is a name, the number of a track, or '' = the only animal. Names come from people who named tracks; where nobody did,
boxes that people labelled with an identity vote for the track that they lie on.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from etholoop.core.metrics.matching import box_iou

SAME_ANIMAL_IOU = 0.5
"""Overlap from which a labelled box votes for a track."""

CORNERS = ["x_min", "y_min", "x_max", "y_max"]
NUMBER = re.compile(r"^(?:track[ _-]?)?(\d+)$", re.IGNORECASE)


@dataclass(frozen=True)
class Matched:
    """Tracks of each subject of one video, and why some have none."""

    tracks: dict[str, list[int]] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)


def match(subjects: Iterable[str], tracks: pd.DataFrame, names: pd.DataFrame, boxes: pd.DataFrame) -> Matched:
    """Match the subjects of one video.

    Args:
        tracks: rows of ``schema.tracks.Tracks`` of this video.
        names: rows of ``schema.tracks.TrackNames`` of this video.
        boxes: rows of ``schema.annotations.Boxes`` of this video.
    """
    known = sorted({int(track) for track in tracks["track"]})
    called = _called(names) or _voted(tracks, boxes)
    matched = Matched()
    for subject in sorted(set(subjects)):
        found = [track for track in called.get(subject, []) if track in known] or _by_number(subject, known)
        if subject == "" and not found:
            found = known
        reason = _reason(subject, found, tracks, called)
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


def _voted(tracks: pd.DataFrame, boxes: pd.DataFrame) -> dict[str, list[int]]:
    """Each track goes to the identity that most of the labelled boxes on it have; of equally many to the first by name."""
    named = boxes[boxes["identity"].notna()]
    votes: dict[int, Counter[str]] = defaultdict(Counter)
    at = dict(iter(tracks.groupby("frame")))
    for frame, rows in named.groupby("frame"):
        own = at.get(frame)
        if own is None:
            continue
        overlap = box_iou(rows[CORNERS].to_numpy(float), own[CORNERS].to_numpy(float))
        for row, identity in enumerate(rows["identity"]):
            best = int(overlap[row].argmax())
            if overlap[row, best] >= SAME_ANIMAL_IOU:
                votes[int(own["track"].iloc[best])][str(identity)] += 1
    found: dict[str, list[int]] = defaultdict(list)
    for track, counts in sorted(votes.items()):
        found[min(counts, key=lambda name: (-counts[name], name))].append(track)
    return dict(found)


def _by_number(subject: str, known: list[int]) -> list[int]:
    number = NUMBER.match(subject)
    return [int(number[1])] if number and int(number[1]) in known else []


def _reason(subject: str, found: list[int], tracks: pd.DataFrame, called: dict[str, list[int]]) -> str:
    if not found:
        there = ", ".join(sorted(called)) or "none is named"
        return f"no track is '{subject}' (named tracks: {there}); name it, or label boxes with this identity"
    frames = tracks.loc[tracks["track"].isin(found), "frame"].to_numpy()
    if len(np.unique(frames)) < len(frames):
        who = f"'{subject}'" if subject else "the only animal"
        return f"tracks {', '.join(map(str, found))} exist at the same time, so they cannot all be {who}; name the tracks"
    return ""
