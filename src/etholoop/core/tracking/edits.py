"""What people said about tracks, applied to whatever tracks there are.

An edit does not say "exchange tracks 1 and 3": numbers change when videos are tracked again. It says which animal is meant by a place in
a frame, its anchor, and what is true of it:

* swap: from ``frame`` on, the animal of anchor a (before) is the one of anchor b (after). Where a new tracker has it right by itself,
  nothing is to be done;
* merge: the animals of both anchors are one;
* split: the animal of anchor a (before ``frame``) is not the one of anchor b (after);
* rename: the animal of anchor a is called so.

An edit whose anchor is not found is returned with the reason, never left out in silence.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

SWAP, MERGE, SPLIT, RENAME = "swap", "merge", "split", "rename"
ACTIONS = (SWAP, MERGE, SPLIT, RENAME)


@dataclass(frozen=True)
class Anchor:
    """An animal by the centre of its box (source px) in one frame; ``track`` is its number when the edit was made, for people only."""

    frame: int
    x: float
    y: float
    track: int


@dataclass(frozen=True)
class Edit:
    """One edit; ``stop_frame`` None = to the end of the video."""

    id: str
    video_id: str
    action: str
    frame: int
    a: Anchor
    b: Anchor | None = None
    stop_frame: int | None = None
    name: str = ""
    who: str = ""
    note: str = ""


@dataclass(frozen=True)
class Applied:
    """Tracks after the edits, names of tracks, and what could not be done: edit id → reason."""

    tracks: pd.DataFrame
    names: dict[int, str]
    lost: dict[str, str]


class _LostError(Exception):
    """Why an edit cannot be applied."""


def apply(tracks: pd.DataFrame, edits: list[Edit]) -> Applied:
    """The tracks of one video after its edits, in their order.

    Args:
        tracks: columns of ``schema.tracks.Tracks``, with or without ``video_id``.
    """
    tracks = tracks.copy()
    names: dict[int, str] = {}
    lost: dict[str, str] = {}
    for edit in edits:
        try:
            _apply_one(tracks, names, edit)
        except _LostError as reason:
            lost[edit.id] = str(reason)
    tracks = tracks.sort_values(["track", "frame"], ignore_index=True)
    return Applied(tracks, names, lost)


def find(tracks: pd.DataFrame, anchor: Anchor) -> int | None:
    """Track whose box's centre is nearest to the anchor in its frame, if the anchor lies in that box; None = no such.

    Boxes that were only drawn between detections are no evidence.
    """
    rows = tracks[(tracks["frame"] == anchor.frame) & (tracks["state"] != "interpolated")]
    if rows.empty:
        return None
    x, y = (rows["x_min"] + rows["x_max"]) / 2, (rows["y_min"] + rows["y_max"]) / 2
    row = rows.iloc[int(np.argmin(np.hypot(x.to_numpy() - anchor.x, y.to_numpy() - anchor.y)))]
    inside = row["x_min"] <= anchor.x <= row["x_max"] and row["y_min"] <= anchor.y <= row["y_max"]
    return int(row["track"]) if inside else None


def anchor_at(tracks: pd.DataFrame, track: int, frame: int, side: str) -> Anchor | None:
    """The detection of a track that stands for it: the last one before ``frame`` (side ``before``) or the first from it on (``after``)."""
    own = tracks[(tracks["track"] == track) & (tracks["state"] != "interpolated")]
    own = own[own["frame"] < frame] if side == "before" else own[own["frame"] >= frame]
    if own.empty:
        return None
    row = own.sort_values("frame").iloc[-1 if side == "before" else 0]
    x, y = (row["x_min"] + row["x_max"]) / 2, (row["y_min"] + row["y_max"]) / 2
    return Anchor(int(row["frame"]), float(x), float(y), track)


def _apply_one(tracks: pd.DataFrame, names: dict[int, str], edit: Edit) -> None:
    a = _found(tracks, edit.a)
    if edit.action == RENAME:
        names[a] = edit.name
        return
    if edit.b is None:
        raise _LostError("it names no second animal")
    b = _found(tracks, edit.b)
    if (a == b) == (edit.action != SPLIT):
        return  # so it is already
    later = tracks["frame"] >= edit.frame
    if edit.stop_frame is not None:
        later &= tracks["frame"] < edit.stop_frame
    if edit.action == SWAP:
        tracks.loc[later, "track"] = tracks.loc[later, "track"].replace({a: b, b: a})
    elif edit.action == SPLIT:
        tracks.loc[later & (tracks["track"] == a), "track"] = int(tracks["track"].max()) + 1
    else:
        _merge(tracks, names, a, b)


def _merge(tracks: pd.DataFrame, names: dict[int, str], a: int, b: int) -> None:
    one, two = tracks["track"] == a, tracks["track"] == b
    real = tracks["state"] != "interpolated"
    both = set(tracks.loc[one & real, "frame"]) & set(tracks.loc[two & real, "frame"])
    if both:
        raise _LostError(f"tracks {a} and {b} are both detected in {len(both)} frames, first {min(both)}: they cannot be one animal")
    # where one is detected, a box drawn for the other between two detections says nothing
    seen = set(tracks.loc[(one | two) & real, "frame"])
    drawn = tracks.index[(one | two) & ~real]
    kept = tracks.loc[drawn]
    wrong = kept.index[kept["frame"].isin(seen) | kept.duplicated("frame")]
    tracks.drop(index=wrong, inplace=True)
    tracks.loc[tracks["track"] == b, "track"] = a
    if b in names:
        names.setdefault(a, names.pop(b))


def _found(tracks: pd.DataFrame, anchor: Anchor) -> int:
    track = find(tracks, anchor)
    if track is None:
        raise _LostError(f"no track at ({anchor.x:.1f}, {anchor.y:.1f}) in frame {anchor.frame} any more (it was track {anchor.track})")
    return track
