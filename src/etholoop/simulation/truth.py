"""What is true of a synthetic scene, as the tables that people's labels become.

Positions are source pixels with the origin at the top-left corner of the frame. All rows carry ``source = "synthetic"``.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pandera.pandas as pa

from etholoop.schema.annotations import Bouts, Boxes, Keypoints, LabelledFrames
from etholoop.simulation import body
from etholoop.simulation.behaviour import ACTIVITIES
from etholoop.simulation.scene import Scene

SOURCE = "synthetic"
SPECIES = "mouse"
FOLLOW = "follow"
MISSING, HIDDEN, VISIBLE = 0, 1, 2
FINE = 4
"""Masks are this many times finer than the frame, so boxes are exact to a quarter of a pixel."""

MIN_VISIBLE = 0.10
"""An animal of which less than this share can be seen is not in view: no person could mark it."""

SHIFT = 4


def labelled_frames(scene: Scene, video_id: str, frames: Iterable[int] | None = None) -> pd.DataFrame:
    """Every frame with its number of animals in view, in schema ``LabelledFrames``."""
    rows = []
    for frame in _frames(scene, frames):
        n_animals = len(visible_animals(scene, frame))
        status = "animals" if n_animals else "no_animal"
        rows.append({"video_id": video_id, "frame": frame, "status": status, "n_animals": n_animals, "source": SOURCE, "note": ""})
    return _table(rows, LabelledFrames)


def boxes(scene: Scene, video_id: str, frames: Iterable[int] | None = None) -> pd.DataFrame:
    """Tight boxes around what can be seen of each body, without the tail, in schema ``Boxes``; ``instance`` is the animal's number."""
    rows = []
    for frame in _frames(scene, frames):
        for animal, corners in visible_animals(scene, frame).items():
            named = dict(zip(("x_min", "y_min", "x_max", "y_max"), corners, strict=True))
            row = dict(video_id=video_id, frame=frame, instance=animal, species=SPECIES, **named)
            rows.append(row | {"identity": scene.identities[animal], "confidence": np.nan, "source": SOURCE})
    return _table(rows, Boxes)


def keypoints(scene: Scene, video_id: str, frames: Iterable[int] | None = None) -> pd.DataFrame:
    """Keypoints of the animals in view, in schema ``Keypoints``: 2 visible, 1 under another animal, 0 (NaN) outside of the frame."""
    rows = []
    for frame in _frames(scene, frames):
        for animal in visible_animals(scene, frame):
            points, visibility = keypoints_of(scene, frame, animal)
            for name, (x, y), seen in zip(body.KEYPOINTS, points, visibility, strict=True):
                row = {"video_id": video_id, "frame": frame, "instance": animal, "keypoint": name, "x": x, "y": y}
                rows.append(row | {"visibility": int(seen), "confidence": np.nan})
    return _table(rows, Keypoints)


def bouts(scene: Scene, video_id: str) -> pd.DataFrame:
    """All bouts, in schema ``Bouts``: the activities of each animal partition its time in the arena; ``follow`` comes on top."""
    rows = []
    for animal, subject in enumerate(scene.identities):
        present = np.asarray(scene.motion.present[:, animal])
        activity = np.where(present, scene.motion.activity[:, animal], -1)
        follows = np.where(present & (scene.motion.leader[:, animal] >= 0), 0, -1)
        for names, codes in ((ACTIVITIES, activity), ((FOLLOW,), follows)):
            for start, stop, code in _runs(codes):
                times = {"start_frame": start, "stop_frame": stop, "confidence": np.nan, "source": SOURCE}
                rows.append(dict(video_id=video_id, subject=subject, behaviour=names[code], **times))
    table = _table(rows, Bouts)
    return table.sort_values(["video_id", "subject", "start_frame", "behaviour"], ignore_index=True)


def visible_animals(scene: Scene, frame: int) -> dict[int, tuple[float, float, float, float]]:
    """Animals that can be seen, by number, with the box (x_min, y_min, x_max, y_max) of what can be seen of their bodies."""
    return dict(_view(scene, frame)[0])


def keypoints_of(scene: Scene, frame: int, animal: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions (4, 2) in the order of ``body.KEYPOINTS``, NaN outside of the frame, and visibility (4,)."""
    points = scene.to_image(body.keypoints(body.shape(scene.posture(frame, animal))))
    outside = np.any((points < 0) | (points >= (scene.width, scene.height)), axis=1)
    hidden = np.zeros(len(points), bool)
    for other in _above(scene, frame, animal):
        hidden |= np.array([_covers(scene, frame, other, point) for point in points])
    visibility = np.where(outside, MISSING, np.where(hidden, HIDDEN, VISIBLE))
    return np.where(outside[:, None], np.nan, points), visibility


def touching(scene: Scene, frame: int) -> set[int]:
    """Animals in view whose body touches or overlaps the body of another one (1 px apart or less)."""
    return set(_view(scene, frame)[1])


@lru_cache(maxsize=4096)
def _view(scene: Scene, frame: int) -> tuple[tuple[tuple[int, tuple[float, float, float, float]], ...], tuple[int, ...]]:
    """Boxes of the animals in view, and those in contact."""
    masks = {animal: _mask(scene, frame, animal) for animal in scene.present(frame)}
    seen = {}
    for animal, mask in masks.items():
        visible = mask.copy()
        for other in _above(scene, frame, animal):
            visible[masks[other] > 0] = 0
        if np.count_nonzero(visible) >= max(1, MIN_VISIBLE * np.count_nonzero(mask)):
            seen[animal] = _bounds(visible)
    kernel = np.ones((2 * FINE + 1,) * 2, np.uint8)  # grows a mask by one pixel
    grown = {animal: cv2.dilate(masks[animal], kernel) for animal in seen}
    contact = [a for a in seen if any(b != a and (grown[a] & masks[b]).any() for b in seen)]
    return tuple(sorted(seen.items())), tuple(sorted(contact))


def _mask(scene: Scene, frame: int, animal: int) -> np.ndarray:
    """The body with its ears, without the tail, ``FINE`` times finer than the frame, uint8 0 or 255."""
    mask = np.zeros((scene.height * FINE, scene.width * FINE), np.uint8)
    for part in _parts(scene, frame, animal):
        points = np.round((part * FINE - 0.5) * (1 << SHIFT)).astype(np.int32)
        cv2.fillPoly(mask, [points], 255, shift=SHIFT)
    return mask


def _parts(scene: Scene, frame: int, animal: int) -> list[np.ndarray]:
    """Outlines of trunk and ears in the image."""
    shape = body.shape(scene.posture(frame, animal))
    left, right, radius = body.ears(shape)
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    ring = radius * np.column_stack([np.cos(angles), np.sin(angles)])
    return [scene.to_image(part) for part in (body.outline(shape), left + ring, right + ring)]


def _covers(scene: Scene, frame: int, animal: int, point: np.ndarray) -> bool:
    place = (float(point[0]), float(point[1]))
    return any(cv2.pointPolygonTest(part.astype(np.float32), place, False) >= 0 for part in _parts(scene, frame, animal))


def _above(scene: Scene, frame: int, animal: int) -> list[int]:
    order = scene.present(frame)
    return order[order.index(animal) + 1 :] if animal in order else []


def _bounds(mask: np.ndarray) -> tuple[float, float, float, float]:
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    return columns[0] / FINE, rows[0] / FINE, (columns[-1] + 1) / FINE, (rows[-1] + 1) / FINE


def _runs(codes: np.ndarray) -> list[tuple[int, int, int]]:
    """Half-open runs of equal codes, without those of -1: (start, stop, code)."""
    edges = np.flatnonzero(np.diff(codes)) + 1
    starts, stops = np.concatenate([[0], edges]), np.concatenate([edges, [len(codes)]])
    return [(int(a), int(b), int(codes[a])) for a, b in zip(starts, stops, strict=True) if b > a and codes[a] >= 0]


def _frames(scene: Scene, frames: Iterable[int] | None) -> list[int]:
    return list(range(scene.n_frames)) if frames is None else sorted(frames)


def _table(rows: list[dict[str, Any]], schema: pa.DataFrameSchema) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=list(schema.columns))
    kinds = {name: str(column.dtype) for name, column in schema.columns.items()}
    return table.astype({name: "str" if kind.startswith("str") else kind for name, kind in kinds.items()})
