"""What a network in 8 bits costs, as points of average precision on the project's own labelled frames.

Frames that validate count, or where none are labelled those that train; never those that judge, for a choice made by them would
make their figures too good.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from etholoop.core.metrics.animals import Animals, animals_by_frame
from etholoop.core.metrics.pose import figures_by_weight, gather
from etholoop.core.splits import split_of
from etholoop.io import tables
from etholoop.io.memo import digest
from etholoop.project import Project
from etholoop.schema.annotations import Boxes, Keypoints, LabelledFrames
from etholoop.schema.skeleton import Skeleton
from etholoop.schema.splits import Splits

if TYPE_CHECKING:
    from etholoop.modeling.records import Prediction

Place = tuple[str, int]

LEAST_ANIMALS = 20
"""With fewer labelled animals a point of average precision says nothing."""

FIGURES = ("box_ap", "oks_ap")
CORNERS = ["x_min", "y_min", "x_max", "y_max"]


@dataclass(frozen=True)
class Labelled:
    """Frames with labels that do not judge, and what is labelled there."""

    skeleton: Skeleton
    boxes: pd.DataFrame
    keypoints: pd.DataFrame
    frames: tuple[Place, ...]

    @classmethod
    def of(cls, project: Project, videos: Sequence[str], most: int) -> "Labelled":
        """At most ``most`` frames of these videos, evenly over all that may be used; none where too few animals are labelled."""
        from etholoop.io.vocabulary import read_skeleton

        frames = _usable(project, videos) if most else []
        chosen = [frames[int(place)] for place in np.unique(np.linspace(0, len(frames) - 1, most).round())] if frames else []
        boxes, keypoints = tables.empty(Boxes), tables.empty(Keypoints)
        if chosen:
            boxes = _at(tables.read(project.annotations / "boxes.parquet", Boxes), chosen)
            keypoints = _at(tables.read(project.annotations / "keypoints.parquet", Keypoints), chosen)
        if len(boxes) < LEAST_ANIMALS:
            chosen, boxes, keypoints = [], boxes.iloc[:0], keypoints.iloc[:0]
        return cls(read_skeleton(project.skeleton), boxes, keypoints, tuple(chosen))

    @property
    def key(self) -> str:
        """Digest of the frames and their labels."""
        return digest(frames=self.frames, labels=[table.to_json(orient="values") for table in (self.boxes, self.keypoints)])

    def precision(self, found: Sequence["Prediction"]) -> dict[str, float]:
        """Average precision of boxes and, where keypoints are labelled, of poses (OKS), of what was found in :attr:`frames`.

        Both as COCO computes them, over thresholds .50:.05:.95; coordinates are source pixels.
        """
        names = self.skeleton.keypoint_names
        true = animals_by_frame(self.boxes, self.keypoints, names, "visibility")
        seen = {place: self._animals(prediction) for place, prediction in zip(self.frames, found, strict=True)}
        frames = pd.DataFrame(self.frames, columns=["video_id", "frame"])
        evidence = gather(frames, true, seen, keypoint_names=names, sigmas=self.skeleton.sigmas, min_confidence=0.25)
        figures = figures_by_weight(evidence, 0.1, 5.0)(np.ones(len(evidence.videos)))
        return {name: figures[name] for name in FIGURES if np.isfinite(figures.get(name, np.nan))}

    def _animals(self, prediction: "Prediction") -> Animals:
        species = np.array(self.skeleton.species, object)[prediction.probabilities.argmax(axis=1)]
        confidence = prediction.probabilities.max(axis=1, initial=0).astype(float)
        return Animals(np.arange(len(species)), species, prediction.boxes, confidence, np.asarray(prediction.keypoints, float))


def lost(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    """``box_ap_lost`` and ``oks_ap_lost``: how much lower the second figures are, 0 where they are not."""
    return {f"{name}_lost": max(0.0, value - after[name]) for name, value in before.items()}


def _usable(project: Project, videos: Sequence[str]) -> list[Place]:
    labelled = tables.read(project.annotations / "labelled_frames.parquet", LabelledFrames)
    labelled = labelled[(labelled["status"] != "unusable") & labelled["video_id"].isin(list(videos))]
    labelled = labelled.sort_values(["video_id", "frame"])
    if labelled.empty:
        return []
    split = split_of(tables.read(project.splits, Splits), labelled["video_id"], labelled["frame"])
    for name in ("val", "train"):
        part = labelled[np.asarray(split) == name]
        if len(part):
            return [(str(video_id), int(frame)) for video_id, frame in zip(part["video_id"], part["frame"], strict=True)]
    return []


def _at(table: pd.DataFrame, places: Sequence[Place]) -> pd.DataFrame:
    """Rows of these frames."""
    wanted = set(places)
    rows = [place in wanted for place in zip(table["video_id"], table["frame"], strict=True)]
    return table[np.array(rows, bool)].reset_index(drop=True)


def found_by(
    model: Any, images: Iterator[np.ndarray], places: Sequence[Place], sources: Any, settings: dict[str, Any]
) -> list["Prediction"]:
    """What a model finds in the images of these frames, second look and all, in source pixels."""
    from etholoop.stages.pose_predict import in_source_pixels, predictions

    numbered = enumerate(images)
    return [in_source_pixels(found, sources[places[number][0]]) for number, found in predictions(model, numbered, settings, "cpu")]
