"""What 8 bits cost in average precision: which frames are looked at, what is compared, and that too much is refused."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from etholoop.io import tables
from etholoop.modeling.records import Prediction
from etholoop.project import Project
from etholoop.schema.annotations import Boxes, Keypoints, LabelledFrames
from etholoop.schema.skeleton import skeleton_from
from etholoop.schema.splits import Splits
from etholoop.stages._pose_precision import LEAST_ANIMALS, Labelled, lost

SKELETON = {"name": "blob", "species": ["mouse", "rat"], "keypoints": ["nose", "tail"], "animals": 1}


def project_with(root: Path, n_frames: dict[str, int], unusable: tuple[str, int] = ("", 0)) -> Project:
    """One animal in each of the first frames of a video; the name of a video is its split."""
    project = Project(root)
    project.skeleton.parent.mkdir(parents=True)
    project.skeleton.write_text("name: blob\nspecies: [mouse, rat]\nkeypoints: [nose, tail]\nanimals: 1\n")
    places = [(video, frame) for video, n in n_frames.items() for frame in range(n)]
    frames = pd.DataFrame(places, columns=["video_id", "frame"])
    status = ["unusable" if place == unusable else "animals" for place in places]
    labelled = tables.typed(frames.assign(status=status, n_animals=1, source="anna", note=None), LabelledFrames)
    tables.write(labelled, LabelledFrames, project.annotations / "labelled_frames.parquet")
    box = {"instance": 0, "species": "rat", "x_min": 10.0, "y_min": 10.0, "x_max": 40.0, "y_max": 30.0, "identity": None}
    boxes = tables.typed(frames.assign(**box, confidence=np.nan, source="anna"), Boxes)
    tables.write(boxes, Boxes, project.annotations / "boxes.parquet")
    point = {"instance": 0, "y": 20.0, "visibility": 2, "confidence": np.nan}
    points = [frames.assign(keypoint=name, x=x, **point) for name, x in (("nose", 12.0), ("tail", 38.0))]
    tables.write(tables.typed(pd.concat(points), Keypoints), Keypoints, project.annotations / "keypoints.parquet")
    span = {"start_frame": 0, "stop_frame": 999, "mode": "group"}
    spans = [{"video_id": video, "group": video, "split": video, **span} for video in n_frames]
    tables.write(tables.from_rows(spans, Splits), Splits, project.splits)
    return project


def seen(shift: float = 0.0, species: int = 1, nose: float = 12.0) -> Prediction:
    """The labelled animal, moved; ``species`` by its place in the skeleton."""
    probabilities = np.array([[0.1, 0.1]], np.float32)
    probabilities[0, species] = 0.9
    keypoints = np.array([[[nose, 20, 0.9], [38, 20, 0.9]]])
    return Prediction(np.array([[10.0 + shift, 10, 40 + shift, 30]]), probabilities, keypoints, np.zeros(1))


def test_frames_that_validate_count_and_those_that_judge_never(tmp_path: Path) -> None:
    project = project_with(tmp_path, {"test": 60, "train": 50, "val": 30}, unusable=("val", 3))
    labelled = Labelled.of(project, ["test", "train", "val"], 100)
    assert labelled.frames == tuple(("val", frame) for frame in range(30) if frame != 3)
    assert len(labelled.boxes) == 29
    assert len(labelled.keypoints) == 58
    fewer = Labelled.of(project, ["test", "train", "val"], 25).frames
    assert len(fewer) == 25
    assert (fewer[0], fewer[-1]) == (("val", 0), ("val", 29))
    assert {video for video, _ in Labelled.of(project, ["test", "train"], 100).frames} == {"train"}
    assert Labelled.of(project, ["test"], 100).frames == ()


def test_few_animals_say_nothing(tmp_path: Path) -> None:
    assert Labelled.of(project_with(tmp_path / "few", {"train": LEAST_ANIMALS - 1}), ["train"], 100).frames == ()
    assert len(Labelled.of(project_with(tmp_path / "enough", {"train": LEAST_ANIMALS}), ["train"], 100).frames) == LEAST_ANIMALS


def test_other_labels_are_another_key(tmp_path: Path) -> None:
    labelled = Labelled.of(project_with(tmp_path, {"train": 20}), ["train"], 100)
    moved = Labelled(labelled.skeleton, labelled.boxes.assign(x_max=41.0), labelled.keypoints, labelled.frames)
    assert labelled.key != moved.key


def test_precision_of_boxes_and_poses(tmp_path: Path) -> None:
    labelled = Labelled.of(project_with(tmp_path, {"train": 20}), ["train"], 100)
    assert labelled.skeleton == skeleton_from(SKELETON, "test")
    assert labelled.precision([seen()] * 20) == {"box_ap": pytest.approx(1), "oks_ap": pytest.approx(1)}
    # an IoU of 24 / 36 = .667 reaches the thresholds .50 to .65: four of ten
    assert labelled.precision([seen(shift=6)] * 20)["box_ap"] == pytest.approx(0.4)
    assert labelled.precision([seen(nose=60.0)] * 20)["oks_ap"] < 0.6
    assert labelled.precision([seen(species=0)] * 20)["box_ap"] == 0
    half = labelled.precision([seen()] * 10 + [Prediction(np.zeros((0, 4)), np.zeros((0, 2)), np.zeros((0, 2, 3)), np.zeros(1))] * 10)
    assert half["box_ap"] == pytest.approx(51 / 101)  # recalls 0 to .50 of 101


def test_what_is_lost() -> None:
    assert lost({"box_ap": 0.9, "oks_ap": 0.5}, {"box_ap": 0.88, "oks_ap": 0.6}) == {"box_ap_lost": pytest.approx(0.02), "oks_ap_lost": 0}
