"""From label records to tables: checking them against the sources, choosing between annotators, laying them out in rows.

A record is a dictionary as ``io.snapshot`` describes it; this module knows no files.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from etholoop.params import nearest
from etholoop.schema.columns import parse_frame_uid
from etholoop.schema.ethogram import Ethogram
from etholoop.schema.skeleton import Skeleton

EDGE_TOLERANCE_PX = 1.0
"""How far beyond the image's edge a hand may slip; such places are moved onto the edge."""

PREDICTED = "predictions:"
"""Start of the annotator of labels that a model made and nobody corrected; people always come before them."""

Record = dict[str, Any]
Row = dict[str, Any]
Interval = tuple[int, int]


@dataclass(frozen=True)
class Extent:
    """What there is of one source. ``frames``: the numbers that exist, None = all from 0 to ``n_frames - 1``."""

    width: int
    height: int
    n_frames: int
    frames: frozenset[int] | None = None

    def has(self, frame: int) -> bool:
        return frame in self.frames if self.frames is not None else 0 <= frame < self.n_frames


@dataclass
class Rows:
    """Rows of the annotation tables, see ``schema.annotations``; ``contested_frames`` were labelled by several people."""

    labelled_frames: list[Row] = field(default_factory=list)
    boxes: list[Row] = field(default_factory=list)
    keypoints: list[Row] = field(default_factory=list)
    bouts: list[Row] = field(default_factory=list)
    looked_at: list[Row] = field(default_factory=list)
    contested_frames: list[str] = field(default_factory=list)
    contested_behaviours: list[str] = field(default_factory=list)


# --- checking ----------------------------------------------------------------------------------------------------------------------


def frame_faults(record: Record, skeleton: Skeleton, extents: dict[str, Extent], *, clip: bool = False) -> list[str]:
    """Why a frame record cannot be true of its source; with ``clip`` places outside of the image are no fault if some box is left."""
    where = f"{record['uid']} by {record['annotator']}"
    video_id, frame = parse_frame_uid(record["uid"])
    extent = extents.get(video_id)
    if extent is None:
        return [f"{where}: there is no source '{video_id}'; {nearest(video_id, list(extents))}"]
    if not extent.has(frame):
        return [f"{where}: {_no_frame(frame, extent)}"]
    faults = []
    for number, instance in enumerate(record["instances"]):
        faults += [f"{where}: animal {number}: {fault}" for fault in _instance_faults(instance, skeleton, extent, clip)]
    identities = [instance["identity"] for instance in record["instances"] if instance["identity"] is not None]
    repeated = sorted({name for name in identities if identities.count(name) > 1})
    return faults + [f"{where}: identity '{name}' is given to {identities.count(name)} animals" for name in repeated]


def behaviour_faults(record: Record, ethogram: Ethogram, extents: dict[str, Extent]) -> list[str]:
    """Why a behaviour record cannot be true: unknown source or behaviour, frames that do not exist, two exclusive things at once."""
    where = f"{record['video']}{' ' + record['subject'] if record['subject'] else ''} by {record['annotator']}"
    extent = extents.get(record["video"])
    if extent is None:
        return [f"{where}: there is no source '{record['video']}'; {nearest(record['video'], list(extents))}"]
    faults = [
        f"{where}: looked_at [{start}, {stop}) goes beyond the {extent.n_frames} frames of the source"
        for start, stop in record["looked_at"]
        if stop > extent.n_frames
    ]
    known = list(ethogram.names)
    unknown = sorted({bout["behaviour"] for bout in record["bouts"]} - set(known))
    faults += [f"{where}: unknown behaviour '{name}'; {nearest(name, known)}" for name in unknown]
    return faults + [
        f"{where}: {fault}" for fault in _kind_faults(record["bouts"], ethogram) + _exclusion_faults(record["bouts"], ethogram)
    ]


def _no_frame(frame: int, extent: Extent) -> str:
    if extent.frames is not None:
        return f"there is no image with number {frame} in this folder ({len(extent.frames)} images)"
    return f"frame {frame} does not exist; the video has {extent.n_frames} frames, 0 to {extent.n_frames - 1}"


def _instance_faults(instance: Record, skeleton: Skeleton, extent: Extent, clip: bool) -> list[str]:
    faults = []
    if instance["class"] not in skeleton.species:
        faults.append(f"unknown class '{instance['class']}'; {nearest(instance['class'], list(skeleton.species))}")
    size = f"{extent.width} x {extent.height} image"
    box = instance["box"]
    x_min, y_min, x_max, y_max = clipped_box(box, extent)
    if x_max <= x_min or y_max <= y_min:
        faults.append(f"box {box} lies outside of the {size}")
    elif not clip and max(abs(a - b) for a, b in zip(box, (x_min, y_min, x_max, y_max), strict=True)) > EDGE_TOLERANCE_PX:
        faults.append(f"box {box} goes beyond the {size}")
    known = list(skeleton.keypoint_names)
    for name, (x, y, _) in instance["keypoints"].items():
        if name not in known:
            faults.append(
                f"unknown keypoint '{name}'; {nearest(name, known)}" if known else f"keypoint '{name}', but the skeleton has none"
            )
        elif not clip and _distance_outside(x, y, extent) > EDGE_TOLERANCE_PX:
            faults.append(f"keypoint '{name}' at ({x}, {y}) lies outside of the {size}")
    return faults


def _kind_faults(bouts: Sequence[Record], ethogram: Ethogram) -> list[str]:
    points = {behaviour.name for behaviour in ethogram.behaviours if behaviour.kind == "point"}
    long = [bout for bout in bouts if bout["behaviour"] in points and bout["stop"] != bout["start"] + 1]
    return [f"{_said(bout)} lasts {bout['stop'] - bout['start']} frames, but it is a point event: stop must be start + 1" for bout in long]


def _exclusion_faults(bouts: Sequence[Record], ethogram: Ethogram) -> list[str]:
    """Pairs of different behaviours of one exclusive group that overlap; a sweep by start, so long records stay quick."""
    group_of = {behaviour.name: behaviour.exclusive_group for behaviour in ethogram.behaviours}
    faults: list[str] = []
    last: dict[str, Record] = {}
    for bout in sorted(bouts, key=lambda bout: (bout["start"], bout["stop"])):
        group = group_of.get(bout["behaviour"])
        if group is None:
            continue
        before = last.get(group)
        if before and bout["start"] < before["stop"]:
            faults.append(f"{_said(before)} and {_said(bout)} overlap, but only one behaviour of the group '{group}' is possible at a time")
        if not before or bout["stop"] > before["stop"]:
            last[group] = bout
    return faults


def _said(bout: Record) -> str:
    return f"'{bout['behaviour']}' [{bout['start']}, {bout['stop']})"


def _distance_outside(x: float, y: float, extent: Extent) -> float:
    return max(-x, -y, x - extent.width, y - extent.height, 0.0)


def clipped_box(box: Sequence[float], extent: Extent) -> tuple[float, float, float, float]:
    """The part of a box inside the image; without area when there is none."""
    x_min, y_min, x_max, y_max = box
    return max(x_min, 0.0), max(y_min, 0.0), min(x_max, float(extent.width)), min(y_max, float(extent.height))


def clipped_frame(record: Record, extent: Extent) -> tuple[Record, list[str]]:
    """The record with boxes cut at the image's edge, and what became missing.

    A keypoint within the tolerance is moved onto the edge; one farther outside cannot be seen in this image and becomes missing.
    """
    instances, lost = [], []
    for number, instance in enumerate(record["instances"]):
        points = {}
        for name, (x, y, visibility) in instance["keypoints"].items():
            if _distance_outside(x, y, extent) > EDGE_TOLERANCE_PX:
                lost.append(f"keypoint '{name}' of animal {number} at ({x}, {y}) lies outside of the image")
            else:
                points[name] = [min(max(x, 0.0), float(extent.width)), min(max(y, 0.0), float(extent.height)), visibility]
        instances.append({**instance, "box": list(clipped_box(instance["box"], extent)), "keypoints": points})
    return {**record, "instances": instances}, lost


# --- choosing between annotators ---------------------------------------------------------------------------------------------------


def preference(annotators: Iterable[str], prefer: Sequence[str]) -> list[str]:
    """Annotators by precedence: first those named in ``prefer``, then other people by name, models last."""
    rank = {name: number for number, name in enumerate(prefer)}
    return sorted(set(annotators), key=lambda name: (rank.get(name, len(rank)), name.startswith(PREDICTED), name))


def one_per_frame(records: Sequence[Record], prefer: Sequence[str]) -> tuple[list[Record], list[str]]:
    """The record of the preferred annotator for each frame, by uid; and the uids that several people labelled."""
    by_uid: dict[str, dict[str, Record]] = {}
    for record in records:
        by_uid.setdefault(record["uid"], {})[record["annotator"]] = record
    chosen = [by_annotator[preference(by_annotator, prefer)[0]] for _, by_annotator in sorted(by_uid.items())]
    return chosen, sorted(uid for uid, by_annotator in by_uid.items() if len(by_annotator) > 1)


def one_at_a_time(records: Sequence[Record], prefer: Sequence[str]) -> tuple[list[Record], list[str]]:
    """Behaviour records cut so that no time of a subject is told by two people.

    The preferred annotator speaks for all the time they looked at; the next one for what is left of theirs. Also the videos (and
    subjects) in which several people looked at the same time.
    """
    by_subject: dict[tuple[str, str], dict[str, Record]] = {}
    for record in records:
        by_subject.setdefault((record["video"], record["subject"]), {})[record["annotator"]] = record
    cut, contested = [], []
    for (video, subject), by_annotator in sorted(by_subject.items()):
        taken: list[Interval] = []
        for annotator in preference(by_annotator, prefer):
            record = by_annotator[annotator]
            looked_at = [(start, stop) for start, stop in record["looked_at"]]
            own = outside(looked_at, taken)
            if own != looked_at:
                contested.append(f"{video} {subject}".strip())
            bouts = [
                {**bout, "start": start, "stop": stop}
                for bout in record["bouts"]
                for start, stop in outside([(bout["start"], bout["stop"])], taken)
            ]
            cut.append({**record, "looked_at": [list(interval) for interval in own], "bouts": bouts})
            taken = sorted(taken + own)
    return cut, sorted(set(contested))


def outside(intervals: Sequence[Interval], others: Sequence[Interval]) -> list[Interval]:
    """The pieces of half-open intervals that lie in none of the others (sorted and disjoint)."""
    pieces = []
    for first, stop in intervals:
        start = first
        for other_start, other_stop in others:
            if other_start >= stop or other_stop <= start:
                continue
            if start < other_start:
                pieces.append((start, other_start))
            start = other_stop
        if start < stop:
            pieces.append((start, stop))
    return pieces


# --- rows --------------------------------------------------------------------------------------------------------------------------


def rows_of(frames: Sequence[Record], behaviours: Sequence[Record], skeleton: Skeleton, prefer: Sequence[str] = ()) -> Rows:
    """Rows of all annotation tables from good records; several annotators are resolved by ``prefer``."""
    chosen, contested_frames = one_per_frame(frames, prefer)
    told, contested_behaviours = one_at_a_time(behaviours, prefer)
    rows = Rows(contested_frames=contested_frames, contested_behaviours=contested_behaviours)
    for record in chosen:
        _add_frame(rows, record, skeleton)
    for record in told:
        _add_behaviour(rows, record)
    return rows


def _add_frame(rows: Rows, record: Record, skeleton: Skeleton) -> None:
    video_id, frame = parse_frame_uid(record["uid"])
    place = {"video_id": video_id, "frame": frame}
    told = {"status": record["status"], "n_animals": len(record["instances"]), "source": record["annotator"], "note": record["note"]}
    rows.labelled_frames.append(place | told)
    for number, instance in enumerate(record["instances"]):
        animal = place | {"instance": number}
        corners = dict(zip(("x_min", "y_min", "x_max", "y_max"), instance["box"], strict=True))
        said = {"identity": instance["identity"], "confidence": math.nan, "source": record["annotator"]}
        rows.boxes.append(animal | {"species": instance["class"]} | corners | said)
        for name in skeleton.keypoint_names:
            x, y, visibility = instance["keypoints"].get(name, (math.nan, math.nan, 0))
            rows.keypoints.append(animal | {"keypoint": name, "x": x, "y": y, "visibility": visibility, "confidence": math.nan})


def _add_behaviour(rows: Rows, record: Record) -> None:
    subject = {"video_id": record["video"], "subject": record["subject"]}
    for bout in record["bouts"]:
        interval = {"start_frame": bout["start"], "stop_frame": bout["stop"]}
        rows.bouts.append(subject | {"behaviour": bout["behaviour"]} | interval | {"confidence": math.nan, "source": record["annotator"]})
    for start, stop in record["looked_at"]:
        rows.looked_at.append(subject | {"start_frame": start, "stop_frame": stop, "source": record["annotator"]})


# --- boxes from keypoints ----------------------------------------------------------------------------------------------------------


def box_around(points: np.ndarray, width: int, height: int, *, margin: float = 0.15, min_margin_px: float = 8.0) -> list[float]:
    """A box around placed keypoints ``(n, 2)``, for formats that have none.

    The margin on every side is a share of the longer side of the points' extent, at least ``min_margin_px``; the box is cut at the image.
    """
    low, high = points.min(axis=0), points.max(axis=0)
    pad = max(margin * float((high - low).max()), min_margin_px)
    x_min, y_min = np.maximum(low - pad, 0)
    x_max, y_max = np.minimum(high + pad, (width, height))
    return [float(x_min), float(y_min), float(x_max), float(y_max)]
