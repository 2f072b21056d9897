"""pose_dataset, pose_train and pose_predict on a project with two tiny videos and a folder of images."""

import json
import shutil
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from pydantic import ValidationError
from untouched import write_untouched

from etholoop import runtime
from etholoop.errors import EthoLoopError, FaultsError
from etholoop.io import tables
from etholoop.io.images import encode_png, read_rgb, write_rgb
from etholoop.io.video import write_video
from etholoop.io.vocabulary import read_skeleton
from etholoop.io.yolo_pose import read as read_labels
from etholoop.modeling.records import Prediction
from etholoop.project import Project
from etholoop.schema.annotations import Boxes, Keypoints, LabelledFrames
from etholoop.schema.dataset import PoseDataset
from etholoop.schema.frames import Frames
from etholoop.schema.splits import Splits
from etholoop.stages import manifest, pose_dataset, pose_predict, pose_train

runtime.prepare()
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "modeling"))
from pose_blobs import blob  # noqa: E402

SKELETON = "name: blob\nspecies: [mouse, rat]\nkeypoints: [nose, left, right]\nleft_right: [[left, right]]\nanimals: 1\n"
QUICK = {"imgsz": 64, "epochs": 1, "batch": 4, "threads": 1}
N_FRAMES = 12
EMPTY, UNUSABLE, GAP = 9, 10, 11
"""Frames of the first video with a special fate."""


def split_rows() -> list[dict[str, Any]]:
    def interval(video_id: str, start: int, stop: int, split: str) -> dict[str, Any]:
        return {"video_id": video_id, "group": f"g-{video_id}", "start_frame": start, "stop_frame": stop, "split": split, "mode": "group"}

    whole = [interval("b", 0, N_FRAMES, "val"), interval("c", 0, 3, "test")]
    return [interval("a", 0, GAP, "train"), interval("a", GAP, N_FRAMES, "gap"), *whole]


def label_rows(truth: dict[tuple[str, int], tuple[np.ndarray, np.ndarray]]) -> tuple[list[dict], list[dict], list[dict]]:
    frames, boxes, keypoints = [], [], []
    for (video_id, frame), (box, points) in sorted(truth.items()):
        place = {"video_id": video_id, "frame": frame}
        status = {EMPTY: "no_animal", UNUSABLE: "unusable"}.get(frame, "animals") if video_id == "a" else "animals"
        n_animals = int(status == "animals")
        frames.append({**place, "status": status, "n_animals": n_animals, "source": "anna", "note": None})
        if not n_animals:
            continue
        corners = dict(zip(("x_min", "y_min", "x_max", "y_max"), box[0], strict=True))
        animal = {**place, "instance": 0}
        boxes.append({**animal, "species": "mouse", **corners, "identity": None, "confidence": np.nan, "source": "anna"})
        for name, (x, y, visibility) in zip(("nose", "left", "right"), points[0], strict=True):
            keypoints.append({**animal, "keypoint": name, "x": x, "y": y, "visibility": int(visibility), "confidence": np.nan})
    return frames, boxes, keypoints


def build(root: Path) -> Project:
    project, rng = Project(root), np.random.default_rng(0)
    truth = {}
    for video_id in ("a", "b"):
        shots = [blob(rng) for _ in range(N_FRAMES)]
        write_video(project.raw_videos / f"{video_id}.mp4", [image for image, _, _ in shots], Fraction(25))
        truth |= {(video_id, frame): (box, points) for frame, (_, box, points) in enumerate(shots)}
    for frame in range(3):
        image, box, points = blob(rng, 70, 50)
        write_rgb(project.raw_images / "c" / f"img{frame:03d}.png", image)
        truth["c", frame] = (box, points)
    project.skeleton.parent.mkdir(parents=True)
    project.skeleton.write_text(SKELETON)
    manifest.run(project, manifest.Params())
    write_untouched(project)
    frames, boxes, keypoints = label_rows({key: value for key, value in truth.items() if key != ("b", 5)})
    tables.write(tables.from_rows(split_rows(), Splits), Splits, project.splits)
    for rows, schema, name in ((frames, LabelledFrames, "labelled_frames"), (boxes, Boxes, "boxes"), (keypoints, Keypoints, "keypoints")):
        tables.write(tables.from_rows(rows, schema), schema, project.annotations / f"{name}.parquet")
    sampled = {"strategy": "uniform", "reason": "a test", "cluster": None, "score": np.nan, "width": 64, "height": 48}
    # the image in data/frames is not what the video holds, so that a test sees which one was taken
    write_rgb(project.frames / "a/00000001.png", np.full((48, 64, 3), 7, np.uint8))
    rows = [{"video_id": video_id, "frame": frame, "path": f"{video_id}/{frame:08d}.png", **sampled} for video_id, frame in (("a", 1),)]
    tables.write(tables.from_rows(rows, Frames), Frames, project.frames / "frames.parquet")
    (project.refiner_model).mkdir(parents=True)
    (project.refiner_model / "status.json").write_text('{"trained": false}')
    return project


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = build(tmp_path_factory.mktemp("project"))
    pose_dataset.run(project, pose_dataset.Params())
    return project


@pytest.fixture
def project(prepared: Project, tmp_path: Path) -> Project:
    shutil.copytree(prepared.root, tmp_path / "project")
    return Project(tmp_path / "project")


def contents(folder: Path) -> dict[str, bytes]:
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def without_labels(project: Project) -> None:
    for schema, name in ((LabelledFrames, "labelled_frames"), (Boxes, "boxes"), (Keypoints, "keypoints")):
        tables.write(tables.empty(schema), schema, project.annotations / f"{name}.parquet")


# pose_dataset


def test_every_usable_labelled_frame_is_in_its_split(prepared: Project) -> None:
    index = tables.read(prepared.pose_dataset / "index.parquet", PoseDataset)
    assert index.groupby("split").size().to_dict() == {"test": 3, "train": 10, "val": 11}
    assert index["video_id"].is_monotonic_increasing
    assert set(index.loc[index["video_id"] == "a", "frame"]) == set(range(N_FRAMES)) - {UNUSABLE, GAP}
    assert set(index["group"]) == {"g-a", "g-b", "g-c"}
    counts = json.loads((prepared.pose_dataset / "counts.json").read_text())
    assert counts["train"] == {"frames": 10, "frames_with_animals": 9, "animals": 9}
    assert counts["gap"]["frames"] == counts["unusable"]["frames"] == 1


def test_labels_read_back_as_they_were(prepared: Project) -> None:
    skeleton = read_skeleton(prepared.skeleton)
    boxes = tables.read(prepared.annotations / "boxes.parquet", Boxes).set_index(["video_id", "frame"])
    index = tables.read(prepared.pose_dataset / "index.parquet", PoseDataset)
    for row in index.itertuples(index=False):
        animals = read_labels(prepared.pose_dataset / row.label, row.width, row.height, skeleton)
        assert len(animals) == row.n_instances == (0 if (row.video_id, row.frame) == ("a", EMPTY) else 1)
        for animal in animals:
            expected = boxes.loc[(row.video_id, row.frame), ["x_min", "y_min", "x_max", "y_max"]].astype(float)
            np.testing.assert_allclose(animal["box"], expected, atol=1e-5)
            assert set(animal["keypoints"]) == {"nose", "left"}
            assert animal["keypoints"]["left"][2] == 1


def test_images_come_from_the_frames_stage_or_exactly_from_the_source(prepared: Project) -> None:
    assert (read_rgb(prepared.pose_dataset / "images/train/a_00000001.png") == 7).all()
    folder_image = read_rgb(prepared.pose_dataset / "images/test/c_00000002.png")
    assert encode_png(folder_image) == encode_png(read_rgb(prepared.raw_images / "c/img002.png"))
    index = tables.read(prepared.pose_dataset / "index.parquet", PoseDataset)
    assert index["sha256"].str.len().eq(64).all()


def test_data_yaml_is_complete_and_relative(prepared: Project) -> None:
    text = (prepared.pose_dataset / "data.yaml").read_text()
    assert str(prepared.root) not in text
    content = yaml.safe_load(text)
    assert content["names"] == {0: "mouse", 1: "rat"}
    assert (content["kpt_shape"], content["flip_idx"], content["kpt_oks_sigmas"]) == ([3, 3], [0, 2, 1], [0.05, 0.05, 0.05])
    assert content["kpt_names"] == {0: ["nose", "left", "right"], 1: ["nose", "left", "right"]}


def test_the_same_inputs_give_the_same_bytes(project: Project) -> None:
    before = contents(project.pose_dataset)
    pose_dataset.run(project, pose_dataset.Params())
    assert contents(project.pose_dataset) == before


def test_faulty_labels_are_named_together_and_nothing_is_written(project: Project) -> None:
    boxes = tables.read(project.annotations / "boxes.parquet", Boxes)
    boxes.loc[[0, 1], ["x_min", "x_max"]] = [500.0, 510.0]
    tables.write(boxes, Boxes, project.annotations / "boxes.parquet")
    before = contents(project.pose_dataset)
    with pytest.raises(FaultsError) as caught:
        pose_dataset.run(project, pose_dataset.Params())
    assert "a:00000000" in str(caught.value)
    assert "a:00000001" in str(caught.value)
    assert contents(project.pose_dataset) == before


def test_a_species_that_the_skeleton_lacks(project: Project) -> None:
    project.skeleton.write_text(SKELETON.replace("mouse, rat", "vole"))
    with pytest.raises(FaultsError, match="species 'mouse' is not in the skeleton"):
        pose_dataset.run(project, pose_dataset.Params())


# no labels: the whole line runs and says why nothing was trained


def test_no_labels_no_model_no_predictions(project: Project) -> None:
    without_labels(project)
    pose_dataset.run(project, pose_dataset.Params())
    assert len(tables.read(project.pose_dataset / "index.parquet", PoseDataset)) == 0
    pose_train.run(project, pose_train.Params())
    status = json.loads((project.pose_model / "status.json").read_text())
    assert status["trained"] is False
    assert "0 labelled train frames with animals, 8 are needed" in status["reason"]
    assert not (project.pose_model / "best.pt").exists()
    assert json.loads((project.metrics / "pose_train.json").read_text())["trained"] is False
    curves = pd.read_csv(project.metrics / "plots/pose_curves.csv")
    assert len(curves) == 0
    assert "epoch" in curves
    pose_predict.run(project, pose_predict.Params())
    for name, schema in pose_predict.TABLES.items():
        assert len(tables.read(project.pose_predictions / f"{name}.parquet", schema)) == 0


# pose_train


def test_settings_are_checked_with_the_section() -> None:
    with pytest.raises(ValidationError, match=r"settings\.epoch: unknown key; did you mean 'epochs'"):
        pose_train.Params(settings={"epoch": 3})
    with pytest.raises(ValidationError, match="unknown detector 'yola'"):
        pose_train.Params(detector="yola")


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({}, "pose_train.weights names no file"),
        ({"weights": "none.pt"}, r"models/init/none.pt was not found \(there: other.pt\)"),
        ({"weights": "../secret.pt"}, "was not found"),
        ({"init": "previous", "weights": "gone.pt"}, "models/init/gone.pt was not found"),
    ],
)
def test_missing_weights_are_an_error_that_says_how(project: Project, params: dict[str, Any], message: str) -> None:
    project.init_weights.mkdir(parents=True)
    (project.init_weights / "other.pt").write_bytes(b"")
    with pytest.raises(EthoLoopError, match=message) as caught:
        pose_train.run(project, pose_train.Params(**params))
    assert "init: scratch" in str(caught.value)


def test_champion_and_scratch(project: Project) -> None:
    project.init_weights.mkdir(parents=True)
    previous = pose_train.Params(init="previous")
    assert pose_train.start_weights(project, previous) is None, "the first cycle has no champion yet"
    champion = project.init_weights / pose_train.CHAMPION
    champion.write_bytes(b"")
    assert pose_train.start_weights(project, pose_train.Params(init="previous")) == champion
    assert pose_train.start_weights(project, pose_train.Params(init="scratch", weights="ignored.pt")) is None


@pytest.fixture(scope="module")
def trained(prepared: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    root = tmp_path_factory.mktemp("trained") / "project"
    shutil.copytree(prepared.root, root)
    project = Project(root)
    pose_train.run(project, pose_train.Params(init="scratch", settings=QUICK))
    return project


def test_training_writes_model_status_metrics_and_curves(trained: Project) -> None:
    status = json.loads((trained.pose_model / "status.json").read_text())
    metrics = json.loads((trained.metrics / "pose_train.json").read_text())
    assert status["trained"] is metrics["trained"] is True
    assert (status["n_train"], status["n_train_with_animals"], status["n_val"]) == (10, 9, 11)
    assert status["weights_sha256"] == metrics["weights_sha256"]
    assert str(trained.root) not in json.dumps([status, metrics])
    curves = pd.read_csv(trained.metrics / "plots/pose_curves.csv")
    assert curves["epoch"].tolist() == [1]
    assert {"train_box_loss", "train_pose_loss", "val_box_mAP50"} <= set(curves.columns)


# pose_predict


class Twin:
    """A detector that finds one animal in bright frames and none elsewhere; counts the frames it was shown."""

    species, n_keypoints = ("mouse", "rat"), 3

    def __init__(self) -> None:
        self.shown = 0

    def predict(self, images: list[np.ndarray], **options: Any) -> list[Prediction]:
        self.shown += len(images)
        return [self._one(image, options) for image in images]

    def _one(self, image: np.ndarray, options: dict[str, Any]) -> Prediction:
        assert options["max_detections"] == 7  # twice one animal, plus 5
        n = 0 if image.shape[1] == 70 else 1
        keypoints = np.array([[[10.5, 9, 0.9], [2, 3, 0.8], [4, 5, 0.1]]])[:n]
        return Prediction(
            np.array([[1.0, 2, 30, 40]])[:n], np.array([[0.25, 0.5]], np.float32)[:n], keypoints, np.arange(3, dtype=np.float32)
        )


class Shift:
    """A refiner that moves every keypoint by a pixel."""

    def refine(self, image: np.ndarray, boxes: np.ndarray, keypoints: np.ndarray) -> np.ndarray:
        assert image.dtype == np.uint8
        assert len(boxes) == len(keypoints) > 0
        return keypoints + np.array([1.0, 0, 0])


@pytest.fixture
def twin(project: Project, monkeypatch: pytest.MonkeyPatch) -> Twin:
    detector = Twin()

    use(monkeypatch, pose_predict.Model(detector, None, read_skeleton(project.skeleton), {"weights": "digest", "device": "cpu"}))
    return detector


def use(monkeypatch: pytest.MonkeyPatch, model: pose_predict.Model) -> None:
    monkeypatch.setattr(pose_predict, "load_model", lambda project: model)
    monkeypatch.setattr(pose_predict, "model_identity", lambda project: model.identity)


def predictions(project: Project) -> dict[str, pd.DataFrame]:
    return {name: tables.read(project.pose_predictions / f"{name}.parquet", schema) for name, schema in pose_predict.TABLES.items()}


def test_sampled_and_labelled_frames_are_looked_at_the_empty_ones_too(project: Project, twin: Twin) -> None:
    pose_predict.run(project, pose_predict.Params())
    found = predictions(project)
    looked_at = found["frames"].groupby("video_id")["frame"].agg(list).to_dict()
    assert looked_at == {
        "a": sorted(set(range(N_FRAMES)) - {UNUSABLE}),
        "b": sorted(set(range(N_FRAMES)) - {5}),
        "c": [0, 1, 2],
    }
    assert found["frames"].set_index("video_id").loc["c", "n_detections"].tolist() == [0, 0, 0]
    row = found["detections"].iloc[0]
    assert (row["species"], row["confidence"], row["p_mouse"], row["p_rat"], row["source"]) == ("rat", 0.5, 0.25, 0.5, "digest")
    assert len(found["keypoints"]) == 3 * len(found["detections"]) == 3 * 22
    assert found["keypoints"].iloc[0][["keypoint", "x", "y"]].tolist() == ["nose", 10.5, 9]
    assert found["embeddings"][["e_0", "e_1", "e_2"]].iloc[0].tolist() == [0, 1, 2]
    assert len(found["embeddings"]) == len(found["frames"]) == twin.shown == 25


def test_a_second_run_computes_nothing_and_a_changed_source_only_itself(project: Project, twin: Twin) -> None:
    pose_predict.run(project, pose_predict.Params())
    before, twin.shown = contents(project.pose_predictions), 0
    pose_predict.run(project, pose_predict.Params())
    assert twin.shown == 0
    assert contents(project.pose_predictions) == before
    labelled = tables.read(project.annotations / "labelled_frames.parquet", LabelledFrames)
    fewer = labelled[(labelled["video_id"] != "b") | (labelled["frame"] > 0)]
    tables.write(fewer, LabelledFrames, project.annotations / "labelled_frames.parquet")
    pose_predict.run(project, pose_predict.Params())
    assert twin.shown == 10  # source b has one frame less, a and c come from the memo
    assert len(predictions(project)["frames"]) == 24


def test_every_nth_frame_of_videos(project: Project, twin: Twin) -> None:
    without_labels(project)
    pose_predict.run(project, pose_predict.Params(every=5))
    looked_at = predictions(project)["frames"].groupby("video_id")["frame"].agg(list).to_dict()
    assert looked_at == {"a": [0, 1, 5, 10], "b": [0, 5, 10], "c": [0, 1, 2]}


def test_the_refiner_has_the_last_word(project: Project, twin: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = pose_predict.load_model(project)
    use(monkeypatch, pose_predict.Model(plain.detector, Shift(), plain.skeleton, {**plain.identity, "refiner": "shift"}))
    pose_predict.run(project, pose_predict.Params())
    assert predictions(project)["keypoints"].iloc[0]["x"] == 11.5


def test_the_trained_model_predicts_in_source_pixels(trained: Project) -> None:
    pose_predict.run(trained, pose_predict.Params(confidence=0.0))
    found = predictions(trained)
    assert len(found["frames"]) == 25
    assert len(found["detections"]) > 0
    assert found["detections"].groupby(["video_id", "frame"]).size().max() <= 7
    assert found["detections"]["source"].str.len().eq(64).all()
    sizes = found["detections"].groupby("video_id")[["x_max", "y_max"]].max()
    assert sizes.loc["c"].tolist() <= [70, 50]
    assert "e_447" in found["embeddings"]


def test_predictions_are_the_same_bytes_with_every_number_of_workers_and_threads(
    trained: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Networks on a CPU answer differently in the last bits with other threads or batches; pieces must not."""
    import torch

    from etholoop.stages import _map

    monkeypatch.setattr(_map, "WORTH_S", 1e-6)
    seen = []
    for engine, threads in (("serial", 1), ("serial", 2), ("processes:2", 1)):
        monkeypatch.setenv("ETHOLOOP_ENGINE", engine)
        shutil.copytree(trained.root, tmp_path / str(len(seen)), ignore=shutil.ignore_patterns(".memo"))
        project, before = Project(tmp_path / str(len(seen))), torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            pose_predict.run(project, pose_predict.Params(confidence=0.0))
            assert torch.get_num_threads() == threads
        finally:
            torch.set_num_threads(before)
        seen.append(contents(project.pose_predictions))
    assert seen[0] == seen[1] == seen[2]


def test_a_model_of_another_skeleton_is_refused(trained: Project, tmp_path: Path) -> None:
    shutil.copytree(trained.root, tmp_path / "project")
    project = Project(tmp_path / "project")
    project.skeleton.write_text(SKELETON.replace("keypoints: [nose, left, right]", "keypoints: [nose, left, right, tail]"))
    with pytest.raises(EthoLoopError, match=r"with 3 keypoints, label_studio/skeleton\.yaml names mouse, rat with 4"):
        pose_predict.run(project, pose_predict.Params())


def test_weights_that_are_gone(trained: Project, tmp_path: Path) -> None:
    shutil.copytree(trained.root, tmp_path / "project")
    project = Project(tmp_path / "project")
    (project.pose_model / "best.pt").unlink()
    with pytest.raises(EthoLoopError, match=r"status\.json says that a model was trained"):
        pose_predict.run(project, pose_predict.Params())
