"""BehavTrack's repair of identities: a detector's own track ids, made fewer by comparing one frame with the next.

A compatible re-implementation from a description of its behaviour: with the same settings it gives the same assignments, faults
included (`tests/parity/test_trackers_behavtrack.py`). Ids count from 1, as there. What it does not do, `etholoop` does:

* an id present in two frames in a row is believed, so a swap made by the detector's tracker passes through;
* an animal that is lost keeps its last box for ever (:attr:`Held.copied` marks such rows; the original does not);
* ``release_id_at_value`` works the wrong way round: with 61 an id is held for one frame and then jumps to any distance;
* after a gap longer than ``frames_skip_limit`` ids are dealt out anew.

One thing differs: the original stops with an error where the first frame holds no animal; here the first frame that does comes first.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

Slots = dict[int, int]
"""id → row of the detection that it holds; the order is that of the original's dictionaries and decides ties."""
Costs = Callable[[list[int], list[int]], NDArray[np.float64]]


@dataclass(frozen=True)
class Settings:
    """The original's parameters by their own names; the defaults are those of its notebook.

    ``penalty_per_missing`` is never used by the original and is kept for the sake of old settings. ``max_ids``: ids above it are
    neither copied forward nor compared. ``release_id_at_value``: see the head of this file.
    """

    frames_skip_limit: int = 30
    scale_factor: float = 0.15
    penalty_per_missing: float = 100.0
    alpha: float = 0.75
    epsilon: float = 1e-6
    cost_threshold: float = -0.05
    release_id_at_value: int = 61
    max_ids: int = 5


FUNCTION_DEFAULTS = Settings(scale_factor=0.02, penalty_per_missing=10.0, alpha=0.5, cost_threshold=0.5, release_id_at_value=16)
"""The defaults of the original's function, which its notebook overrules."""


@dataclass(frozen=True)
class PairCosts:
    """How unlike each pair of annotations is; every field has the shape of the pairs.

    Overlaps run from 0 to 1, distances are shares of the picture's diagonal, ``cost`` runs from about -1 (the same) to about 1.
    """

    iou_box: NDArray[np.float64]
    distance_box: NDArray[np.float64]
    iou_keypoints: NDArray[np.float64]
    distance_keypoints: NDArray[np.float64]
    cost: NDArray[np.float64]


@dataclass(frozen=True)
class Held:
    """What each id holds, frame by frame: four columns of equal length, in the original's order.

    ``row`` numbers the detections given; ``copied`` is true where that detection belongs to an earlier frame.
    """

    frame: NDArray[np.int64]
    id: NDArray[np.int64]
    row: NDArray[np.int64]
    copied: NDArray[np.bool_]


def pair_costs(
    box_a: NDArray[np.float64],
    points_a: NDArray[np.float64],
    box_b: NDArray[np.float64],
    points_b: NDArray[np.float64],
    *,
    diagonal_px: float,
    settings: Settings,
) -> PairCosts:
    """Costs of pairs whose arrays broadcast: boxes (…, 4) xyxy, points (…, K, ≥2) with NaN for a missing one.

    Around each keypoint lies a box of ``scale_factor`` times its animal's box. With m of K keypoints in common the keypoint overlap is
    m/K times the mean, and the keypoint distance (mean + missing) / (missing + 1), 1 where m = 0. Distance D and overlap I are weighted
    by ``alpha`` and give (D - I) / (D + I + epsilon).
    """
    iou_box, distance_box = _overlap(box_a, box_b), _distance(box_a, box_b, diagonal_px)
    around_a, around_b = _boxes_around(points_a, box_a, settings), _boxes_around(points_b, box_b, settings)
    known = ~(np.isnan(points_a[..., 0]) | np.isnan(points_b[..., 0]))  # (…, K)
    n_common = known.sum(axis=-1)
    iou_sum = np.where(known, _overlap(around_a, around_b), 0.0).sum(axis=-1)
    distance_sum = np.where(known, _distance(around_a, around_b, diagonal_px), 0.0).sum(axis=-1)
    missing = points_a.shape[-2] - n_common
    some = np.maximum(n_common, 1)
    iou_points = n_common / max(points_a.shape[-2], 1) * iou_sum / some
    distance_points = np.where(n_common > 0, (distance_sum / some + missing) / (missing + 1), 1.0)
    unlike = (1 - settings.alpha) * (distance_box + distance_points) / 2
    alike = settings.alpha * (iou_box + iou_points) / 2
    cost = (unlike - alike) / (unlike + alike + settings.epsilon)
    return PairCosts(iou_box, distance_box, iou_points, distance_points, cost)


def track(
    frame: NDArray[np.int64],
    detector_id: NDArray[np.int64],
    box: NDArray[np.float64],
    keypoints: NDArray[np.float64] | None,
    *,
    width: int,
    height: int,
    settings: Settings,
) -> Held:
    """Which id holds which detection in each frame that has detections.

    Args:
        frame: (n,) frame of each detection, counted from anywhere; within a frame the order of rows is the order of the original's
            dictionary.
        detector_id: (n,) ids of the detector's own tracker, from 1, each at most once in a frame.
        box: (n, 4) xyxy in pixels.
        keypoints: (n, K, ≥2) or None.
    """
    points = np.zeros((len(frame), 0, 2)) if keypoints is None else keypoints
    diagonal_px = float(np.hypot(width, height))

    def costs(rows_a: list[int], rows_b: list[int]) -> NDArray[np.float64]:
        first, second = (box[rows_a, None], points[rows_a, None]), (box[None, rows_b], points[None, rows_b])
        return pair_costs(*first, *second, diagonal_px=diagonal_px, settings=settings).cost

    seen: dict[int, Slots] = {}
    for row, (number, identity) in enumerate(zip(frame.tolist(), detector_id.tolist(), strict=True)):
        seen.setdefault(number, {})[identity] = row
    return _held(_repaired(dict(sorted(seen.items())), costs, settings), frame)


def _repaired(seen: Mapping[int, Slots], costs: Costs, settings: Settings) -> dict[int, Slots]:
    """The original's walk through the frames that have detections."""
    repaired: dict[int, Slots] = {}
    step = _Step(costs, settings)
    previous: int | None = None
    for number, slots in seen.items():
        if previous is None:
            repaired[number] = dict(slots)
        elif number - previous > settings.frames_skip_limit:
            repaired[number] = _dealt_anew(slots, settings.max_ids)
        else:
            repaired[number] = step.next(repaired[previous], slots)
        previous = number
    return repaired


def _dealt_anew(slots: Slots, max_ids: int) -> Slots:
    """After a long gap ids are dealt out from the highest down, in the order of the detections; those beyond the last id are left out."""
    return dict(zip(range(max_ids, 0, -1), slots.values(), strict=False))


@dataclass
class _Step:
    """One frame to the next. ``stuck`` remembers, over all ids together or each by itself, how often a match was refused."""

    costs: Costs
    settings: Settings
    stuck: dict[int, tuple[bool, int]] = field(default_factory=dict)

    def next(self, current: Slots, following: Slots) -> Slots:
        """The slots of the following frame, by the ids of the current one."""
        result = dict(following)
        gone = [key for key in range(1, self.settings.max_ids + 1) if key in current and key not in result]
        new = [key for key in result if key not in current]
        if gone and new:
            gone, new = self._compare(current, result, gone, new)
        for key in gone:
            result[key] = current[key]
        self._into_free_slots(result, new)
        return result

    def _compare(self, current: Slots, result: Slots, gone: list[int], new: list[int]) -> tuple[list[int], list[int]]:
        """Match ids that went with ids that came; returns those left over."""
        table = self.costs([current[key] for key in gone], [result[key] for key in new]).astype(np.float32)
        pairs = list(zip(*(side.tolist() for side in linear_sum_assignment(table)), strict=True))
        for old_at, new_at in pairs:
            old, fresh = gone[old_at], new[new_at]
            stuck, count = self.stuck.get(old, (False, 0))
            if table[old_at, new_at] <= self.settings.cost_threshold or (stuck and count < self.settings.release_id_at_value):
                result[old] = result.pop(fresh)
                self.stuck[old] = (False, 0)
            else:
                del result[fresh]
                result[old] = current[old]
                self.stuck[old] = (True, count + 1)
        matched_old, matched_new = {old for old, _ in pairs}, {fresh for _, fresh in pairs}
        return (
            [key for at, key in enumerate(gone) if at not in matched_old],
            [key for at, key in enumerate(new) if at not in matched_new],
        )

    def _into_free_slots(self, result: Slots, new: list[int]) -> None:
        """Each new id takes the lowest id that no other holds, without any look at where the animals are."""
        for key in new:
            row = result.pop(key)
            free = (slot for slot in range(1, self.settings.max_ids + 1) if slot not in result)
            result[next(free, key)] = row


def _held(repaired: Mapping[int, Slots], frame: NDArray[np.int64]) -> Held:
    rows = [(number, key, row) for number, slots in repaired.items() for key, row in slots.items()]
    table = np.array(rows, np.int64).reshape(-1, 3)
    return Held(table[:, 0], table[:, 1], table[:, 2], frame[table[:, 2]] != table[:, 0])


def _overlap(box_a: NDArray[np.float64], box_b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intersection over union of pairs that broadcast; boxes without area overlap with nothing."""
    size = np.minimum(box_a[..., 2:], box_b[..., 2:]) - np.maximum(box_a[..., :2], box_b[..., :2])
    shared = np.clip(size, 0, None).prod(axis=-1)
    union = (box_a[..., 2:] - box_a[..., :2]).prod(axis=-1) + (box_b[..., 2:] - box_b[..., :2]).prod(axis=-1) - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def _distance(box_a: NDArray[np.float64], box_b: NDArray[np.float64], diagonal_px: float) -> NDArray[np.float64]:
    middle_a, middle_b = (box_a[..., :2] + box_a[..., 2:]) / 2, (box_b[..., :2] + box_b[..., 2:]) / 2
    return np.linalg.norm(middle_a - middle_b, axis=-1) / diagonal_px


def _boxes_around(points: NDArray[np.float64], box: NDArray[np.float64], settings: Settings) -> NDArray[np.float64]:
    """Boxes (…, K, 4) around keypoints, in proportion to the animal's box."""
    half = settings.scale_factor * (box[..., 2:] - box[..., :2])[..., None, :] / 2
    return np.concatenate([points[..., :2] - half, points[..., :2] + half], axis=-1)
