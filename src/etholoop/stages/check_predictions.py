"""DVC stage `check_predictions`: stop here if the predictions are not what they claim to be."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from etholoop.errors import EthoLoopError
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
        read_backend(folder / "backend.json"),
    )
    videos = tables.read(project.manifest / "videos.parquet", Videos)
    return predictions.gate(predicted, videos, skeleton.species, skeleton.keypoint_names)


def read_backend(path: Path) -> dict[str, Any]:
    """What ran the network, and how far its answers lie from torch's.

    Raises:
        EthoLoopError: no such file, or one that is no JSON or lacks something.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise EthoLoopError(f"{path}: file not found. `etholoop repro` makes it.") from None
    except json.JSONDecodeError as error:
        raise EthoLoopError(f"{path}: not readable as JSON ({error}). Remove it and run `etholoop repro`.") from error
    lacking = [name for name in ("backend", "reason", "weights", "differences", "tolerances") if name not in content]
    if lacking:
        raise EthoLoopError(f"{path}: {', '.join(lacking)} not found in it. Remove it and run `etholoop repro`.")
    return content
