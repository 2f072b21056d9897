"""refine_train: the pose data set and its labels → a refiner that takes a second look inside each box.

No refiner or too few labels are a state, not an error: ``status.json`` then says ``trained: false`` and why, and no weights are written.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field, model_validator
from tqdm import tqdm

from etholoop import registry
from etholoop.core.picture_labels import into_picture
from etholoop.errors import EthoLoopError, FaultsError
from etholoop.io import atomic, tables
from etholoop.io.memo import file_digest
from etholoop.modeling.refiners import settings_of
from etholoop.params import Section
from etholoop.project import Project
from etholoop.schema.annotations import Boxes, Keypoints
from etholoop.schema.dataset import PoseDataset
from etholoop.schema.normalised import Normalised
from etholoop.schema.skeleton import Skeleton
from etholoop.stages._normalised import Picture, pictures_of

if TYPE_CHECKING:
    from etholoop.modeling.records import LabelledImage, TrainResult

REFINERS = "etholoop.modeling.refiners"
FRAME = ["video_id", "frame"]


class Params(Section):
    """Which refiner, from which weights; ``settings`` are those of the refiner."""

    refiner: str = Field("identity", description="identity = none")
    init: Literal["base", "scratch"] = Field("base", description="base = `weights` in every cycle; scratch = random weights")
    weights: str | None = Field(None, description="file below models/init, for init: base")
    seed: int = Field(0, ge=0)
    min_frames: int = Field(8, ge=1, description="train frames with keypoints below which nothing is trained")
    settings: dict[str, Any] = Field({})

    @model_validator(mode="after")
    def _settings_fit_the_refiner(self) -> "Params":
        try:
            settings_of(self.refiner, self.settings, "refine_train")
        except FaultsError as error:
            raise ValueError("; ".join(error.faults)) from None
        except EthoLoopError as error:
            raise ValueError(str(error)) from None
        return self


@dataclass(frozen=True)
class Labels:
    """Labelled images of the two splits, and how many of them hold a keypoint."""

    train: "list[LabelledImage]"
    val: "list[LabelledImage]"

    @property
    def facts(self) -> dict[str, int]:
        return {"n_train_with_keypoints": _with_keypoints(self.train), "n_val_with_keypoints": _with_keypoints(self.val)}


def run(project: Project, params: Params) -> None:
    """Train, or say why not."""
    from etholoop.io.vocabulary import read_skeleton

    skeleton = read_skeleton(project.skeleton)
    labels = read_labels(project, skeleton)
    facts = {"refiner": params.refiner, **labels.facts}
    reason = why_not(params, skeleton, labels)
    if reason:
        text = as_json({"trained": False, "reason": reason, **facts})
        with atomic.new_folder(project.refiner_model) as folder:
            (folder / "status.json").write_text(text, encoding="utf-8")
        atomic.write_text(project.metrics / "refine_train.json", text)
        return
    weights = start_weights(project, params)
    with atomic.new_folder(project.refiner_model) as folder:
        result = train_refiner(project, params, skeleton, labels, out=folder / "weights.pt", weights=weights)
        content = {
            "trained": True,
            "init": params.init,
            "notes": result.notes,
            **facts,
            "weights_sha256": file_digest(folder / "weights.pt"),
        }
        (folder / "status.json").write_text(as_json(content), encoding="utf-8")
        pd.DataFrame(result.curves).to_csv(folder / "curves.csv", index=False, float_format="%.6g", lineterminator="\n")
    figures = {name: round(value, 6) for name, value in result.metrics.items()}
    atomic.write_text(project.metrics / "refine_train.json", as_json({**content, **figures}))


def why_not(params: Params, skeleton: Skeleton, labels: Labels) -> str:
    """Why nothing is trained; empty if something is."""
    n_frames = labels.facts["n_train_with_keypoints"]
    if params.refiner == "identity":
        return "refiner 'identity': keypoints stay where the pose model puts them"
    if not skeleton.keypoints:
        return "the skeleton has no keypoints"
    if n_frames < params.min_frames:
        return f"{n_frames} labelled train frames with keypoints, {params.min_frames} are needed (refine_train.min_frames)"
    return ""


def start_weights(project: Project, params: Params) -> Path | None:
    """The file to start from, None = random weights.

    Raises:
        EthoLoopError: the weights are not there; training from scratch must be asked for.
    """
    if params.init == "scratch":
        return None
    remedy = "Bring it with `etholoop weights add FILE` and name it, or set refine_train.init: scratch to start from random weights."
    if params.weights is None:
        raise EthoLoopError(f"refine_train.init is 'base', but refine_train.weights names no file in models/init. {remedy}")
    path = project.init_weights / params.weights
    if Path(params.weights).name != params.weights or not path.is_file():
        there = ", ".join(sorted(file.name for file in project.init_weights.glob("*.pt"))) or "no .pt files"
        raise EthoLoopError(f"refine_train.init is 'base', but models/init/{params.weights} was not found (there: {there}). {remedy}")
    return path


# --- labels ------------------------------------------------------------------------------------------------------------------------


def read_labels(project: Project, skeleton: Skeleton) -> Labels:
    """Labelled images of train and val; labels are moved from source pixels into those of the image files."""
    index = tables.read(project.pose_dataset / "index.parquet", PoseDataset).sort_values(FRAME)
    boxes = tables.read(project.annotations / "boxes.parquet", Boxes).sort_values([*FRAME, "instance"])
    keypoints = tables.read(project.annotations / "keypoints.parquet", Keypoints)
    seen = pictures_of(tables.read(project.pose_dataset / "pictures.parquet", Normalised))
    boxes_of, keypoints_of = dict(iter(boxes.groupby(FRAME))), dict(iter(keypoints.groupby(FRAME)))

    def images(split: str) -> "list[LabelledImage]":
        rows = index[index["split"] == split]
        frames = zip(zip(rows["video_id"], rows["frame"], strict=True), rows["image"], strict=True)
        return [
            labelled_image(
                project.pose_dataset / image,
                boxes_of.get(uid, boxes[:0]),
                keypoints_of.get(uid, keypoints[:0]),
                skeleton,
                seen[uid[0]],
            )
            for uid, image in frames
        ]

    return Labels(images("train"), images("val"))


def labelled_image(path: Path, boxes: pd.DataFrame, keypoints: pd.DataFrame, skeleton: Skeleton, picture: Picture) -> "LabelledImage":
    """One image with the rows of its animals; keypoints without a row are missing."""
    from etholoop.modeling.records import LabelledImage

    row_of = {int(instance): row for row, instance in enumerate(boxes["instance"])}
    points = np.full((len(boxes), len(skeleton.keypoints), 3), np.nan)
    points[:, :, 2] = 0
    placed = keypoints[keypoints["visibility"] > 0]
    rows = [row_of[int(instance)] for instance in placed["instance"]]
    columns = [skeleton.keypoint_names.index(name) for name in placed["keypoint"]]
    points[rows, columns] = placed[["x", "y", "visibility"]].to_numpy(float)
    classes = np.array([skeleton.species.index(name) for name in boxes["species"]], dtype=int)
    animals = boxes[["x_min", "y_min", "x_max", "y_max"]].to_numpy(float), classes, points
    return LabelledImage(path, *into_picture(animals, picture.affine, picture.width, picture.height))


def _with_keypoints(images: "list[LabelledImage]") -> int:
    return sum(bool((image.keypoints[:, :, 2] > 0).any()) for image in images)


# --- training ----------------------------------------------------------------------------------------------------------------------


def train_refiner(
    project: Project, params: Params, skeleton: Skeleton, labels: Labels, *, out: Path, weights: Path | None
) -> "TrainResult":
    """Train the plug-in, with a progress bar."""
    plugin = registry.load(REFINERS, params.refiner)
    with tqdm(desc=f"training {params.refiner}", unit="epoch", disable=None) as bar:

        def progress(epoch: int, n_epochs: int, figures: dict[str, float]) -> None:
            bar.total = n_epochs
            bar.set_postfix({name: f"{value:.3g}" for name, value in figures.items() if name in ("loss", "val_rmse_px")}, refresh=False)
            bar.update(epoch - bar.n)

        return plugin.train(
            labels.train,
            labels.val,
            skeleton,
            settings_of(params.refiner, params.settings, str(project.params)),
            seed=params.seed,
            out=out,
            scratch=project.runs / "refine_train",
            init_weights=weights,
            progress=progress,
        )


def as_json(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n"
