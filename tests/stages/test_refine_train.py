"""refine_train on a data set of six small pictures."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from untouched import write_untouched

from etholoop import runtime
from etholoop.errors import EthoLoopError
from etholoop.io import tables
from etholoop.io.images import write_rgb
from etholoop.io.memo import file_digest
from etholoop.project import Project
from etholoop.schema.annotations import Boxes, Keypoints
from etholoop.schema.dataset import PoseDataset
from etholoop.stages import refine_train

runtime.prepare()

SKELETON = "name: blob\nspecies: [mouse, rat]\nkeypoints: [nose, left, right]\nleft_right: [[left, right]]\n"
QUICK = {"crop_px": 32, "width": 8, "epochs": 1, "epoch_steps": 2, "batch": 2, "threads": 1}
SPLITS = ["train", "train", "train", "train", "val", "test"]


def animal(frame: int, instance: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Box and keypoints; the right one of the first animal is missing, the left one of the second has no row."""
    place = {"video_id": "a", "frame": frame, "instance": instance, "confidence": np.nan}
    x, y = 10.0 + 2 * frame + 20 * instance, 20.0
    box = {**place, "species": ["mouse", "rat"][instance], "x_min": x - 8, "y_min": y - 6, "x_max": x + 8, "y_max": y + 6}
    places = {"nose": (x + 6, y, 2), "left": (x - 6, y - 4, 1), "right": (x - 6, y + 4, 2)}
    if instance == 0:
        places["right"] = (np.nan, np.nan, 0)
    else:
        del places["left"]
    points = [{**place, "keypoint": name, "x": x, "y": y, "visibility": v} for name, (x, y, v) in places.items()]
    return {**box, "identity": None, "source": "anna"}, points


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Two animals in each picture but the third, which is empty."""
    project, rng = Project(tmp_path), np.random.default_rng(0)
    index, boxes, keypoints = [], [], []
    for frame, split in enumerate(SPLITS):
        name = f"images/{split}/a_{frame:08d}.png"
        write_rgb(project.pose_dataset / name, rng.integers(0, 255, (48, 64, 3), dtype=np.uint8))
        animals = [] if frame == 2 else [animal(frame, 0), animal(frame, 1)]
        boxes += [box for box, _ in animals]
        keypoints += [point for _, points in animals for point in points]
        row = {"video_id": "a", "frame": frame, "split": split, "group": "a", "image": name, "label": "l.txt", "width": 64, "height": 48}
        index.append({**row, "n_instances": len(animals), "sha256": "0" * 64})
    tables.write(tables.from_rows(index, PoseDataset), PoseDataset, project.pose_dataset / "index.parquet")
    tables.write(tables.from_rows(boxes, Boxes), Boxes, project.annotations / "boxes.parquet")
    tables.write(tables.from_rows(keypoints, Keypoints), Keypoints, project.annotations / "keypoints.parquet")
    project.skeleton.parent.mkdir(parents=True)
    project.skeleton.write_text(SKELETON)
    shutil.copyfile(write_untouched(project, {"a": (64, 48)}), project.pose_dataset / "pictures.parquet")
    return project


def params(**changed: Any) -> refine_train.Params:
    return refine_train.Params(**{"refiner": "heatmap", "init": "scratch", "min_frames": 3, "settings": QUICK, **changed})


def status(project: Project) -> dict[str, Any]:
    return json.loads((project.refiner_model / "status.json").read_text())


def test_labels_come_in_the_skeletons_order(project: Project) -> None:
    from etholoop.io.vocabulary import read_skeleton

    labels = refine_train.read_labels(project, read_skeleton(project.skeleton))
    assert [image.path.name for image in labels.train] == [f"a_{frame:08d}.png" for frame in range(4)]
    assert labels.facts == {"n_train_with_keypoints": 3, "n_val_with_keypoints": 1}
    first = labels.train[1]
    assert first.boxes.tolist() == [[4, 14, 20, 26], [24, 14, 40, 26]]
    assert first.classes.tolist() == [0, 1]
    expected = [[[18, 20, 2], [6, 16, 1], [np.nan, np.nan, 0]], [[38, 20, 2], [np.nan, np.nan, 0], [26, 24, 2]]]
    assert np.array_equal(first.keypoints, np.array(expected), equal_nan=True)
    assert labels.train[2].keypoints.shape == (0, 3, 3)


def test_a_training_writes_weights_status_and_figures(project: Project) -> None:
    from etholoop.modeling.refiners.heatmap import Refiner

    refine_train.run(project, params())
    assert sorted(file.name for file in project.refiner_model.iterdir()) == ["curves.csv", "status.json", "weights.pt"]
    assert status(project)["trained"] is True
    assert status(project)["refiner"] == "heatmap"
    figures = json.loads((project.metrics / "refine_train.json").read_text())
    assert figures["weights_sha256"] == file_digest(project.refiner_model / "weights.pt")
    assert figures["instances"] == 6
    assert figures["val_rmse_px"] > 0
    found = Refiner.load(project.refiner_model / "weights.pt").refine(
        np.zeros((48, 64, 3), np.uint8), np.array([[4.0, 14, 20, 26]]), np.zeros((1, 3, 3))
    )
    assert np.isfinite(found).all()


def test_twice_is_the_same(project: Project) -> None:
    def outputs() -> dict[str, bytes]:
        files = [*project.refiner_model.iterdir(), project.metrics / "refine_train.json"]
        return {file.name: file.read_bytes() for file in files}

    refine_train.run(project, params())
    first = outputs()
    refine_train.run(project, params())
    assert outputs() == first


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"refiner": "identity", "settings": {}}, "identity"),
        ({"min_frames": 4}, "3 labelled train frames with keypoints, 4 are needed"),
    ],
)
def test_no_refiner_is_a_state(project: Project, changed: dict[str, Any], reason: str) -> None:
    refine_train.run(project, params())
    refine_train.run(project, params(**changed))  # the weights of before must not stay
    assert [file.name for file in project.refiner_model.iterdir()] == ["status.json"]
    assert status(project)["trained"] is False
    assert reason in status(project)["reason"]
    assert json.loads((project.metrics / "refine_train.json").read_text()) == status(project)


def test_a_skeleton_without_keypoints_needs_no_refiner(project: Project) -> None:
    project.skeleton.write_text("name: boxes\nspecies: [mouse, rat]\n")
    tables.write(tables.empty(Keypoints), Keypoints, project.annotations / "keypoints.parquet")
    refine_train.run(project, params())
    assert status(project)["reason"] == "the skeleton has no keypoints"


def test_weights_that_are_not_there_stop_before_training(project: Project) -> None:
    with pytest.raises(EthoLoopError, match="names no file in models/init"):
        refine_train.run(project, params(init="base"))
    with pytest.raises(EthoLoopError, match=r"models/init/yolov8n\.pt was not found \(there: no \.pt files\)"):
        refine_train.run(project, params(init="base", weights="yolov8n.pt"))
    assert not project.refiner_model.exists()


def test_misspelt_settings_stop_when_the_parameters_are_read() -> None:
    with pytest.raises(ValidationError, match="did you mean 'crop_px'"):
        params(settings={"crop": 64})
    with pytest.raises(ValidationError, match="did you mean 'heatmap'"):
        params(refiner="heatmaps")
