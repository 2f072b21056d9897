"""Labels of images stay on their images, whatever is added to the folder and however its files are named."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from etholoop.commands import videos
from etholoop.io import snapshot, tables
from etholoop.io.images import read_rgb
from etholoop.project import Project
from etholoop.schema.annotations import Boxes, Dropped
from etholoop.schema.videos import Images, Quarantine, Videos
from etholoop.services import dvc
from etholoop.stages import annotations, manifest


@pytest.fixture
def project(tmp_path, monkeypatch) -> Project:
    project = Project(tmp_path / "project")
    project.skeleton.parent.mkdir(parents=True)
    project.skeleton.write_text("species: [mouse]\nkeypoints: [nose]\n")
    project.ethogram.write_text("behaviours: []\n")
    for folder in (project.raw_videos, project.raw_images):
        folder.mkdir(parents=True)
    monkeypatch.setattr(dvc, "add", lambda project, *paths: None)
    return project


def pictures(folder: Path, **levels: int) -> Path:
    """A folder of images, each all of one grey level."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, level in levels.items():
        cv2.imwrite(str(folder / f"{name}.png"), np.full((30, 40, 3), level, np.uint8))
    return folder


def levels(project: Project) -> dict[int, int]:
    """Grey level of each number, as the stages after the manifest see them."""
    manifest.run(project, manifest.Params())
    table = tables.read(project.manifest / "images.parquet", Images)
    return {row.frame: int(read_rgb(project / "data/raw" / row.path)[0, 0, 0]) for row in table.itertuples(index=False)}


@pytest.mark.parametrize(
    ("first", "later"),
    [
        ({"nose": 10, "tail": 20}, {"ear": 30, "a1": 40}),
        ({"img1": 10, "img2": 20}, {"other_1": 30, "img3": 40}),
        ({"a_cam1": 10, "b_cam1": 20}, {"aa_cam1": 30}),
        ({"20260501_7": 10, "20260502_8": 20}, {"20260503": 30, "8": 40}),
    ],
)
def test_numbers_stay_when_images_are_added(project, tmp_path, first, later):
    videos.add(project, [pictures(tmp_path / "stills", **first)])
    before = levels(project)
    assert sorted(before.values()) == sorted(first.values())
    videos.add(project, [pictures(tmp_path / "stills", **later)])
    after = levels(project)
    assert sorted(after.values()) == sorted({**first, **later}.values())
    assert {number: after[number] for number in before} == before
    assert tables.read(project.manifest / "quarantine.parquet", Quarantine).empty


def test_an_image_that_was_put_there_by_hand_moves_no_label(project, tmp_path):
    """Until it is settled which of the two is number 1, the label waits; then it is where it was."""
    videos.add(project, [pictures(tmp_path / "stills", img1=10, img2=20)])
    assert levels(project) == {1: 10, 2: 20}
    label(project, 1, 2)
    pictures(project.raw_images / "stills", other_1=30)
    assert labelled(project) == ([2], ["stills:00000001"])
    (project.raw_images / "stills/other_1.png").unlink()
    assert labelled(project) == ([1, 2], [])
    pictures(project.raw_images / "stills", other_1=30)
    assert videos.number(project) == ["data/raw/images/stills"]
    assert levels(project) == {1: 10, 2: 20, 3: 30}
    assert labelled(project) == ([1, 2], [])


def test_two_images_that_swap_their_names_are_another_source(project, tmp_path):
    """Predictions are remembered by the digest of the source and the number."""
    folder = pictures(project.raw_images / "stills", img1=10, img2=20)
    manifest.run(project, manifest.Params())
    (before,) = tables.read(project.manifest / "videos.parquet", Videos)["sha256"]
    pictures(folder, img1=20, img2=10)
    manifest.run(project, manifest.Params())
    (after,) = tables.read(project.manifest / "videos.parquet", Videos)["sha256"]
    assert before != after


def test_a_bad_list_puts_its_folder_aside_and_stops_nothing(project):
    pictures(project.raw_images / "stills", img1=10)
    (project.raw_images / "stills/numbers.csv").write_text("name,number\nimg1.png,one\n")
    pictures(project.raw_images / "others", img1=20)
    assert levels(project) == {1: 20}
    aside = tables.read(project.manifest / "quarantine.parquet", Quarantine)
    assert aside["path"].tolist() == ["images/stills"]
    assert "line 2" in aside["detail"][0]


def label(project: Project, *numbers: int) -> None:
    animal = {"class": "mouse", "box": [1, 1, 20, 20], "identity": None, "keypoints": {}}
    frames = [
        {"uid": f"stills:{number:08d}", "annotator": "anna", "status": "animals", "note": "", "instances": [animal]} for number in numbers
    ]
    snapshot.write(snapshot.Snapshot(frames), project.snapshot)


def labelled(project: Project) -> tuple[list[int], list[str]]:
    """Frames with labels, and labels that wait."""
    manifest.run(project, manifest.Params())
    annotations.run(project, annotations.Params())
    boxes = tables.read(project.annotations / "boxes.parquet", Boxes)
    dropped = tables.read(project.annotations / "dropped.parquet", Dropped)
    return boxes["frame"].tolist(), dropped["name"].tolist()
