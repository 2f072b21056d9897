"""DVC stage `check_predictions`: stop here if the predictions are not what they claim to be."""

from typing import TYPE_CHECKING

from etholoop.io import tables
from etholoop.io.vocabulary import read_skeleton
from etholoop.params import Section
from etholoop.project import Project
from etholoop.schema.predictions import Detections, Embeddings, PredictedFrames, PredictedKeypoints
from etholoop.schema.videos import Videos
from etholoop.stages import _gate

if TYPE_CHECKING:
    from etholoop.checks.engine import Gate


class Params(Section):
    """Nothing to choose."""


def run(project: Project, params: Params) -> None:
    _gate.ask(project, gate(project, params))


def gate(project: Project, params: Params) -> "Gate":
    """What is asked."""
    from etholoop.checks import predictions

    skeleton = read_skeleton(project.skeleton)
    folder = project.pose_predictions
    predicted = predictions.Predictions(
        tables.read(folder / "frames.parquet", PredictedFrames),
        tables.read(folder / "detections.parquet", Detections),
        tables.read(folder / "keypoints.parquet", PredictedKeypoints),
        tables.read(folder / "embeddings.parquet", Embeddings),
    )
    videos = tables.read(project.manifest / "videos.parquet", Videos)
    return predictions.gate(predicted, videos, skeleton.species, skeleton.keypoint_names)
