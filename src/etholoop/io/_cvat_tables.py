"""CVAT tracks as our tables, and back."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from etholoop.errors import FaultsError
from etholoop.io import tables
from etholoop.io._cvat_records import BOX, Annotations, Meta, Shape, Track
from etholoop.schema.tracks import DETECTED, HUMAN, INTERPOLATED, NO_INSTANCE, Tracks

EDGES = ("x_min", "y_min", "x_max", "y_max")


def to_tracks(annotations: Annotations, video_id: str, *, n_frames: int | None = None) -> pd.DataFrame:
    """Boxes in view as table Tracks: what is marked outside has no row, points count for nothing.

    A keyframe has the state "human" (of a track whose source is not manual: "detected"), a box between keyframes "interpolated".
    A turned box becomes the smallest upright one around it.

    Raises:
        FaultsError: boxes at or after ``n_frames``, the length of the video, if it is given.
    """
    rows: list[dict[str, Any]] = []
    faults = []
    for track in annotations.tracks:
        keyframe = HUMAN if track.source == "manual" else DETECTED
        seen = [shape for shape in track.shapes if shape.kind == BOX and not shape.outside]
        if n_frames is not None and seen and seen[-1].frame >= n_frames:
            faults.append(f"track {track.id}: has a box in frame {seen[-1].frame}, the video's last frame is {n_frames - 1}")
        for shape in seen:
            row = {"video_id": video_id, "track": track.id, "frame": shape.frame, **dict(zip(EDGES, upright(shape), strict=True))}
            state = keyframe if shape.keyframe else INTERPOLATED
            rows.append(row | {"species": track.label, "confidence": math.nan, "state": state, "instance": NO_INSTANCE})
    if faults:
        raise FaultsError(video_id, faults, "The annotation belongs to another video, or to a longer version of this one.")
    return tables.from_rows(rows, Tracks).sort_values(["track", "frame"], ignore_index=True)


def upright(shape: Shape) -> tuple[float, ...]:
    """x_min, y_min, x_max, y_max of a box; of a turned one the smallest upright box around it."""
    if not shape.rotation:
        return shape.coordinates
    corners = np.array(shape.coordinates).reshape(2, 2)
    centre, half = corners.mean(axis=0), (corners[1] - corners[0]) / 2
    sine, cosine = abs(math.sin(math.radians(shape.rotation))), abs(math.cos(math.radians(shape.rotation)))
    reach = np.array([half[0] * cosine + half[1] * sine, half[0] * sine + half[1] * cosine])
    return tuple(float(value) for value in (*(centre - reach), *(centre + reach)))


def from_tracks(tracks: pd.DataFrame, meta: Meta, behaviours: Mapping[tuple[int, int], Mapping[str, str]] | None = None) -> Annotations:
    """Annotations of one video from table Tracks. Where a track ends before the video does, or is lost, an end mark follows it.

    The end mark is a shape with ``outside`` in the first frame without a box, so the last box stays in view. Boxes that are not
    interpolated are keyframes. A track of which no box was set by a person has the source "auto".

    Args:
        meta: ``size``, where known, is the length of the video: no end mark is written beyond it.
        behaviours: attributes by (track, frame), for example ``{(0, 12): {"Behavior": "Walk"}}``.
    """
    made = []
    for number, rows in tracks.sort_values(["track", "frame"]).groupby("track", sort=True):
        shapes = _shapes(rows, {frame: given for (track, frame), given in (behaviours or {}).items() if track == number})
        source = "manual" if (rows["state"] == HUMAN).any() else "auto"
        # the species seen most often; of equally frequent ones the first in the alphabet
        label = rows["species"].value_counts().sort_index().idxmax()
        made.append(Track(int(str(number)), str(label), _with_ends(shapes, meta.size), source))
    return Annotations(tuple(made), meta)


def _shapes(rows: pd.DataFrame, attributes: Mapping[int, Mapping[str, str]]) -> list[Shape]:
    boxes = rows[list(EDGES)].to_numpy()
    return [
        Shape(frame, tuple(box), keyframe=state != INTERPOLATED, attributes=tuple(attributes.get(frame, {}).items()))
        for frame, box, state in zip(rows["frame"].tolist(), boxes.tolist(), rows["state"], strict=True)
    ]


def _with_ends(shapes: Sequence[Shape], n_frames: int | None) -> tuple[Shape, ...]:
    result: list[Shape] = []
    for shape, following in zip(shapes, [*shapes[1:], None], strict=True):
        result.append(shape)
        ends = following is None or following.frame > shape.frame + 1
        if ends and (n_frames is None or shape.frame + 1 < n_frames):
            result.append(shape._replace(frame=shape.frame + 1, outside=True, keyframe=True, attributes=()))
    return tuple(result)


def labels_by_frame(track: Track, attribute: str | None = None) -> dict[int, str]:
    """The behaviour in each frame in view: the text of the attribute named, or of the only one.

    Raises:
        FaultsError: a shape has several attributes and none was named.
    """
    found: dict[int, str] = {}
    faults = []
    for shape in track.shapes:
        if shape.outside:
            continue
        given = [(name, text) for name, text in shape.attributes if attribute in (None, name)]
        if len(given) > 1:
            names = ", ".join(dict.fromkeys(name for name, _ in given))
            faults.append(f"track {track.id} frame {shape.frame}: {len(given)} attributes ({names})")
        elif given and given[0][1].strip():
            found[shape.frame] = given[0][1].strip()
    if faults:
        raise FaultsError("behaviours", faults, "Say which attribute holds the behaviour.")
    return found


def without_hidden(tracks: Iterable[Track]) -> tuple[Track, ...]:
    """The same tracks without shapes marked outside."""
    return tuple(Track(t.id, t.label, tuple(shape for shape in t.shapes if not shape.outside), t.source) for t in tracks)
