"""select: predictions → what people should label next, and why; the held-out list; both as tasks."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import astuple
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from etholoop import params as parameters
from etholoop import registry
from etholoop.core.batch import Batch, candidates_of, pick_batch
from etholoop.core.held_out import held_out_frames
from etholoop.core.splits import split_of
from etholoop.io import atomic, tables
from etholoop.params import Section
from etholoop.project import Project
from etholoop.schema.columns import frame_uid
from etholoop.schema.selection import Selection
from etholoop.stages._select_inputs import KEY, Inputs, cold_evidence, labelled_images, model_evidence, thumbnails_of


class Cycle(Section):
    """The cycle that is open now."""

    id: str = Field("c001", pattern=r"^c\d{3,}$")
    batch_size: int = Field(40, ge=1)
    """Frames people are asked to label before the next training."""


class Params(Section):
    """How the next batch is chosen."""

    acquisition: str = "margin"
    """File name in ``acquisition/``; what a trained model's predictions are scored with."""
    cold_start: Literal["coverage", "random", "uniform"] = "coverage"
    """Before the first model: unlike each other in looks, by lot, or evenly over recordings and time."""
    share_random: float = Field(0.2, ge=0, le=1)
    """Part of the batch drawn by lot from all candidates: an unbiased sample, whatever the model thinks."""
    min_gap_s: float = Field(1.0, ge=0)
    quota_per_video: int | None = Field(None, ge=1)
    """None: twice a video's equal share of the batch, at least 2."""
    near_duplicate_level: float = Field(6.0, ge=0)
    """Grey levels (of 255) below which nothing moved anywhere."""
    held_out_per_video: int = Field(10, ge=0)
    """Frames of each test video that people should label, to judge the models by."""
    prefill_confidence: float = Field(0.25, ge=0, le=1)
    """Predicted animals below this are not drawn into a labelling task."""
    seed: int = 11


def run(project: Project, params: Params) -> None:
    """Write data/selection: batch.parquet, held_out.parquet, tasks.json and summary.json."""
    cycle = parameters.load(project.params, "cycle", Cycle)
    inputs = Inputs(project)
    candidates, left_out = candidates_of(inputs.frames, inputs.splits, inputs.labelled)
    acquisition, priority = score(inputs, candidates, params, cycle)
    batch = choose(inputs, candidates.assign(priority=priority), acquisition, params, cycle)
    picks = batch.picks.merge(inputs.frames[[*KEY, "path"]], on=KEY, how="left")
    held_out = held_out_of(inputs, params)

    selection = project.selection
    tables.write(tables.typed(picks.drop(columns="split"), Selection), Selection, selection / "batch.parquet")
    tables.write(tables.typed(held_out, Selection), Selection, selection / "held_out.parquet")
    tasks = [_task(row, "batch", inputs, params.prefill_confidence) for row in picks.to_dict("records")]
    tasks += [_task(row, "held_out", inputs, None) for row in held_out.to_dict("records")]
    atomic.write_text(selection / "tasks.json", json.dumps(tasks, sort_keys=True, indent=1) + "\n")
    counts = {"candidates": len(candidates), "left_out": left_out, "held_out": len(held_out)}
    meaning = registry.load("etholoop.acquisition", acquisition).MEANING
    summary = _summary(cycle, inputs, batch, acquisition=acquisition, meaning=meaning, **counts)
    atomic.write_text(selection / "summary.json", json.dumps(summary, sort_keys=True, indent=2) + "\n")
    if batch.note:
        print(f"select: {batch.note}")


def lot(seed: int, *purpose: str) -> np.random.Generator:
    """Random numbers that depend on the seed and what they are for, not on what was drawn before."""
    digest = hashlib.sha256("|".join([str(seed), *purpose]).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "big"))


def score(inputs: Inputs, candidates: pd.DataFrame, params: Params, cycle: Cycle) -> tuple[str, np.ndarray]:
    """Name of the acquisition function in force and the priority of each candidate."""
    rng = lot(params.seed, cycle.id, "score")
    name = params.acquisition if inputs.has_model else params.cold_start
    module = registry.load("etholoop.acquisition", name)
    evidence = model_evidence(inputs, candidates) if inputs.has_model else cold_evidence(inputs, candidates, name)
    return name, module.score(evidence, rng)


def choose(inputs: Inputs, candidates: pd.DataFrame, acquisition: str, params: Params, cycle: Cycle) -> Batch:
    """The batch, by the rules of ``core.batch``."""
    n_videos = max(1, candidates["video_id"].nunique())
    return pick_batch(
        candidates,
        n=cycle.batch_size,
        acquisition=acquisition,
        share_random=params.share_random,
        min_gap_s=params.min_gap_s,
        fps=inputs.fps,
        quota_per_video=params.quota_per_video or max(2, math.ceil(2 * cycle.batch_size / n_videos)),
        rng=lot(params.seed, cycle.id, "batch"),
        thumbnails=thumbnails_of(inputs, candidates),
        labelled_thumbnails=thumbnails_of(inputs, labelled_images(inputs)),
        near_duplicate_level=params.near_duplicate_level,
    )


def held_out_of(inputs: Inputs, params: Params) -> pd.DataFrame:
    """Frames of test groups that people should label and have not; the same whatever the model, the cycle or the labels."""
    frames = inputs.frames
    split = split_of(inputs.splits, frames["video_id"], frames["frame"]) if len(frames) else np.zeros(0, dtype="<U5")
    stride = held_out_frames(frames[split == "test"], per_video=params.held_out_per_video, seed=params.seed)
    done = pd.MultiIndex.from_frame(stride[KEY]).isin(pd.MultiIndex.from_frame(inputs.labelled[KEY]))
    left = stride[~done].reset_index(drop=True)
    reason = f"judges the model: even stride of {params.held_out_per_video} frames through this test recording"
    return pd.DataFrame(
        {
            "rank": np.arange(len(left)),
            "video_id": left["video_id"],
            "frame": left["frame"],
            "path": left["path"],
            "acquisition": "held_out",
            "priority": np.nan,
            "reason": reason,
            "session": left["session"],
        }
    )


def _task(row: Mapping[Any, Any], purpose: str, inputs: Inputs, prefill_confidence: float | None) -> dict[str, Any]:
    """One labelling task. Held-out tasks carry no predictions: a drawn box would lead the hand that judges the model."""
    size = inputs.videos.set_index("video_id").loc[row["video_id"], ["width", "height"]]
    seen = inputs.pictures[row["video_id"]]
    # the image of a normalised source has pixels of its own; everything else in a task is in source pixels
    whole = seen.affine.is_identity and (seen.width, seen.height) == (int(size["width"]), int(size["height"]))
    picture = {} if whole else {"picture": {"width": seen.width, "height": seen.height, "affine": astuple(seen.affine)}}
    return {
        **picture,
        "frame_uid": frame_uid(row["video_id"], row["frame"]),
        "video_id": row["video_id"],
        "frame": int(row["frame"]),
        "image": f"data/frames/{row['path']}",
        "width": int(size["width"]),
        "height": int(size["height"]),
        "purpose": purpose,
        "rank": int(row["rank"]),
        "acquisition": row["acquisition"],
        "priority": None if math.isnan(row["priority"]) else round(row["priority"], 6),
        "reason": row["reason"],
        "session": row["session"],
        "predictions": [] if prefill_confidence is None else _predictions(row, inputs, prefill_confidence),
    }


def _predictions(row: Mapping[Any, Any], inputs: Inputs, confidence: float) -> list[dict[str, Any]]:
    """Predicted animals of one frame in source pixels; ``keypoints`` hold x, y and the model's confidence."""
    here: Any
    here, points = inputs.predicted_in(row["video_id"], row["frame"])
    animals = []
    for animal in here[here["confidence"] >= confidence].sort_values("instance").itertuples(index=False):
        placed = points[(points["instance"] == animal.instance) & points["x"].notna() & points["y"].notna()]
        animals.append(
            {
                "class": animal.species,
                "box": [round(float(value), 2) for value in (animal.x_min, animal.y_min, animal.x_max, animal.y_max)],
                "confidence": round(float(animal.confidence), 4),
                "keypoints": {point.keypoint: _point(point) for point in placed.itertuples(index=False)},
            }
        )
    return animals


def _point(point: Any) -> list[float | None]:
    confidence = None if pd.isna(point.confidence) else round(float(point.confidence), 4)
    return [round(float(point.x), 2), round(float(point.y), 2), confidence]


def _summary(cycle: Cycle, inputs: Inputs, batch: Batch, **facts: Any) -> dict[str, Any]:
    """How the batch came about, for the report: what was left out, what was refused, and why it is short if it is."""
    shares = batch.picks["acquisition"].value_counts().sort_index()
    return {
        "cycle": cycle.id,
        "has_model": inputs.has_model,
        "wanted": cycle.batch_size,
        "picked": len(batch.picks),
        "shares": {name: int(n) for name, n in shares.items()},
        "sampled": len(inputs.frames),
        "refused": batch.refused,
        "note": batch.note,
        **facts,
    }
