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


def gather(
    frames: pd.DataFrame, true: AnimalsOf, found: AnimalsOf, keypoint_names: Sequence[str], sigmas: Sequence[float], min_confidence: float
) -> Evidence:
    """Compare labels and predictions.

    Args:
        frames: video_id and frame of all frames that were labelled and predicted; a frame in neither mapping is empty on both sides.
        true: labelled animals by frame.
        found: predicted animals by frame.
        sigmas: OKS constants, one per keypoint.
        min_confidence: detections below it count for average precision only.
    """
    frames = frames[["video_id", "frame"]].sort_values(["video_id", "frame"], ignore_index=True)
    videos = sorted(set(frames["video_id"]))
    names = tuple(keypoint_names)
    judged: dict[str, dict[str, list[ap.Scored]]] = {"boxes": {}, "poses": {}}
    counts, matches, errors = [], [], []
    for video_id, frame in frames.itertuples(index=False):
        key = (video_id, int(frame))
        here, there = true.get(key, no_animals(len(names))), found.get(key, no_animals(len(names)))
        overlap = box_iou(there.boxes, here.boxes)
        similarity = oks(there.keypoints, here.keypoints, here.boxes, outline_areas(here.boxes), np.asarray(sigmas)) if names else None
        _judge(judged, here, there, overlap, similarity, videos.index(video_id), len(videos))
        pairs = _pairs(here, there, overlap, min_confidence)
        counts.append(
            {"video_id": video_id, "frame": frame, "n_true": len(here), "n_found": int((there.confidence >= min_confidence).sum())}
        )
        matches += [
            {"video_id": video_id, "frame": frame, **row} for row in _match_rows(here, there, overlap, similarity, pairs, min_confidence)
        ]
        errors += [{"video_id": video_id, "frame": frame, **row} for row in _error_rows(here, there, pairs, names)]
    return Evidence(
        videos,
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


def _judge(
    judged: dict[str, dict[str, list[ap.Scored]]],
    true: Animals,
    found: Animals,
    overlap: np.ndarray,
    similarity: np.ndarray | None,
    video: int,
    n_videos: int,
) -> None:
    for species in sorted({*true.species, *found.species}):
        rows, columns = found.species == species, true.species == species
        confidence, counted = found.confidence[rows], np.zeros(columns.sum(), bool)
        part = ap.judge_frame(overlap[np.ix_(rows, columns)], confidence, counted, ap.MAX_BOXES, video, n_videos)
        judged["boxes"].setdefault(species, []).append(part)
        if similarity is not None:
            unlabelled = ~(true.keypoints[columns, :, 2] > 0).any(axis=1)
            part = ap.judge_frame(similarity[np.ix_(rows, columns)], confidence, unlabelled, ap.MAX_POSES, video, n_videos)
            judged["poses"].setdefault(species, []).append(part)


def _pairs(true: Animals, found: Animals, overlap: np.ndarray, min_confidence: float) -> list[tuple[int, int]]:
    """(labelled, predicted) row numbers that belong together, among detections confident enough."""
    order = by_falling_confidence(found.confidence)
    order = order[found.confidence[order] >= min_confidence]
    same = found.species[order][:, None] == true.species[None, :]
    match = match_greedy(np.where(same, overlap[order], -1.0), MATCH_IOU)
    return sorted((int(column), int(row)) for row, column in zip(order, match, strict=True) if column >= 0)


def _match_rows(
    true: Animals, found: Animals, overlap: np.ndarray, similarity: np.ndarray | None, pairs: list[tuple[int, int]], min_confidence: float
) -> list[dict[str, Any]]:
    rows = []
    for column, row in pairs:
        labelled = similarity is not None and (true.keypoints[column, :, 2] > 0).any()
        rows.append(_match("hit", true, column, found, row, overlap[row, column], similarity[row, column] if labelled else np.nan))  # type: ignore[index]
    hit_true, hit_found = {column for column, _ in pairs}, {row for _, row in pairs}
    kept = found.confidence >= min_confidence
    for column in sorted(set(range(len(true))) - hit_true):
        rows.append(_match("missed", true, column, None, None, overlap[kept, column].max(initial=0), np.nan))
    for row in sorted(set(np.flatnonzero(kept).tolist()) - hit_found):
        rows.append(_match("false", None, None, found, row, overlap[row].max(initial=0), np.nan))
    return rows


def _match(
    kind: str, true: Animals | None, column: int | None, found: Animals | None, row: int | None, iou: float, oks_value: float
) -> dict[str, Any]:
    return {
        "kind": kind,
        "species": true.species[column] if true is not None else found.species[row],  # type: ignore[union-attr]
        "true_instance": int(true.instance[column]) if true is not None else pd.NA,
        "predicted_instance": int(found.instance[row]) if found is not None else pd.NA,
        "iou": float(iou),
        "oks": float(oks_value),
        "confidence": float(found.confidence[row]) if found is not None else float("nan"),  # type: ignore[index]
    }


def _error_rows(true: Animals, found: Animals, pairs: list[tuple[int, int]], names: tuple[str, ...]) -> list[dict[str, Any]]:
    """One row per labelled keypoint of each matched animal; NaN error where the model gave no such point."""
    sizes = box_sizes(true.boxes)
    rows = []
    for column, row in pairs:
        errors = distances_px(found.keypoints[row], true.keypoints[column])
        for position in np.flatnonzero(true.keypoints[column, :, 2] > 0):
            rows.append(
                {
                    "instance": int(true.instance[column]),
                    "keypoint": names[position],
                    "error_px": float(errors[position]),
                    "box_px": float(sizes[column]),
                    "visibility": int(true.keypoints[column, position, 2]),
                    "confidence": float(found.keypoints[row, position, 2]),
                }
            )
    return rows


def _numbers(table: pd.DataFrame, of_video: dict[str, int]) -> np.ndarray:
    return table["video_id"].map(of_video).to_numpy(int)


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole else float("nan")
