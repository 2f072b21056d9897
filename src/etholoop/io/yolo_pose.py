"""YOLO label text: one file per image, one line per animal.

The format: ``class x_centre y_centre width height`` and for a pose model ``x y v`` for each keypoint, all but class and visibility as
shares (0 to 1) of the image's width and height. Visibility is 0 missing, 1 placed but hidden, 2 visible.

Two rules that the format itself does not say:

* every line has its full width. A missing keypoint is ``0 0 0``; leaving it out gives a short line, and Ultralytics then drops the
  whole image without its labels;
* an empty file says "no animal here"; no file says nothing.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from etholoop.errors import EthoLoopError, FaultsError
from etholoop.schema.skeleton import Skeleton

Instance = dict[str, Any]
SHARE_TOLERANCE = 1e-4
"""Programs that round to 4 decimals write 1.0001 at an edge; more than that is a fault."""


def lines(
    boxes: np.ndarray, classes: Sequence[int] | np.ndarray, keypoints: np.ndarray, width: int, height: int, *, decimals: int = 8
) -> list[str]:
    """Label lines of one image, in the order given.

    Args:
        boxes: ``(n, 4)`` corners in pixels; parts outside of the image are cut off.
        classes: ``(n,)`` class numbers.
        keypoints: ``(n, K, 3)`` x, y in pixels and visibility; NaN or visibility 0 = missing. ``K`` may be 0.

    Raises:
        EthoLoopError: a box that has no area inside the image, or a visibility other than 0, 1, 2.
    """
    boxes = np.asarray(boxes, dtype=float).reshape(-1, 4)
    points = np.asarray(keypoints, dtype=float)
    if len(boxes) != len(classes) or len(boxes) != len(points):
        raise EthoLoopError(
            f"YOLO labels: {len(boxes)} boxes, {len(classes)} classes and {len(points)} sets of keypoints do not fit together."
        )
    size = np.array([width, height], dtype=float)
    return [_line(box, int(number), point, size, decimals) for box, number, point in zip(boxes, classes, points, strict=True)]


def lines_of(instances: Sequence[Instance], skeleton: Skeleton, width: int, height: int) -> list[str]:
    """Label lines of the animals of a frame record (see ``io.snapshot``)."""
    boxes, classes, keypoints = arrays(instances, skeleton)
    return lines(boxes, classes, keypoints, width, height)


def arrays(instances: Sequence[Instance], skeleton: Skeleton) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Boxes ``(n, 4)``, classes ``(n,)`` and keypoints ``(n, K, 3)`` (missing = NaN, NaN, 0) of the animals of a frame record."""
    names = skeleton.keypoint_names
    boxes = np.array([instance["box"] for instance in instances], dtype=float).reshape(-1, 4)
    classes = np.array([skeleton.species.index(instance["class"]) for instance in instances], dtype=int)
    missing = (math.nan, math.nan, 0)
    points = [[instance.get("keypoints", {}).get(name, missing) for name in names] for instance in instances]
    return boxes, classes, np.array(points, dtype=float).reshape(len(instances), len(names), 3)


def read(path: Path, width: int, height: int, skeleton: Skeleton) -> list[Instance]:
    """Animals of one label file, as in a frame record: pixels, missing keypoints left out. An empty file gives none.

    Raises:
        EthoLoopError: no file, or not text.
        FaultsError: every faulty line with file and number.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise EthoLoopError(f"{path}: file not found.") from None
    except UnicodeDecodeError:
        raise EthoLoopError(f"{path}: not a text file; expected YOLO label lines.") from None
    instances, faults = [], []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        instance, fault = _instance(line.split(), np.array([width, height], dtype=float), skeleton)
        if fault:
            faults.append(f"{path}:{number}: {fault}")
        else:
            instances.append(instance)
    if faults:
        raise FaultsError(str(path), faults, "The file was not read; correct these lines.")
    return instances


def _line(box: np.ndarray, number: int, points: np.ndarray, size: np.ndarray, decimals: int) -> str:
    low, high = np.clip(box[:2] / size, 0, 1), np.clip(box[2:] / size, 0, 1)
    if not np.all(np.isfinite(box)) or not np.all(high > low):
        raise EthoLoopError(f"YOLO labels: box {box.tolist()} has no area inside the image of {size[0]:.0f} x {size[1]:.0f} pixels.")
    words = [str(number), *_numbers([*(low + high) / 2, *(high - low)], decimals)]
    for x, y, visibility in points.reshape(-1, 3):
        if visibility not in (0, 1, 2):
            raise EthoLoopError(f"YOLO labels: visibility must be 0 missing, 1 hidden or 2 visible, found {visibility}.")
        if visibility == 0 or not (np.isfinite(x) and np.isfinite(y)):
            words += ["0", "0", "0"]
        else:
            words += [*_numbers(np.clip([x / size[0], y / size[1]], 0, 1), decimals), str(int(visibility))]
    return " ".join(words)


def _numbers(values: Sequence[float] | np.ndarray, decimals: int) -> list[str]:
    return [f"{value:.{decimals}f}" for value in values]


def _instance(words: list[str], size: np.ndarray, skeleton: Skeleton) -> tuple[Instance, str]:
    """One line as an animal, or why not."""
    names = skeleton.keypoint_names
    expected = 5 + 3 * len(names)
    if len(words) != expected:
        return {}, f"expected {expected} numbers (class, box, {len(names)} keypoints of x y v), found {len(words)}"
    try:
        values = [float(word) for word in words]
    except ValueError:
        wrong = next(word for word in words if not _is_float(word))
        return {}, f"'{wrong}' is not a number"
    fault = _value_fault(values, skeleton)
    if fault:
        return {}, fault
    centre, extent = np.array(values[1:3]), np.array(values[3:5])
    low, high = np.clip(centre - extent / 2, 0, 1) * size, np.clip(centre + extent / 2, 0, 1) * size
    points = np.array(values[5:]).reshape(-1, 3)
    keypoints = {
        name: [float(min(x, 1) * size[0]), float(min(y, 1) * size[1]), int(visibility)]
        for name, (x, y, visibility) in zip(names, points, strict=True)
        if visibility > 0
    }
    box = [*map(float, low), *map(float, high)]
    return {"class": skeleton.species[int(values[0])], "box": box, "identity": None, "keypoints": keypoints}, ""


def _value_fault(values: list[float], skeleton: Skeleton) -> str:
    if not all(map(math.isfinite, values)):
        return "holds a number that is not finite"
    if values[0] not in range(len(skeleton.species)):
        return f"class {values[0]:g} is unknown; 0 to {len(skeleton.species) - 1} are {', '.join(skeleton.species)}"
    shares = values[1:5] + [value for position, value in enumerate(values[5:]) if position % 3 != 2]
    if not all(-SHARE_TOLERANCE <= share <= 1 + SHARE_TOLERANCE for share in shares):
        return "holds a coordinate outside of 0 to 1; YOLO labels are shares of the image size"
    if values[3] <= 0 or values[4] <= 0:
        return "the box has no area"
    if any(visibility not in (0, 1, 2) for visibility in values[7::3]):
        return "visibility must be 0 missing, 1 hidden or 2 visible"
    return ""


def _is_float(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
