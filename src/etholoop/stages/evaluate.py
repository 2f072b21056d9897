"""DVC stage `evaluate`: how well the pose model does on labelled frames that no training saw."""

import json
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from etholoop.core.metrics import bootstrap
from etholoop.core.metrics.animals import animals_by_frame
from etholoop.core.metrics.calibration import calibration_table
from etholoop.core.metrics.pose import Evidence, counts_of, figures_by_weight, gather, keypoint_figures, precision_recall_table
from etholoop.core.splits import split_of
from etholoop.io import atomic, tables
from etholoop.io.vocabulary import read_skeleton
from etholoop.params import Section
from etholoop.project import Project
from etholoop.schema.annotations import Boxes, Keypoints, LabelledFrames
from etholoop.schema.evaluation import KeypointErrors, Matches
from etholoop.schema.predictions import Detections, PredictedFrames, PredictedKeypoints
from etholoop.schema.skeleton import Skeleton
from etholoop.schema.splits import Splits

BLOCKS = "one recording cut into blocks: figures say little about other recordings"
FIXED = "frame split: leaks, figures are better than on new recordings"

PR_COLUMNS = ["split", "measure", "species", "recall", "precision"]
CALIBRATION_COLUMNS = ["split", "low", "high", "n", "confidence", "correct"]
VIDEO_COLUMNS = ["split", "video_id", "n_frames", "n_instances"]
VIDEO_FIGURES = ["box_ap50", "box_ap", "oks_ap50", "oks_ap", "pck", "rmse_px", "median_px", "ece", "precision", "recall", "count_accuracy"]


class Params(Section):
    """``min_confidence``: detections below it count for average precision only."""

    split: Literal["test", "val", "train"] = "test"
    min_confidence: float = Field(0.25, ge=0, le=1)
    pck_alpha: float = Field(0.1, gt=0)
    pck_px: float = Field(5.0, gt=0)
    n_bootstrap: int = Field(2000, ge=1)
    seed: int = 0


@dataclass(frozen=True)
class Judged:
    """Labelled and predicted frames of each split to evaluate, and how many labelled ones were not predicted."""

    of_split: dict[str, pd.DataFrame]
    n_not_predicted: dict[str, int]
    n_labelled: int


def run(project: Project, params: Params) -> None:
    skeleton = read_skeleton(project.skeleton)
    splits = tables.read(project.splits, Splits)
    judged = _judged_frames(project, splits, params.split)
    evidence = _evidence(project, skeleton, {name: part for name, part in judged.of_split.items() if len(part)}, params)
    content = _content(evidence, judged, sorted(set(splits["mode"])), params)
    _write_tables(project, evidence, params)
    text = json.dumps(content, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False)
    atomic.write_text(project.metrics / "evaluate.json", text + "\n")


def _judged_frames(project: Project, splits: pd.DataFrame, split: str) -> Judged:
    """Frames of ``split`` and, for small projects, of val; unusable frames are left out."""
    labelled = tables.read(project.annotations / "labelled_frames.parquet", LabelledFrames)
    labelled = labelled.loc[labelled["status"] != "unusable", ["video_id", "frame"]]
    labelled["split"] = split_of(splits, labelled["video_id"], labelled["frame"])
    predicted = tables.read(project.pose_predictions / "frames.parquet", PredictedFrames)[["video_id", "frame"]]
    both = labelled.merge(predicted, on=["video_id", "frame"])
    of_split = {name: both[both["split"] == name] for name in dict.fromkeys([split, "val"])}
    missing = {name: int((labelled["split"] == name).sum()) - len(part) for name, part in of_split.items()}
    return Judged(of_split, missing, len(labelled))


def _evidence(project: Project, skeleton: Skeleton, frames: dict[str, pd.DataFrame], params: Params) -> dict[str, Evidence]:
    if not frames:
        return {}
    names = skeleton.keypoint_names
    boxes = tables.read(project.annotations / "boxes.parquet", Boxes)
    keypoints = tables.read(project.annotations / "keypoints.parquet", Keypoints)
    detections = tables.read(project.pose_predictions / "detections.parquet", Detections)
    predicted = tables.read(project.pose_predictions / "keypoints.parquet", PredictedKeypoints)
    true = animals_by_frame(boxes, keypoints, names, "visibility")
    found = animals_by_frame(detections, predicted, names, "confidence")
    settings = {"keypoint_names": names, "sigmas": skeleton.sigmas, "min_confidence": params.min_confidence}
    return {name: gather(part, true, found, **settings) for name, part in frames.items()}  # type: ignore[arg-type]


def _content(evidence: dict[str, Evidence], judged: Judged, modes: list[str], params: Params) -> dict[str, Any]:
    mode = "+".join(modes)
    if not evidence:
        return {"evaluated": False, "reason": _reason(judged, list(judged.of_split)), "splits_mode": mode}
    content: dict[str, Any] = {"evaluated": True, "splits_mode": mode, "by_video": {}}
    for name in judged.of_split:
        if name not in evidence:
            content[name] = {"evaluated": False, "reason": _reason(judged, [name])}
            continue
        content[name] = _figures(evidence[name], modes, params)
        content[name] |= {"evaluated": True, "n_labelled_not_predicted": judged.n_not_predicted.get(name, 0)}
        content["by_video"][name] = _by_video(evidence[name], params)
    tidy: dict[str, Any] = _tidy(content)
    return tidy


def _reason(judged: Judged, names: list[str]) -> str:
    """Why there is nothing to evaluate in these splits."""
    waiting = sum(judged.n_not_predicted.get(name, 0) for name in names)
    if waiting:
        them = "frame, not" if waiting == 1 else "frames, none of them"
        return f"{waiting} labelled {' or '.join(names)} {them} predicted: there is no trained model yet, or it has not looked at them"
    if judged.n_labelled == 0:
        return "no labelled frames yet"
    return f"no labelled frames in {' or '.join(names)}: label the held-out list (data/selection/held_out.parquet)"


def _figures(evidence: Evidence, modes: list[str], params: Params) -> dict[str, Any]:
    """All figures of one split with intervals and what to think of them."""
    n_videos = len(evidence.videos)
    figures = figures_by_weight(evidence, params.pck_alpha, params.pck_px)
    intervals = bootstrap.intervals(n_videos, figures, params.n_bootstrap, params.seed)
    reliable = bootstrap.reliable(n_videos)
    notes = [text for mode, text in (("blocks", BLOCKS), ("fixed", FIXED)) if mode in modes]
    notes += [] if reliable else [bootstrap.UNRELIABLE]
    return {
        **figures(np.ones(n_videos)),
        **counts_of(evidence),
        "ci": {name: list(interval) for name, interval in intervals.items()},
        "ci_reliable": reliable,
        "note": "; ".join(notes),
        "keypoints": keypoint_figures(evidence, params.pck_alpha),
    }


def _by_video(evidence: Evidence, params: Params) -> dict[str, dict[str, Any]]:
    figures = figures_by_weight(evidence, params.pck_alpha, params.pck_px)
    counts = evidence.frames.groupby("video_id")["n_true"].agg(["size", "sum"])
    result: dict[str, dict[str, Any]] = {}
    for number, video_id in enumerate(evidence.videos):
        alone = figures(np.eye(len(evidence.videos))[number])
        result[video_id] = {"n_frames": int(counts["size"][video_id]), "n_instances": int(counts["sum"][video_id])}
        result[video_id] |= {name: alone[name] for name in VIDEO_FIGURES if name in alone}
    return result


def _tidy(value: Any) -> Any:
    """Six decimals; a figure that does not exist is null."""
    if isinstance(value, dict):
        return {key: _tidy(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_tidy(item) for item in value]
    if isinstance(value, float):
        return None if np.isnan(value) else round(value, 6)
    return value


def _write_tables(project: Project, evidence: dict[str, Evidence], params: Params) -> None:
    def together(parts: dict[str, pd.DataFrame], columns: list[str]) -> pd.DataFrame:
        filled = [part.assign(split=name) for name, part in parts.items() if len(part)]
        return pd.concat(filled, ignore_index=True)[columns] if filled else pd.DataFrame(columns=columns)

    matches = together({name: found.matches for name, found in evidence.items()}, list(Matches.columns))
    errors = together({name: found.errors for name, found in evidence.items()}, list(KeypointErrors.columns))
    matches = matches.sort_values(["video_id", "frame", "true_instance", "predicted_instance"])
    errors = errors.sort_values(["video_id", "frame", "instance", "keypoint"])
    tables.write(tables.typed(matches, Matches), Matches, project.evaluation / "matches.parquet")
    tables.write(tables.typed(errors, KeypointErrors), KeypointErrors, project.evaluation / "keypoint_errors.parquet")
    plots = {
        "pr_curve": together({name: precision_recall_table(found) for name, found in evidence.items()}, PR_COLUMNS),
        "calibration": together({name: _calibration(found) for name, found in evidence.items()}, CALIBRATION_COLUMNS),
        "by_video": together({name: _video_table(found, params) for name, found in evidence.items()}, VIDEO_COLUMNS + VIDEO_FIGURES),
    }
    for name, table in plots.items():
        text = table.round(6).to_csv(index=False, lineterminator="\n")
        atomic.write_text(project.metrics / "plots" / f"{name}.csv", text)


def _calibration(evidence: Evidence) -> pd.DataFrame:
    seen = evidence.matches[evidence.matches["kind"] != "missed"]
    return calibration_table(seen["confidence"].to_numpy(float), (seen["kind"] == "hit").to_numpy())


def _video_table(evidence: Evidence, params: Params) -> pd.DataFrame:
    rows = [{"video_id": video_id, **row} for video_id, row in _by_video(evidence, params).items()]
    return pd.DataFrame(rows).reindex(columns=[*VIDEO_COLUMNS[1:], *VIDEO_FIGURES])
