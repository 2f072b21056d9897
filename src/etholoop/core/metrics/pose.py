"""Detection and pose judged against labels: matches, keypoint errors and every figure of a split.

Average precision uses all predictions. Everything else looks at the detections a user would keep, those with at least
``min_confidence``; a labelled animal and a detection of the same species belong together when their boxes overlap with
IoU ≥ .5 (greedily by falling confidence). Keypoints are not used for this, because a pose far off would then remove its own
error from the figures.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from etholoop.core.metrics import average_precision as ap
from etholoop.core.metrics.animals import Animals, no_animals
from etholoop.core.metrics.calibration import expected_calibration_error
from etholoop.core.metrics.keypoint_error import box_sizes, distances_px, mean_px, median_px, pck, rmse_px
from etholoop.core.metrics.matching import box_iou, by_falling_confidence, match_greedy
from etholoop.core.metrics.oks import oks, outline_areas

MATCH_IOU = 0.5
AnimalsOf = Mapping[tuple[str, int], Animals]
Figures = dict[str, float]


@dataclass(frozen=True)
class Evidence:
    """What was found and what was not, in the frames of one split.

    ``boxes`` and ``poses`` hold the judged predictions of each species; ``poses`` is empty without keypoints.
    ``matches`` and ``errors`` are rows of schema.evaluation without the column split. ``frames`` has video_id, frame, n_true, n_found.
    """

    videos: list[str]
    keypoint_names: tuple[str, ...]
    boxes: dict[str, ap.Scored]
    poses: dict[str, ap.Scored]
    frames: pd.DataFrame
    matches: pd.DataFrame
    errors: pd.DataFrame


@dataclass(frozen=True)
class Frame:
    """Both sides of one frame; ``overlap`` (IoU) and ``similarity`` (OKS, None without keypoints) are (n_found, n_true)."""

    true: Animals
    found: Animals
    overlap: np.ndarray
    similarity: np.ndarray | None
    kept: np.ndarray
    """(n_found,) detections that are confident enough to be shown to a user."""


def gather(
    frames: pd.DataFrame,
    true: AnimalsOf,
    found: AnimalsOf,
    *,
    keypoint_names: Sequence[str],
    sigmas: Sequence[float],
    min_confidence: float,
) -> Evidence:
    """Compare labels and predictions.

    Args:
        frames: video_id and frame of all frames that were labelled and predicted; a frame in neither mapping is empty on both sides.
        true: labelled animals by frame.
        found: predicted animals by frame.
        keypoint_names: of the skeleton; () = boxes only.
        sigmas: OKS constants, one per keypoint.
        min_confidence: detections below it count for average precision only.
    """
    frames = frames[["video_id", "frame"]].sort_values(["video_id", "frame"], ignore_index=True)
    videos = {video_id: number for number, video_id in enumerate(sorted(set(frames["video_id"])))}
    names, none = tuple(keypoint_names), no_animals(len(keypoint_names))
    judged: dict[str, dict[str, list[ap.Scored]]] = {"boxes": {}, "poses": {}}
    counts, matches, errors = [], [], []
    for video_id, number in zip(frames["video_id"], frames["frame"], strict=True):
        place = {"video_id": video_id, "frame": int(number)}
        key = (video_id, int(number))
        frame = _compared(true.get(key, none), found.get(key, none), np.asarray(sigmas, float), min_confidence)
        pairs = _pairs(frame)
        _judge(judged, frame, videos[video_id], len(videos))
        counts.append({**place, "n_true": len(frame.true), "n_found": int(frame.kept.sum())})
        matches += [place | row for row in _match_rows(frame, pairs)]
        errors += [place | row for row in _error_rows(frame, pairs, names)]
    return Evidence(
        list(videos),
        names,
        {species: ap.join(parts, len(videos)) for species, parts in sorted(judged["boxes"].items())},
        {species: ap.join(parts, len(videos)) for species, parts in sorted(judged["poses"].items())},
        pd.DataFrame(counts, columns=["video_id", "frame", "n_true", "n_found"]),
        pd.DataFrame(matches, columns=MATCH_COLUMNS),
        pd.DataFrame(errors, columns=ERROR_COLUMNS),
    )


MATCH_COLUMNS = ["video_id", "frame", "kind", "species", "true_instance", "predicted_instance", "iou", "oks", "confidence"]
ERROR_COLUMNS = ["video_id", "frame", "instance", "keypoint", "error_px", "box_px", "visibility", "confidence"]


def figures_by_weight(evidence: Evidence, pck_alpha: float, pck_px: float) -> Callable[[np.ndarray], Figures]:
    """A function from how many times each video counts (V,) to all figures; ones give the figures of the split.

    NaN where a figure does not exist, for example no animal in the videos that count.
    """
    of_video = {video_id: number for number, video_id in enumerate(evidence.videos)}
    seen = evidence.matches[evidence.matches["kind"] != "missed"]
    confidence, correct = seen["confidence"].to_numpy(float), (seen["kind"] == "hit").to_numpy()
    video_of_match, kind = _numbers(evidence.matches, of_video), evidence.matches["kind"].to_numpy(object)
    video_of_seen, video_of_frame, video_of_error = (_numbers(table, of_video) for table in (seen, evidence.frames, evidence.errors))
    right_count = (evidence.frames["n_true"] == evidence.frames["n_found"]).to_numpy()
    error, limit = evidence.errors["error_px"].to_numpy(float), pck_alpha * evidence.errors["box_px"].to_numpy(float)

    def figures(counts: np.ndarray) -> Figures:
        counts = np.asarray(counts, float)
        n_of = {name: counts[video_of_match[kind == name]].sum() for name in ("hit", "missed", "false")}
        result = dict(zip(("box_ap50", "box_ap"), ap.average_precision(evidence.boxes.values(), counts), strict=True))
        result["precision"] = _share(n_of["hit"], n_of["hit"] + n_of["false"])
        result["recall"] = _share(n_of["hit"], n_of["hit"] + n_of["missed"])
        result["count_accuracy"] = _share(counts[video_of_frame] @ right_count, counts[video_of_frame].sum())
        result["ece"] = expected_calibration_error(confidence, correct, counts[video_of_seen])
        if evidence.keypoint_names:
            weight = counts[video_of_error]
            result |= dict(zip(("oks_ap50", "oks_ap"), ap.average_precision(evidence.poses.values(), counts), strict=True))
            result |= {"pck": pck(error, limit, weight), "pck_px": pck(error, pck_px, weight)}
            result |= {"rmse_px": rmse_px(error, weight), "median_px": median_px(error, weight), "mean_px": mean_px(error, weight)}
        return result

    return figures


def counts_of(evidence: Evidence) -> dict[str, int]:
    """How much the figures rest on, and what they leave out."""
    kinds = evidence.matches["kind"].value_counts()
    result = {
        "n_videos": len(evidence.videos),
        "n_frames": len(evidence.frames),
        "n_instances": int(evidence.frames["n_true"].sum()),
        "n_found": int(kinds.get("hit", 0)),
        "n_missed": int(kinds.get("missed", 0)),
        "n_false": int(kinds.get("false", 0)),
    }
    if evidence.keypoint_names:
        n_measured = int(evidence.errors["error_px"].notna().sum())
        result["n_keypoints"] = n_measured
        result["n_keypoints_not_predicted"] = len(evidence.errors) - n_measured
        result["n_keypoints_not_labelled"] = result["n_found"] * len(evidence.keypoint_names) - len(evidence.errors)
    return result


def keypoint_figures(evidence: Evidence, pck_alpha: float) -> dict[str, dict[str, float]]:
    """Errors of each keypoint by name, with the number of points they rest on."""
    result = {}
    for name in evidence.keypoint_names:
        rows = evidence.errors[evidence.errors["keypoint"] == name]
        error = rows["error_px"].to_numpy(float)
        result[name] = {
            "rmse_px": rmse_px(error),
            "median_px": median_px(error),
            "mean_px": mean_px(error),
            "pck": pck(error, pck_alpha * rows["box_px"].to_numpy(float)),
            "n": int((~np.isnan(error)).sum()),
        }
    return result


def precision_recall_table(evidence: Evidence) -> pd.DataFrame:
    """Precision at 101 recalls for threshold .50, one curve per measure (box, oks) and species."""
    rows = []
    for measure, classes in (("box", evidence.boxes), ("oks", evidence.poses)):
        for species, scored in classes.items():
            curve = ap.precision_at_recalls(scored)[0]
            if not np.isnan(curve).any():
                rows += [
                    {"measure": measure, "species": species, "recall": r, "precision": p} for r, p in zip(ap.RECALLS, curve, strict=True)
                ]
    return pd.DataFrame(rows, columns=["measure", "species", "recall", "precision"])


def _compared(true: Animals, found: Animals, sigmas: np.ndarray, min_confidence: float) -> Frame:
    similarity = oks(found.keypoints, true.keypoints, true.boxes, outline_areas(true.boxes), sigmas) if len(sigmas) else None
    return Frame(true, found, box_iou(found.boxes, true.boxes), similarity, found.confidence >= min_confidence)


def _judge(judged: dict[str, dict[str, list[ap.Scored]]], frame: Frame, video: int, n_videos: int) -> None:
    """Add the frame's predictions of each species to those already judged."""
    for species in sorted({*frame.true.species, *frame.found.species}):
        rows, columns = np.flatnonzero(frame.found.species == species), np.flatnonzero(frame.true.species == species)
        here, confidence = {"video": video, "n_videos": n_videos}, frame.found.confidence[rows]
        nothing_ignored = np.zeros(len(columns), bool)
        part = ap.judge_frame(frame.overlap[np.ix_(rows, columns)], confidence, nothing_ignored, ap.MAX_BOXES, **here)
        judged["boxes"].setdefault(species, []).append(part)
        if frame.similarity is not None:
            unlabelled = ~_labelled(frame.true)[columns]
            part = ap.judge_frame(frame.similarity[np.ix_(rows, columns)], confidence, unlabelled, ap.MAX_POSES, **here)
            judged["poses"].setdefault(species, []).append(part)


def _labelled(true: Animals) -> np.ndarray:
    """(n,) animals with at least one labelled keypoint."""
    return np.any(true.keypoints[:, :, 2] > 0, axis=1)


def _pairs(frame: Frame) -> list[tuple[int, int]]:
    """(labelled, predicted) row numbers that belong together, among detections confident enough."""
    order = by_falling_confidence(frame.found.confidence)
    order = order[frame.kept[order]]
    same = frame.found.species[order][:, None] == frame.true.species[None, :]
    match = match_greedy(np.where(same, frame.overlap[order], -1.0), MATCH_IOU)
    return sorted((int(column), int(row)) for row, column in zip(order, match, strict=True) if column >= 0)


def _match_rows(frame: Frame, pairs: list[tuple[int, int]]) -> list[dict[str, Any]]:
    """Rows of hits, missed and false animals; the last two carry the overlap with the nearest animal of the other side."""
    hit_true, hit_found = {column for column, _ in pairs}, {row for _, row in pairs}
    missed = [column for column in range(len(frame.true)) if column not in hit_true]
    false = [int(row) for row in np.flatnonzero(frame.kept) if row not in hit_found]
    rows = [_true_side(frame, column) | _found_side(frame, row) | _likeness(frame, column, row) for column, row in pairs]
    rows += [_true_side(frame, column) | {"kind": "missed", "iou": frame.overlap[frame.kept, column].max(initial=0)} for column in missed]
    rows += [_found_side(frame, row) | {"kind": "false", "iou": frame.overlap[row].max(initial=0)} for row in false]
    return [{"true_instance": pd.NA, "predicted_instance": pd.NA, "oks": np.nan, "confidence": np.nan} | row for row in rows]


def _true_side(frame: Frame, column: int) -> dict[str, Any]:
    return {"species": frame.true.species[column], "true_instance": int(frame.true.instance[column])}


def _found_side(frame: Frame, row: int) -> dict[str, Any]:
    found = frame.found
    return {"species": found.species[row], "predicted_instance": int(found.instance[row]), "confidence": float(found.confidence[row])}


def _likeness(frame: Frame, column: int, row: int) -> dict[str, Any]:
    comparable = frame.similarity is not None and _labelled(frame.true)[column]
    return {
        "kind": "hit",
        "iou": float(frame.overlap[row, column]),
        "oks": float(frame.similarity[row, column]) if comparable and frame.similarity is not None else np.nan,
    }


def _error_rows(frame: Frame, pairs: list[tuple[int, int]], names: tuple[str, ...]) -> list[dict[str, Any]]:
    """One row per labelled keypoint of each matched animal; NaN error where the model gave no such point."""
    true, found = frame.true, frame.found
    sizes = box_sizes(true.boxes)
    errors = {column: distances_px(found.keypoints[row], true.keypoints[column]) for column, row in pairs}
    return [
        {
            "instance": int(true.instance[column]),
            "keypoint": names[position],
            "error_px": float(errors[column][position]),
            "box_px": float(sizes[column]),
            "visibility": int(true.keypoints[column, position, 2]),
            "confidence": float(found.keypoints[row, position, 2]),
        }
        for column, row in pairs
        for position in np.flatnonzero(true.keypoints[column, :, 2] > 0)
    ]


def _numbers(table: pd.DataFrame, of_video: dict[str, int]) -> np.ndarray:
    return table["video_id"].map(of_video).to_numpy(int)


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole else float("nan")
