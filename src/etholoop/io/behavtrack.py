"""BehavTrack's files: ``annotation.json`` in and out, and YOLO-pose prediction text.

``annotation.json`` lies in a folder of images and maps image names to animals::

    {"<image name>": [{"bbox": {"x1": …, "y1": …, "x2": …, "y2": …}, "keypoints": {"nose": [x, y, v], …}, "mAnnotated": true}, …]}

Pixels with the origin at the corner of the image, visibility 1 (placed, not clearly visible) or 2 (visible), missing keypoint = no key.
``mAnnotated: false`` is a model's prediction that nobody has accepted. The tracked variant maps frame numbers counted from 1 to animals
by id: ``{"1": {"<id>": {…}}}``.

Prediction text is one line per animal, ``class xc yc w h (x y c)*K [confidence] [id]``, shares of the image size; ``c`` is the keypoint's
confidence. BehavTrack keeps boxes of confidence .25 and more, and calls a keypoint visible above .90 in frames and above .85 in videos.
"""

import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from etholoop.core.labels import PREDICTED
from etholoop.errors import EthoLoopError, FaultsError
from etholoop.io import atomic
from etholoop.params import nearest
from etholoop.schema.columns import frame_uid
from etholoop.schema.skeleton import Skeleton

MIN_CONFIDENCE = 0.25
VISIBLE_IN_FRAMES = 0.90
VISIBLE_IN_VIDEOS = 0.85

REMEDY = "Nothing was read. Correct these entries."

Record = dict[str, Any]
Annotation = dict[str, Any]


@dataclass(frozen=True)
class Labels:
    """Frame records, and the images that hold no finished label, with the reason."""

    frames: list[Record]
    left_out: dict[str, str]


@dataclass(frozen=True)
class Reading:
    """How to read what the format leaves open."""

    species: str = "mouse"
    annotator: str = "behavtrack"
    accept_predictions: bool = False
    """True: animals that nobody corrected count as labels; images with such animals are marked in their annotator."""
    empty_means_no_animal: bool = False
    """True: an image with an empty list shows no animal; otherwise it was not labelled yet."""


@dataclass
class Predicted:
    """Annotations of one prediction file, and how many of what was dropped."""

    annotations: list[Annotation] = field(default_factory=list)
    ids: list[str | None] = field(default_factory=list)
    dropped: dict[str, int] = field(default_factory=dict)


# --- annotation.json ---------------------------------------------------------------------------------------------------------------


def read(path: Path, skeleton: Skeleton, uid_of: Callable[[str], str | None], reading: Reading | None = None) -> Labels:
    """Read an ``annotation.json`` of a folder of images.

    Args:
        uid_of: frame uid of an image name, None = the name does not tell its frame.

    Raises:
        EthoLoopError: no file, or not JSON.
        FaultsError: every faulty entry with its image.
    """
    reading = reading or Reading()
    content, faults = _content(path), []
    frames: list[Record] = []
    left_out: dict[str, str] = {}
    for name, entries in content.items():
        uid = uid_of(name)
        if uid is None:
            faults.append(f"'{name}': the name does not tell video and frame; give a pattern that fits")
        elif not isinstance(entries, list):
            faults.append(f"'{name}': expected a list of animals, found {type(entries).__name__}")
        else:
            here = [f"'{name}': {fault}" for fault in _entries_faults(entries, skeleton)]
            faults += here
            reason = "" if here else _unfinished(entries, reading)
            if reason:
                left_out[name] = reason
            elif not here:
                frames.append(_record(uid, entries, reading))
    if faults:
        raise FaultsError(str(path), faults, REMEDY)
    return Labels(frames, left_out)


def read_tracked(path: Path, skeleton: Skeleton, video_id: str, reading: Reading | None = None) -> Labels:
    """Read the tracked variant, one file per video; ids become identities, frames count from 0."""
    reading = reading or Reading()
    content, faults = _content(path), []
    frames: list[Record] = []
    left_out: dict[str, str] = {}
    for number, by_id in content.items():
        if not number.isdecimal() or int(number) < 1 or not isinstance(by_id, dict):
            faults.append(f"'{number}': expected a frame number from 1 on with animals by id")
            continue
        entries = list(by_id.values())
        here = [f"frame '{number}': {fault}" for fault in _entries_faults(entries, skeleton)]
        faults += here
        reason = "" if here else _unfinished(entries, reading)
        if reason:
            left_out[number] = reason
        elif not here:
            frames.append(_record(frame_uid(video_id, int(number) - 1), entries, reading, list(by_id)))
    if faults:
        raise FaultsError(str(path), faults, REMEDY)
    return Labels(frames, left_out)


def is_tracked(path: Path) -> bool:
    """Whether the file is of the tracked variant."""
    content = _content(path)
    return bool(content) and all(isinstance(value, dict) for value in content.values())


def image_names(path: Path) -> list[str]:
    """Names of the images in an ``annotation.json``."""
    return sorted(_content(path))


def annotations_of(record: Record, skeleton: Skeleton) -> list[Annotation]:
    """The animals of a frame record as entries of ``annotation.json``, keypoints in the order of the skeleton."""
    return [
        {
            "bbox": dict(zip(("x1", "y1", "x2", "y2"), map(float, animal["box"]), strict=True)),
            "keypoints": {name: list(animal["keypoints"][name]) for name in skeleton.keypoint_names if name in animal["keypoints"]},
            "mAnnotated": True,
        }
        for animal in record["instances"]
    ]


def write(path: Path, annotations: dict[str, list[Annotation]]) -> None:
    """Write ``annotation.json``, images by name, all or nothing."""
    atomic.write_text(path, json.dumps(dict(sorted(annotations.items())), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def _content(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_mapping)
    except FileNotFoundError:
        raise EthoLoopError(f"{path}: file not found.") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise EthoLoopError(f"{path}: not JSON ({error}). Perhaps the file is cut off; nothing was read.") from None
    except _RepeatedKeyError as error:
        raise EthoLoopError(f"{path}: '{error}' stands twice; the labels of one would be lost. Join the two entries.") from None
    if not isinstance(content, dict):
        raise EthoLoopError(f"{path}: expected images by name, found {type(content).__name__}. {REMEDY}")
    return content


class _RepeatedKeyError(Exception):
    pass


def _mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        names = [name for name, _ in pairs]
        raise _RepeatedKeyError(next(name for name in names if names.count(name) > 1))
    return mapping


def _unfinished(entries: list[Annotation], reading: Reading) -> str:
    """Why an image is no label yet, or ''. One uncorrected animal leaves the image out: without it the others would be called all."""
    if not entries:
        return "" if reading.empty_means_no_animal else "no animals marked; this may mean 'not labelled yet'"
    waiting = sum(not entry.get("mAnnotated", False) for entry in entries)
    if waiting and not reading.accept_predictions:
        return f"{waiting} of {len(entries)} animals are predictions that nobody accepted"
    return ""


def _record(uid: str, entries: list[Annotation], reading: Reading, ids: Sequence[str] | None = None) -> Record:
    instances = []
    for number, entry in enumerate(entries):
        box = [float(entry["bbox"][side]) for side in ("x1", "y1", "x2", "y2")]
        points = {name: [float(point[0]), float(point[1]), int(point[2])] for name, point in entry.get("keypoints", {}).items()}
        instances.append({"class": reading.species, "box": box, "identity": ids[number] if ids else None, "keypoints": points})
    status = "animals" if instances else "no_animal"
    predicted = any(not entry.get("mAnnotated", False) for entry in entries)
    annotator = f"{PREDICTED}{reading.annotator}" if predicted else reading.annotator
    return {"uid": uid, "annotator": annotator, "status": status, "note": "", "instances": instances}


def _entries_faults(entries: Iterable[Any], skeleton: Skeleton) -> list[str]:
    return [f"animal {number}: {fault}" for number, entry in enumerate(entries) for fault in _entry_faults(entry, skeleton)]


def _entry_faults(entry: Any, skeleton: Skeleton) -> list[str]:
    if not isinstance(entry, dict) or not isinstance(entry.get("bbox"), dict):
        return [f"expected a mapping with bbox, found {entry!r}"]
    sides = [entry["bbox"].get(side) for side in ("x1", "y1", "x2", "y2")]
    if not all(map(_is_finite, sides)):
        return [f"bbox needs finite x1, y1, x2, y2, found {entry['bbox']}"]
    faults = [] if sides[0] < sides[2] and sides[1] < sides[3] else [f"bbox {entry['bbox']} has no area; x1 < x2 and y1 < y2 are needed"]
    points = entry.get("keypoints", {})
    if not isinstance(points, dict):
        return [*faults, f"keypoints must be a mapping, found {points!r}"]
    known = list(skeleton.keypoint_names)
    for name, point in points.items():
        if name not in known:
            faults.append(f"unknown keypoint '{name}'; {nearest(name, known)}")
        elif not (isinstance(point, list) and len(point) == 3 and all(map(_is_finite, point)) and point[2] in (1, 2)):
            faults.append(f"keypoint '{name}' must be [x, y, 1 or 2], found {point!r}")
    return faults


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


# --- prediction text ---------------------------------------------------------------------------------------------------------------


def predictions(
    text: str,
    keypoints: Sequence[str],
    width: int,
    height: int,
    *,
    visible_above: float = VISIBLE_IN_FRAMES,
    min_confidence: float = MIN_CONFIDENCE,
    where: str = "predictions",
) -> Predicted:
    """Predictions as entries of ``annotation.json`` with ``mAnnotated: false``.

    Boxes without area, boxes of low confidence (where the line tells one) and keypoints outside of their box are dropped and counted.

    Raises:
        FaultsError: every line that is not of this format, with its number.
    """
    found, faults = Predicted(), []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        numbers, confidence, track, fault = _split(line.split(), len(keypoints))
        if fault:
            faults.append(f"{where}:{number}: {fault}")
        elif confidence is not None and confidence < min_confidence:
            _count(found.dropped, "boxes of low confidence")
        elif numbers[3] <= 0 or numbers[4] <= 0:
            _count(found.dropped, "boxes without area")
        else:
            found.annotations.append(_predicted(numbers, keypoints, (width, height), visible_above, found.dropped))
            found.ids.append(track)
    if faults:
        raise FaultsError(where, faults, REMEDY)
    return found


def instances_of(found: Predicted, species: str) -> list[Record]:
    """Predictions as animals of a frame record."""
    return _record("", found.annotations, Reading(species))["instances"]


def _split(words: list[str], n_keypoints: int) -> tuple[list[float], float | None, str | None, str]:
    """Numbers of one line, the box's confidence, the track id, or a fault. A last whole number is an id, one with a point a confidence."""
    expected = 5 + 3 * n_keypoints
    if not expected <= len(words) <= expected + 2:
        return [], None, None, f"expected {expected} numbers (and perhaps confidence and id), found {len(words)}"
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        return [], None, None, "holds something that is not a number"
    if not all(map(math.isfinite, numbers)):
        return [], None, None, "holds a number that is not finite"
    extra = words[expected:]
    track = extra[-1] if extra and extra[-1].isdecimal() else None
    told = extra[:-1] if track else extra
    return numbers[:expected], float(told[0]) if told else None, track, ""


def _predicted(
    numbers: list[float], keypoints: Sequence[str], size: tuple[int, int], visible_above: float, dropped: dict[str, int]
) -> Annotation:
    x_centre, y_centre, box_width, box_height = numbers[1:5]
    sides = {
        "x1": (x_centre - box_width / 2) * size[0],
        "y1": (y_centre - box_height / 2) * size[1],
        "x2": (x_centre + box_width / 2) * size[0],
        "y2": (y_centre + box_height / 2) * size[1],
    }
    points = {}
    for place, name in enumerate(keypoints):
        x, y, confidence = numbers[5 + 3 * place : 8 + 3 * place]
        x, y = x * size[0], y * size[1]
        if sides["x1"] <= x <= sides["x2"] and sides["y1"] <= y <= sides["y2"]:
            points[name] = [x, y, 2 if confidence > visible_above else 1]
        else:
            _count(dropped, "keypoints outside of their box")
    return {"bbox": sides, "keypoints": points, "mAnnotated": False}


def _count(counts: dict[str, int], what: str) -> None:
    counts[what] = counts.get(what, 0) + 1
