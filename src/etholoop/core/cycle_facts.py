"""What a person wants to know about a cycle, worked out of its tables: counts, history, examples, errors, what to do next."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from etholoop.core.splits import USED, split_of

KEY = ["video_id", "frame"]


@dataclass(frozen=True)
class LabelCounts:
    """``by_split``: split → how many frames, animals, …; ``by_class`` and ``by_keypoint``: name → counts over all splits."""

    by_split: dict[str, dict[str, int]]
    by_class: dict[str, dict[str, int]]
    by_keypoint: dict[str, dict[str, int]]

    @property
    def n_frames(self) -> int:
        return sum(row["frames"] for row in self.by_split.values())


@dataclass(frozen=True)
class ModelError:
    """One thing the model got wrong; instances are None on the side where there is none."""

    kind: str
    video_id: str
    frame: int
    true_instance: int | None
    predicted_instance: int | None
    keypoint: str
    words: str


def label_counts(
    labelled: pd.DataFrame,
    boxes: pd.DataFrame,
    keypoints: pd.DataFrame,
    splits: pd.DataFrame,
    *,
    species: Sequence[str],
    keypoint_names: Sequence[str],
) -> LabelCounts:
    """Labels per split, class and keypoint; every split, class and keypoint is listed, those without labels with zeros."""
    split = split_of(splits, labelled["video_id"], labelled["frame"]) if len(labelled) else np.zeros(0, dtype="<U5")
    by_split = {name: _status_counts(labelled[split == name]) for name in (*USED, "gap") if name != "gap" or (split == "gap").any()}
    split_of_box = split_of(splits, boxes["video_id"], boxes["frame"]) if len(boxes) else np.zeros(0, dtype="<U5")
    by_class = {
        name: {part: int(((boxes["species"] == name).to_numpy() & (split_of_box == part)).sum()) for part in USED} for name in species
    }
    by_keypoint = {}
    for name in keypoint_names:
        visibility = keypoints.loc[keypoints["keypoint"] == name, "visibility"]
        placed, hidden = int((visibility == 2).sum()), int((visibility == 1).sum())
        # an importer may leave out the rows of missing points; what is not placed on a labelled animal is missing
        by_keypoint[name] = {"visible": placed, "hidden": hidden, "missing": len(boxes) - placed - hidden}
    return LabelCounts(by_split, by_class, by_keypoint)


def _status_counts(labelled: pd.DataFrame) -> dict[str, int]:
    status = labelled["status"]
    return {
        "frames": len(labelled),
        "animals": int(labelled["n_animals"].sum()),
        "no_animal": int((status == "no_animal").sum()),
        "unusable": int((status == "unusable").sum()),
        "videos": int(labelled["video_id"].nunique()),
    }


def learning_rows(closed: Sequence[Mapping[str, Any]], cycle: str, figures: Mapping[str, Any], n_frames: int) -> list[dict[str, Any]]:
    """One row per cycle with figures, by id: closed cycles from the history, the open one from its metrics.

    The history of the open cycle itself is left alone, so that closing a cycle does not change its report.
    """
    rows = [
        {"cycle": row["cycle"], "n_frames": row["labels"]["frames"], "figures": row["metrics"]} for row in closed if row["cycle"] != cycle
    ]
    rows.append({"cycle": cycle, "n_frames": n_frames, "figures": figures})
    for row in rows:
        intervals = row["figures"].get("ci") or {}
        row["ci"] = {name: interval for name, interval in intervals.items() if interval and None not in interval}
    return sorted((row for row in rows if any(isinstance(value, float) for value in row["figures"].values())), key=lambda row: row["cycle"])


def sample_frames(frames: pd.DataFrame, n: int) -> list[tuple[str, int]]:
    """Up to ``n`` frames spread over videos first and over time second; no model has a say in which."""
    by_video = {str(video): sorted(part["frame"]) for video, part in frames.groupby("video_id")}
    wanted = dict.fromkeys(sorted(by_video), 0)
    while sum(wanted.values()) < min(n, len(frames)):
        for video in wanted:
            if wanted[video] < len(by_video[video]) and sum(wanted.values()) < n:
                wanted[video] += 1
    chosen = []
    for video, count in wanted.items():
        places = ((np.arange(count) + 0.5) * len(by_video[video]) / max(count, 1)).astype(int)
        chosen += [(video, int(by_video[video][place])) for place in places]
    return chosen


def worst_errors(matches: pd.DataFrame, errors: pd.DataFrame, n: int) -> list[ModelError]:
    """Up to ``n`` errors, the three kinds in turn, each worst first.

    Missed animals by how far the nearest find was (lowest IoU), false animals by how sure the model was, keypoints by their error in
    relation to the animal's size. No frame is shown twice: one badly placed box is both a missed and a false animal.
    """
    missed = matches[matches["kind"] == "missed"].sort_values(["iou", *KEY, "true_instance"])
    false = matches[matches["kind"] == "false"].sort_values(["confidence", *KEY, "predicted_instance"], ascending=[False, True, True, True])
    off = errors[errors["error_px"].notna()].assign(relative=lambda table: table["error_px"] / table["box_px"])
    off = off[off["relative"] > 0.05].sort_values(["relative", *KEY, "instance", "keypoint"], ascending=[False, True, True, True, True])
    hit = matches[matches["kind"] == "hit"].set_index([*KEY, "true_instance"])["predicted_instance"]
    queues = [
        [_missed(row) for row in missed.drop_duplicates(KEY).to_dict("records")],
        [_false(row) for row in false.drop_duplicates(KEY).to_dict("records")],
        [_off(row, hit) for row in off.drop_duplicates(KEY).to_dict("records")],
    ]
    chosen: dict[tuple[str, int], ModelError] = {}
    while any(queues) and len(chosen) < n:
        for queue in queues:
            while queue and (queue[0].video_id, queue[0].frame) in chosen:
                queue.pop(0)
            if queue:
                error = queue.pop(0)
                chosen[error.video_id, error.frame] = error
    return list(chosen.values())[:n]


def _missed(row: Mapping[Any, Any]) -> ModelError:
    near = f"nearest find overlaps {100 * row['iou']:.0f} %" if row["iou"] > 0 else "nothing found near it"
    return ModelError("missed", row["video_id"], int(row["frame"]), int(row["true_instance"]), None, "", f"missed {row['species']}: {near}")


def _false(row: Mapping[Any, Any]) -> ModelError:
    near = f"overlaps a labelled animal by {100 * row['iou']:.0f} %" if row["iou"] > 0 else "no animal was labelled there"
    words = f"false {row['species']}, confidence {row['confidence']:.2f}: {near}"
    return ModelError("false", row["video_id"], int(row["frame"]), None, int(row["predicted_instance"]), "", words)


def _off(row: Mapping[Any, Any], hit: pd.Series) -> ModelError:
    instance, frame = int(row["instance"]), int(row["frame"])
    found = hit.get((row["video_id"], frame, instance))
    words = f"{row['keypoint']} {row['error_px']:.1f} px away ({100 * row['relative']:.0f} % of the animal's size)"
    return ModelError("keypoint", row["video_id"], frame, instance, None if found is None else int(found), row["keypoint"], words)


def next_steps(*, n_videos: int, counts: LabelCounts, n_batch: int, n_held_out: int, evaluated: bool) -> list[str]:
    """What a person should do now, the most urgent first."""
    if not n_videos:
        return ["Add recordings: type `etholoop videos add PATH…`, then `etholoop repro`."]
    steps = []
    if n_held_out:
        unjudged = "" if counts.by_split["test"]["frames"] else " first, because without it no model can be judged"
        steps.append(
            f"Label the held-out list{unjudged}: {n_held_out} frames of the test recordings, the same list in every cycle until it is done."
        )
    if n_batch:
        steps.append(f"Label the batch: {n_batch} frames, in the order shown below.")
    if not n_batch and not n_held_out:
        steps.append("Nothing is left to label. Take more frames (section `frames` of params.yaml) or add recordings.")
    steps.append("Then type `etholoop repro`: it trains, predicts, judges and chooses the next batch.")
    if evaluated:
        steps.append("When you are done with this cycle, type `etholoop cycle close`.")
    return steps
