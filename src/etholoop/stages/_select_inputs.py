"""What select knows: the tables of the cycle, and evidence for the acquisition functions out of predictions or pictures."""

from collections.abc import Hashable
from fractions import Fraction
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from etholoop.acquisition._shared import Evidence
from etholoop.core.splits import split_of
from etholoop.errors import FaultsError
from etholoop.io import memo, tables
from etholoop.io.vocabulary import read_skeleton
from etholoop.project import Project
from etholoop.schema.annotations import LabelledFrames
from etholoop.schema.columns import frame_uid
from etholoop.schema.frames import Frames
from etholoop.schema.predictions import Detections, Embeddings, PredictedFrames, PredictedKeypoints
from etholoop.schema.splits import Splits
from etholoop.schema.videos import Videos
from etholoop.stages._normalised import pictures

KEY = ["video_id", "frame"]


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
        self.pictures = pictures(project)

    @property
    def has_model(self) -> bool:
        return len(self.predicted) > 0

    def predicted_in(self, video_id: str, frame: int) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Detections and keypoints of one frame."""
        place = (video_id, frame)
        return self.detections.iloc[self._detections_at.get(place, [])], self.keypoints.iloc[self._keypoints_at.get(place, [])]

    @cached_property
    def _detections_at(self) -> dict[Hashable, Any]:
        return self.detections.groupby(KEY, sort=False).indices

    @cached_property
    def _keypoints_at(self) -> dict[Hashable, Any]:
        return self.keypoints.groupby(KEY, sort=False).indices

    @property
    def fps(self) -> dict[str, Fraction | None]:
        columns = self.videos[["video_id", "fps_num", "fps_den"]].itertuples(index=False)
        return {video_id: Fraction(int(num), int(den)) if num else None for video_id, num, den in columns}


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
    keys: dict[str, Any] = {"video_ids": candidates["video_id"].to_numpy(dtype=str), "frames": candidates["frame"].to_numpy()}
    if cold_start != "coverage":
        return Evidence(**keys)
    known = labelled_images(inputs)
    return Evidence(**keys, embeddings=_looks(inputs, candidates), labelled_embeddings=_looks(inputs, known))


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
        folder = kept.result(key, partial(_write_thumbnails, paths))
        thumbnails = np.load(folder / "thumbnails.npy", allow_pickle=False)
        rows = np.flatnonzero(table["video_id"] == video_id)
        result[rows] = thumbnails[np.searchsorted(sampled["frame"], table["frame"].iloc[rows])]
    return result


def _write_thumbnails(paths: list[Path], folder: Path) -> None:
    from tqdm import tqdm

    from etholoop.core.duplicates import thumbnails
    from etholoop.io.images import read_rgb

    images = (read_rgb(path) for path in tqdm(paths, desc="looking at frames", disable=None))
    np.save(folder / "thumbnails.npy", thumbnails(images))
