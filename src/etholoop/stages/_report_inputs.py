"""Everything the report reads, as tables and values."""

import json
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from etholoop import params as parameters
from etholoop.io import history, tables
from etholoop.io.memo import file_digest
from etholoop.io.vocabulary import read_skeleton
from etholoop.project import Project
from etholoop.schema.annotations import Boxes, Keypoints, LabelledFrames
from etholoop.schema.dataset import PoseDataset
from etholoop.schema.evaluation import KeypointErrors, Matches
from etholoop.schema.frames import Frames
from etholoop.schema.predictions import Detections, PredictedFrames, PredictedKeypoints
from etholoop.schema.selection import Selection
from etholoop.schema.splits import Splits
from etholoop.schema.videos import Quarantine, Videos
from etholoop.stages._normalised import pictures
from etholoop.stages.select import Cycle

GATES = ("videos", "labels", "dataset", "predictions")


class Inputs:
    """The tables and records of one cycle; what no stage has written yet is empty."""

    def __init__(self, project: Project):
        self.project = project
        self.cycle = parameters.load(project.params, "cycle", Cycle)
        self.skeleton = read_skeleton(project.skeleton)
        self.videos = tables.read(project.manifest / "videos.parquet", Videos)
        self.quarantine = tables.read(project.manifest / "quarantine.parquet", Quarantine)
        self.splits = tables.read(project.splits, Splits)
        self.frames = tables.read(project.frames / "frames.parquet", Frames)
        self.labelled = tables.read(project.annotations / "labelled_frames.parquet", LabelledFrames)
        self.boxes = tables.read(project.annotations / "boxes.parquet", Boxes)
        self.keypoints = tables.read(project.annotations / "keypoints.parquet", Keypoints)
        self.dataset = table_or_empty(project.pose_dataset / "index.parquet", PoseDataset)
        self.predicted = tables.read(project.pose_predictions / "frames.parquet", PredictedFrames)
        self.detections = tables.read(project.pose_predictions / "detections.parquet", Detections)
        self.predicted_keypoints = tables.read(project.pose_predictions / "keypoints.parquet", PredictedKeypoints)
        self.matches = table_or_empty(project.evaluation / "matches.parquet", Matches)
        self.errors = table_or_empty(project.evaluation / "keypoint_errors.parquet", KeypointErrors)
        self.pictures = pictures(project)
        self.batch = tables.read(project.selection / "batch.parquet", Selection)
        self.held_out = tables.read(project.selection / "held_out.parquet", Selection)
        self.selection = record(project.selection / "summary.json")
        self.evaluation = record(project.metrics / "evaluate.json")
        self.training = record(project.metrics / "pose_train.json")
        self.refining = record(project.metrics / "refine_train.json")
        self.model = record(project.pose_model / "status.json")
        self.gates = {name: record(project.gates / f"{name}.json") for name in GATES}
        self.closed = history.read(project.metrics / "history.csv")

    @cached_property
    def test(self) -> dict[str, Any]:
        """Figures of the test split; empty while there are none."""
        figures = self.evaluation.get("test") or {}
        return figures if figures.get("evaluated", bool(figures)) else {}

    @cached_property
    def mode(self) -> str:
        """How the splits were made: group, blocks or fixed."""
        return "+".join(sorted(set(self.splits["mode"]))) or "group"

    @cached_property
    def weights_digest(self) -> str | None:
        weights = self.project.pose_model / "best.pt"
        known = self.model.get("weights_sha256")
        return str(known) if known else file_digest(weights) if weights.is_file() else None

    def plot(self, name: str) -> pd.DataFrame:
        """A table of metrics/plots; empty if it was not written or holds nothing."""
        return plot(self.project, name)


def plot(project: Project, name: str) -> pd.DataFrame:
    """A table of metrics/plots; empty if it was not written or holds nothing."""
    path = project.metrics / "plots" / f"{name}.csv"
    return pd.read_csv(path) if path.is_file() and path.stat().st_size > 1 else pd.DataFrame()


def record(path: Path) -> dict[str, Any]:
    """A JSON object; empty if it was not written."""
    content = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return content if isinstance(content, dict) else {}


def table_or_empty(path: Path, schema: Any) -> pd.DataFrame:
    """A table; empty if it was not written."""
    return tables.read(path, schema) if path.is_file() else tables.empty(schema)
