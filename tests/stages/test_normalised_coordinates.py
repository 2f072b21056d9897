"""Labels reach the pixels of derived pictures, and predictions come back: a bright square is where every stage says."""

from fractions import Fraction

import numpy as np
import pytest

from etholoop import params as parameters
from etholoop.io import tables, video, yolo_pose
from etholoop.io.images import read_rgb
from etholoop.io.vocabulary import read_skeleton
from etholoop.modeling.records import Prediction
from etholoop.project import Project
from etholoop.schema.annotations import Boxes, Keypoints, LabelledFrames
from etholoop.schema.dataset import PoseDataset
from etholoop.schema.splits import Splits
from etholoop.stages import frames, manifest, normalise, pose_dataset, pose_predict, refine_train
from etholoop.stages._normalised import pictures
from etholoop.stages._sources import project_sources

WIDTH, HEIGHT, N = 200, 120, 20
SIDE = 16
SECTIONS = {
    "cut, shrunk and padded": {"crop": {"x": 31, "y": 9, "width": 140, "height": 100}, "width": 128, "height": 128, "fit": "pad"},
    "stretched": {"width": 128, "height": 128, "fit": "stretch", "fps": 5},
    "half": {"width": 100, "grey": True},
}


def corner(frame: int) -> tuple[int, int]:
    """Where the square's corner is; between 50 and 130, 30 and 70, so that it stays inside the cut."""
    return 50 + 4 * frame, 30 + 2 * frame


def picture(frame: int) -> np.ndarray:
    image = np.full((HEIGHT, WIDTH, 3), 40, np.uint8)
    x, y = corner(frame)
    image[y : y + SIDE, x : x + SIDE] = 220
    return image


@pytest.fixture(params=SECTIONS.values(), ids=SECTIONS)
def project(tmp_path, request) -> Project:
    """One video of a moving square, normalised, sampled, labelled in source pixels."""
    project = Project(tmp_path)
    project.metadata.parent.mkdir(parents=True)
    project.metadata.write_text("path,session,subject,camera,start_time\n")
    video.write_video(project.raw_videos / "a.mp4", map(picture, range(N)), Fraction(10), crf=5)
    manifest.run(project, manifest.Params())
    section = parameters.section_from({"normalise": request.param}, "normalise", normalise.Params, "params.yaml")
    normalise.run(project, section)
    frames.run(project, frames.Params(n_frames=4))
    project.skeleton.parent.mkdir(parents=True)
    project.skeleton.write_text("species: [mouse]\nkeypoints: [middle]\n")
    write_labels(project, range(0, N, 2))
    return project


def write_labels(project: Project, labelled) -> None:
    rows, boxes, points = [], [], []
    for frame in labelled:
        x, y = corner(frame)
        place = {"video_id": "a", "frame": frame, "instance": 0, "confidence": np.nan}
        rows.append({"video_id": "a", "frame": frame, "status": "animals", "n_animals": 1, "source": "anna", "note": None})
        corners = {"x_min": x, "y_min": y, "x_max": x + SIDE, "y_max": y + SIDE}
        boxes.append({**place, "species": "mouse", **corners, "identity": None, "source": "anna"})
        points.append({**place, "keypoint": "middle", "x": x + SIDE / 2, "y": y + SIDE / 2, "visibility": 2})
    split = {"video_id": "a", "group": "a", "start_frame": 0, "stop_frame": N, "split": "train", "mode": "group"}
    for content, schema, path in (
        (rows, LabelledFrames, project.annotations / "labelled_frames.parquet"),
        (boxes, Boxes, project.annotations / "boxes.parquet"),
        (points, Keypoints, project.annotations / "keypoints.parquet"),
        ([split], Splits, project.splits),
    ):
        known = [{name: row[name] for name in schema.columns if name in row} for row in content]
        tables.write(tables.from_rows(known, schema), schema, path)


def seen(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Middle and box of the square in a picture."""
    weight = np.clip((image.mean(axis=2) - 60) / 120, 0, 1)
    rows, columns = np.arange(image.shape[0]) + 0.5, np.arange(image.shape[1]) + 0.5
    middle = np.array([(weight.sum(0) * columns).sum(), (weight.sum(1) * rows).sum()]) / weight.sum()
    inside = weight > 0.5
    x, y = np.flatnonzero(inside.any(0)), np.flatnonzero(inside.any(1))
    return middle, np.array([x[0], y[0], x[-1] + 1, y[-1] + 1])


def test_labels_of_the_data_set_lie_on_the_square(project):
    pose_dataset.run(project, pose_dataset.Params())
    index = tables.read(project.pose_dataset / "index.parquet", PoseDataset)
    assert index["frame"].tolist() == list(range(0, N, 2))
    skeleton = read_skeleton(project.skeleton)
    for row in index.itertuples():
        image = read_rgb(project.pose_dataset / row.image)
        assert image.shape[:2] == (row.height, row.width)
        (animal,) = yolo_pose.read(project.pose_dataset / row.label, row.width, row.height, skeleton)
        middle, box = seen(image)
        assert np.allclose(animal["keypoints"]["middle"][:2], middle, atol=0.25)
        assert np.allclose(animal["box"], box, atol=1.1)
    labels = refine_train.read_labels(project, skeleton)
    for one, row in zip(labels.train, index.itertuples(), strict=True):
        (animal,) = yolo_pose.read(project.pose_dataset / row.label, row.width, row.height, skeleton)
        assert np.allclose(one.boxes, [animal["box"]], atol=1e-4)
        assert np.allclose(one.keypoints[0, :, :2], [animal["keypoints"]["middle"][:2]], atol=1e-4)


def test_predictions_come_back_to_the_source(project):
    source = project_sources(project)["a"]
    assert source.source_size == (WIDTH, HEIGHT)
    for frame, image in source.read([0, 4, 8, 16]):
        middle, box = seen(image)
        found = Prediction(box[None].astype(np.float32), np.array([[0.9]]), np.array([[[*middle, 0.8]]]), np.zeros(2))
        back = pose_predict.in_source_pixels(found, source)
        x, y = corner(frame)
        assert np.allclose(back.keypoints[0, 0], [x + SIDE / 2, y + SIDE / 2, 0.8], atol=0.5)
        assert np.allclose(back.boxes[0], [x, y, x + SIDE, y + SIDE], atol=2.5)


def test_drawn_animals_lie_on_the_kept_pictures(project):
    from etholoop.io.drawing import Animal, moved

    way = pictures(project)["a"].affine
    for path in sorted((project.frames / "a").glob("*.png")):
        x, y = corner(int(path.stem))
        animal = moved(Animal(np.array([x, y, x + SIDE, y + SIDE], float), np.array([[x + SIDE / 2, y + SIDE / 2]])), way)
        assert np.allclose(animal.keypoints[0], seen(read_rgb(path))[0], atol=0.25)


def test_what_was_found_on_the_filling_is_no_animal(project):
    source = project_sources(project)["a"]
    corners = source.affine.points(np.array([[-40.0, -40], [-10, -10]])).reshape(1, 4)
    found = Prediction(corners, np.array([[0.9]]), np.zeros((1, 1, 3)), np.zeros(2))
    assert len(pose_predict.in_source_pixels(found, source).boxes) == 0
