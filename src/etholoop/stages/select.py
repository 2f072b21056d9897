"""select: predictions → what people should label next, and why; the held-out list; both as tasks."""

import hashlib
import json
import math
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from etholoop import params as parameters
from etholoop import registry
from etholoop.acquisition._shared import Evidence
from etholoop.core.batch import Batch, candidates_of, pick_batch
from etholoop.core.held_out import held_out_frames
from etholoop.core.splits import split_of
from etholoop.errors import FaultsError
from etholoop.io import atomic, memo, tables
from etholoop.io.vocabulary import read_skeleton
from etholoop.params import Section
from etholoop.project import Project
from etholoop.schema.annotations import LabelledFrames
from etholoop.schema.columns import frame_uid
from etholoop.schema.frames import Frames
from etholoop.schema.predictions import Detections, Embeddings, PredictedFrames, PredictedKeypoints
from etholoop.schema.selection import Selection
from etholoop.schema.splits import Splits
from etholoop.schema.videos import Videos

KEY = ["video_id", "frame"]


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
    summary = _summary(cycle, acquisition, inputs, candidates, left_out, batch, held_out)
    atomic.write_text(selection / "summary.json", json.dumps(summary, sort_keys=True, indent=2) + "\n")
    if batch.note:
        print(f"select: {batch.note}")


class Inputs:
    """The tables of this stage, with each sampled frame's session beside it."""

    def __init__(self, project: Project):
        self.project = project
        self.videos = tables.read(project.manifest / "videos.parquet", Videos)
        self.splits = tables.read(project.splits, Splits)
        self.labelled = tables.read(project.annotations / "labelled_frames.parquet", LabelledFrames)
        frames = tables.read(project.frames / "frames.parquet", Frames)
        self.frames = frames.merge(self.videos[["video_id", "session"]], on="video_id", how="left", validate="many_to_one")
        predictions = project.pose_predictions
        self.predicted = tables.read(predictions / "frames.parquet", PredictedFrames)
        self.detections = tables.read(predictions / "detections.parquet", Detections)
        self.keypoints = tables.read(predictions / "keypoints.parquet", PredictedKeypoints)
        self.embeddings = tables.read(predictions / "embeddings.parquet", Embeddings)
        self.skeleton = read_skeleton(project.skeleton)

    @property
    def has_model(self) -> bool:
        return len(self.predicted) > 0

    @property
    def fps(self) -> dict[str, Fraction | None]:
        columns = self.videos[["video_id", "fps_num", "fps_den"]].itertuples(index=False)
        return {video_id: Fraction(int(num), int(den)) if num else None for video_id, num, den in columns}


def lot(seed: int, *purpose: str) -> np.random.Generator:
    """Random numbers that depend on the seed and what they are for, not on what was drawn before."""
    digest = hashlib.sha256("|".join([str(seed), *purpose]).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "big"))


def score(inputs: Inputs, candidates: pd.DataFrame, params: Params, cycle: Cycle) -> tuple[str, np.ndarray]:
    """Name of the acquisition function in force and the priority of each candidate."""
    rng = lot(params.seed, cycle.id, "score")
    if inputs.has_model:
        module = registry.load("etholoop.acquisition", params.acquisition)
        return params.acquisition, module.score(model_evidence(inputs, candidates), rng)
    plugin = "coverage" if params.cold_start == "uniform" else params.cold_start
    evidence = cold_evidence(inputs, candidates, params.cold_start)
    return params.cold_start, registry.load("etholoop.acquisition", plugin).score(evidence, rng)


def model_evidence(inputs: Inputs, candidates: pd.DataFrame) -> Evidence:
    """What the model says about the candidates.

    Raises:
        FaultsError: candidates the model has not looked at.
    """
    place = pd.Series(range(len(candidates)), index=pd.MultiIndex.from_frame(candidates[KEY]), dtype="int64")
    missing = place.index.difference(pd.MultiIndex.from_frame(inputs.predicted[KEY]))
    if len(missing):
        faults = [f"no prediction for {frame_uid(video, frame)}" for video, frame in missing]
        raise FaultsError("data/predictions/pose", faults, "Run `etholoop repro`; predictions must cover every sampled frame.")
    detections = inputs.detections[pd.MultiIndex.from_frame(inputs.detections[KEY]).isin(place.index)].reset_index(drop=True)
    classes = [f"p_{name}" for name in inputs.skeleton.species]
    labelled = inputs.embeddings[pd.MultiIndex.from_frame(inputs.embeddings[KEY]).isin(pd.MultiIndex.from_frame(inputs.labelled[KEY]))]
    return Evidence(
        video_ids=candidates["video_id"].to_numpy(dtype=str),
        frames=candidates["frame"].to_numpy(),
        frame_of=place.reindex(pd.MultiIndex.from_frame(detections[KEY])).to_numpy(dtype=int),
        probabilities=detections.reindex(columns=classes, fill_value=0.0).to_numpy(dtype=float),
        keypoint_confidences=_keypoint_confidences(inputs, detections),
        boxes=detections[["x_min", "y_min", "x_max", "y_max"]].to_numpy(dtype=float),
        embeddings=_vectors(candidates[KEY].merge(inputs.embeddings, on=KEY, how="left")),
        labelled_embeddings=_vectors(labelled),
        n_animals=inputs.skeleton.n_animals,
    )


def _keypoint_confidences(inputs: Inputs, detections: pd.DataFrame) -> np.ndarray:
    names = list(inputs.skeleton.keypoint_names)
    wide = inputs.keypoints.pivot(index=[*KEY, "instance"], columns="keypoint", values="confidence").reindex(columns=names)
    return wide.reindex(pd.MultiIndex.from_frame(detections[[*KEY, "instance"]])).to_numpy(dtype=float)


def _vectors(table: pd.DataFrame) -> np.ndarray:
    """(n, D) embeddings at unit length, so that a bright picture is not far from everything."""
    columns = sorted((name for name in table.columns if name.startswith("e_")), key=lambda name: int(name[2:]))
    vectors = table[columns].to_numpy(dtype=float)
    if np.isnan(vectors).any():
        bad = table[np.isnan(vectors).any(axis=1)]
        faults = [f"no embedding of {frame_uid(video, int(frame))}" for video, frame in bad[KEY].itertuples(index=False)]
        raise FaultsError("data/predictions/pose/embeddings.parquet", faults, "Run `etholoop repro`.")
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(length > 0, length, 1)


def cold_evidence(inputs: Inputs, candidates: pd.DataFrame, cold_start: str) -> Evidence:
    """What can be known without a model: looks of the frames, or where in which recording they are."""
    keys = {"video_ids": candidates["video_id"].to_numpy(dtype=str), "frames": candidates["frame"].to_numpy()}
    if cold_start == "random":
        return Evidence(**keys)
    known = labelled_images(inputs)
    if cold_start == "uniform":
        return Evidence(**keys, embeddings=_where(inputs, candidates), labelled_embeddings=_where(inputs, known))
    return Evidence(**keys, embeddings=_looks(inputs, candidates), labelled_embeddings=_looks(inputs, known))


def _where(inputs: Inputs, table: pd.DataFrame) -> np.ndarray:
    """(n, 1 + videos): position in the recording from 0 to 1, and the recording itself, farther apart than any two positions."""
    videos = sorted(inputs.videos["video_id"])
    length = inputs.videos.set_index("video_id")["n_frames"]
    which = table["video_id"].to_numpy(dtype=str)[:, None] == np.array(videos, dtype=str)[None, :]
    position = table["frame"].to_numpy(dtype=float) / length.reindex(table["video_id"]).to_numpy(dtype=float)
    return np.column_stack([position, which * 2.0])


def _looks(inputs: Inputs, table: pd.DataFrame) -> np.ndarray:
    """(n, 256) coarse grey pictures; 16 x 16 cells are enough to tell where the animals are."""
    cells = thumbnails_of(inputs, table).reshape(-1, 16, 3, 16, 3).astype(float)
    return cells.mean(axis=(2, 4)).reshape(len(table), 256)


def labelled_images(inputs: Inputs) -> pd.DataFrame:
    """Labelled train and val frames that are among the sampled ones, so that their picture is at hand."""
    known = inputs.frames[pd.MultiIndex.from_frame(inputs.frames[KEY]).isin(pd.MultiIndex.from_frame(inputs.labelled[KEY]))]
    split = split_of(inputs.splits, known["video_id"], known["frame"]) if len(known) else np.zeros(0, dtype="<U5")
    return known[np.isin(split, ["train", "val"])].reset_index(drop=True)


def thumbnails_of(inputs: Inputs, table: pd.DataFrame) -> np.ndarray:
    """(n, 48, 48) in the order of the rows; kept per video, so that a picture is read once and not in every cycle."""
    from etholoop.core.duplicates import SIZE

    result = np.zeros((len(table), SIZE, SIZE), np.uint8)
    kept = memo.Memo(inputs.project.memo, "thumbnails")
    for video_id in sorted(set(table["video_id"])):
        sampled = inputs.frames[inputs.frames["video_id"] == video_id].sort_values("frame")
        paths = [inputs.project.frames / path for path in sampled["path"]]
        key = memo.digest(size=SIZE, images=[memo.file_digest(path) for path in paths])
        folder = kept.result(key, lambda folder, paths=paths: _write_thumbnails(folder, paths))
        thumbnails = np.load(folder / "thumbnails.npy", allow_pickle=False)
        rows = np.flatnonzero(table["video_id"] == video_id)
        result[rows] = thumbnails[np.searchsorted(sampled["frame"], table["frame"].iloc[rows])]
    return result


def _write_thumbnails(folder: Path, paths: list[Path]) -> None:
    from tqdm import tqdm

    from etholoop.core.duplicates import thumbnails
    from etholoop.io.images import read_rgb

    images = (read_rgb(path) for path in tqdm(paths, desc="looking at frames", disable=None))
    np.save(folder / "thumbnails.npy", thumbnails(images))


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


def _task(row: dict[str, Any], purpose: str, inputs: Inputs, prefill_confidence: float | None) -> dict[str, Any]:
    """One labelling task. Held-out tasks carry no predictions: a drawn box would lead the hand that judges the model."""
    size = inputs.videos.set_index("video_id").loc[row["video_id"], ["width", "height"]]
    return {
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


def _predictions(row: dict[str, Any], inputs: Inputs, confidence: float) -> list[dict[str, Any]]:
    """Predicted animals of one frame in source pixels; ``keypoints`` hold x, y and the model's confidence."""
    here = inputs.detections[(inputs.detections["video_id"] == row["video_id"]) & (inputs.detections["frame"] == row["frame"])]
    points = inputs.keypoints[(inputs.keypoints["video_id"] == row["video_id"]) & (inputs.keypoints["frame"] == row["frame"])]
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


def _summary(
    cycle: Cycle, acquisition: str, inputs: Inputs, candidates: pd.DataFrame, left_out: dict[str, int], batch: Batch, held_out: pd.DataFrame
) -> dict[str, Any]:
    return {
        "cycle": cycle.id,
        "acquisition": acquisition,
        "has_model": inputs.has_model,
        "wanted": cycle.batch_size,
        "picked": len(batch.picks),
        "shares": {name: int(n) for name, n in batch.picks["acquisition"].value_counts().sort_index().items()},
        "sampled": len(inputs.frames),
        "candidates": len(candidates),
        "left_out": left_out,
        "refused": batch.refused,
        "held_out": len(held_out),
        "note": batch.note,
    }
