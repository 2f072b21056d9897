"""etholoop labels: imports change nothing when something is wrong, and nothing the second time."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import typer
import yaml
from typer.testing import CliRunner

from etholoop.commands import labels
from etholoop.errors import EthoLoopError, FaultsError
from etholoop.io import snapshot, tables
from etholoop.io.behavtrack import Reading
from etholoop.io.image_numbers import numbers_of
from etholoop.io.snapshot import Snapshot
from etholoop.io.vocabulary import read_skeleton
from etholoop.project import Project
from etholoop.schema.videos import Videos

SKELETON = "species: [mouse]\nkeypoints: [nose, tail]\nanimals: 1\n"
COLLECTED = "scorer,LM,LM,LM,LM\nbodyparts,nose,nose,tail,tail\ncoords,x,y,x,y\n"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project without DVC; ``project.added`` lists what would have been given to it."""
    from etholoop.services import dvc

    root = tmp_path / "project"
    for name, text in (("dvc.yaml", ""), ("params.yaml", ""), ("label_studio/skeleton.yaml", SKELETON)):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    project = Project(root)
    added: list[str] = []
    monkeypatch.setattr(dvc, "add", lambda project, path: added.append(Path(path).relative_to(project.root).as_posix()))
    object.__setattr__(project, "added", added)
    return project


def image(path: Path, level: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((100, 200, 3), level, np.uint8))


@pytest.fixture
def dlc_project(tmp_path):
    folder = tmp_path / "dlc"
    labels_folder = folder / "labeled-data/cage1"
    for number in (3, 7):
        image(labels_folder / f"img{number:03d}.png", number)
    rows = "labeled-data/cage1/img003.png,10,20,30,40\nlabeled-data/cage1/img007.png,,,,\n"
    (labels_folder / "CollectedData_LM.csv").write_text(COLLECTED + rows)
    (folder / "config.yaml").write_text(yaml.safe_dump({"Task": "t", "bodyparts": ["nose", "tail"], "multianimalproject": None}))
    (folder / "videos").mkdir()
    (folder / "videos/other.mp4").write_bytes(b"not really")
    (folder / "videos/cage1.mp4").write_bytes(b"not really either")
    return folder


def contents(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_import_dlc_brings_images_and_labels(project, dlc_project):
    done = labels.import_dlc(project, dlc_project)
    assert done.changes.new == [("cage1:00000003", "dlc:LM")]
    assert done.new_files == ["images/cage1/img003.png", "images/cage1/img007.png"]
    assert (project.raw_images / "cage1/img003.png").read_bytes() == (dlc_project / "labeled-data/cage1/img003.png").read_bytes()
    assert [record["uid"] for record in snapshot.read(project.snapshot).frames] == ["cage1:00000003"]
    assert project.added == ["data/raw/images", "label_studio/exports/snapshot.json"]
    assert any("without keypoints" in remark for remark in done.remarks)


def test_importing_twice_changes_nothing(project, dlc_project):
    labels.import_dlc(project, dlc_project, videos=True)
    before = contents(project.root)
    done = labels.import_dlc(project, dlc_project, videos=True)
    assert not done.changes
    assert done.new_files == []
    assert contents(project.root) == before


def test_an_import_killed_before_versioning_is_completed_by_the_next(project, dlc_project):
    labels.import_dlc(project, dlc_project)
    project.added.clear()
    labels.import_dlc(project, dlc_project)
    assert project.added == ["data/raw/images", "label_studio/exports/snapshot.json"]


def test_a_skeleton_that_fits_is_left_alone(project, dlc_project):
    before = project.skeleton.read_bytes()
    done = labels.import_dlc(project, dlc_project, write_skeleton=True)
    assert project.skeleton.read_bytes() == before
    assert any("left as it is" in remark for remark in done.remarks)


def test_a_video_beside_its_labelled_images_is_not_taken_under_the_same_name(project, dlc_project):
    done = labels.import_dlc(project, dlc_project, videos=True)
    assert "videos/other.mp4" in done.new_files
    assert "videos/cage1.mp4" not in done.new_files
    assert any("cage1.mp4 not added" in remark for remark in done.remarks)


def test_dry_run_changes_nothing(project, dlc_project):
    before = contents(project.root)
    done = labels.import_dlc(project, dlc_project, dry_run=True)
    assert len(done.changes.new) == 1
    assert contents(project.root) == before
    assert project.added == []


def test_other_body_parts_are_named_and_can_replace_the_skeleton(project, dlc_project):
    project.skeleton.write_text("species: [mouse]\nkeypoints: [nose, tailbase]\n")
    before = contents(project.root)
    with pytest.raises(FaultsError, match="did you mean 'tailbase'") as caught:
        labels.import_dlc(project, dlc_project)
    assert "keypoint 'tailbase' of skeleton.yaml is not in the project" in caught.value.faults
    assert "--write-skeleton" in str(caught.value)
    assert contents(project.root) == before
    labels.import_dlc(project, dlc_project, write_skeleton=True)
    assert read_skeleton(project.skeleton).keypoint_names == ("nose", "tail")


def test_an_image_of_the_same_name_with_other_content_stops_the_import(project, dlc_project):
    image(project.raw_images / "cage1/img003.png", 200)
    before = contents(project.root)
    with pytest.raises(FaultsError, match="exists with other content"):
        labels.import_dlc(project, dlc_project)
    assert contents(project.root) == before


def test_a_cut_snapshot_stops_the_import(project, dlc_project):
    project.snapshot.parent.mkdir(parents=True)
    project.snapshot.write_text('{"format":"etholoop-snapshot/1","frames":[')
    before = contents(project.root)
    with pytest.raises(EthoLoopError, match="cut off"):
        labels.import_dlc(project, dlc_project)
    assert contents(project.root) == before


def test_import_dlc_on_the_command_line(project, dlc_project, monkeypatch):
    monkeypatch.chdir(project.root)
    app = typer.Typer()
    labels.register(app)
    result = CliRunner().invoke(app, ["labels", "import", "dlc", str(dlc_project)], catch_exceptions=False)
    assert "labelled frames: 1 new" in result.output
    result = CliRunner().invoke(app, ["labels", "show"], catch_exceptions=False)
    assert result.output.splitlines()[1].split() == ["?", "cage1", "dlc:LM", "1", "1", "0", "0", "0"]


def annotation(tmp_path, names, manual=True):
    box = {"x1": 10, "y1": 10, "x2": 50, "y2": 40}
    folder = tmp_path / "behavtrack"
    for number, name in enumerate(names):
        image(folder / name, number)
    content = {name: [{"bbox": box, "keypoints": {"nose": [12, 20, 2]}, "mAnnotated": manual}] for name in names}
    (folder / "annotation.json").write_text(json.dumps(content))
    return folder


def with_video(project, name):
    """A source of this name; what is in it is looked at by the manifest only."""
    project.raw_videos.mkdir(parents=True, exist_ok=True)
    (project.raw_videos / f"{name}.mp4").write_bytes(b"not really")


def test_import_behavtrack_onto_videos_or_with_images(project, tmp_path):
    with_video(project, "other")
    folder = annotation(tmp_path, ["Gabbia1-D6_frame_50.png", "Gabbia1-D6_frame_100.png"])
    done = labels.import_behavtrack(project, folder / "annotation.json", Reading(), copy_images=True)
    assert [uid for uid, _ in done.changes.new] == ["gabbia1-d6:00000050", "gabbia1-d6:00000100"]
    assert done.new_files == ["images/Gabbia1-D6/Gabbia1-D6_frame_100.png", "images/Gabbia1-D6/Gabbia1-D6_frame_50.png"]
    assert not (project.raw_images / "Gabbia1-D6/numbers.csv").exists()


def test_labels_go_to_the_video_of_their_name(project, tmp_path):
    with_video(project, "Gabbia1 D6")
    done = labels.import_behavtrack(project, annotation(tmp_path, ["Gabbia1-D6_frame_50.png"]), Reading())
    assert [uid for uid, _ in done.changes.new] == ["gabbia1-d6:00000050"]
    assert done.new_files == []


def test_labels_of_a_source_that_is_not_there_are_refused_before_they_stop_the_pipeline(project, tmp_path):
    with_video(project, "gabbia1-d7")
    folder = annotation(tmp_path, ["Gabbia1-D6_frame_50.png", "Gabbia1-D6_frame_51.png"])
    with pytest.raises(FaultsError) as caught:
        labels.import_behavtrack(project, folder, Reading())
    assert caught.value.faults == ["2 labelled frames of 'gabbia1-d6', but there is no such source; did you mean 'gabbia1-d7'?"]
    assert not project.snapshot.exists()


@pytest.mark.parametrize(
    ("name", "box", "words"),
    [
        ("cage1_frame_100.png", {}, "frame 100 does not exist; the video has 100 frames"),
        ("cage1_frame_5.png", {"x2": 900}, "goes beyond the 200 x 100 image"),
    ],
)
def test_labels_that_cannot_be_true_of_their_video_are_refused(project, tmp_path, name, box, words):
    with_labels(project)
    project.snapshot.unlink()
    folder = annotation(tmp_path, [name])
    content = json.loads((folder / "annotation.json").read_text())
    content[name][0]["bbox"] |= box
    (folder / "annotation.json").write_text(json.dumps(content))
    with pytest.raises(FaultsError, match=words):
        labels.import_behavtrack(project, folder, Reading())
    assert not project.snapshot.exists()


def test_images_get_the_number_that_the_pattern_reads(project, tmp_path):
    folder = annotation(tmp_path, ["cage_12_cam1.png", "cage_13_cam1.png"])
    pattern = r"(?P<video>.+)_(?P<frame>\d+)_cam1"
    done = labels.import_behavtrack(project, folder, Reading(), pattern=pattern, copy_images=True)
    assert [uid for uid, _ in done.changes.new] == ["cage:00000012", "cage:00000013"]
    images = project.raw_images / "cage"
    assert (images / "numbers.csv").read_text() == "name,number\ncage_12_cam1.png,12\ncage_13_cam1.png,13\n"
    assert numbers_of(images.glob("*.png")).images == {12: images / "cage_12_cam1.png", 13: images / "cage_13_cam1.png"}


def test_an_image_whose_number_is_taken_is_refused(project, tmp_path):
    image(project.raw_images / "cage/other_12.png", 99)
    before = contents(project.root)
    with pytest.raises(FaultsError, match=r"cage_12_cam1\.png: number 12 is that of other_12\.png"):
        folder = annotation(tmp_path, ["cage_12_cam1.png"])
        labels.import_behavtrack(project, folder, Reading(), pattern=r"(?P<video>.+)_(?P<frame>\d+)_cam1", copy_images=True)
    assert contents(project.root) == before


def test_predictions_nobody_accepted_are_left_out(project, tmp_path):
    done = labels.import_behavtrack(project, annotation(tmp_path, ["a_frame_1.png"], manual=False), Reading())
    assert not done.changes
    assert "nobody accepted" in done.remarks[0]


@pytest.mark.parametrize(("pattern", "words"), [("(", "not a regular expression"), ("(?P<video>.+)", "needs the groups")])
def test_bad_patterns(project, tmp_path, pattern, words):
    with pytest.raises(EthoLoopError, match=words):
        labels.import_behavtrack(project, annotation(tmp_path, ["a_frame_1.png"]), Reading(), pattern=pattern)


def test_tracked_labels_need_their_video(project, tmp_path):
    path = tmp_path / "tracked.json"
    entry = {"bbox": {"x1": 10, "y1": 10, "x2": 50, "y2": 40}, "keypoints": {}, "mAnnotated": True}
    path.write_text(json.dumps({"3": {"1": entry}}))
    with_video(project, "cage1")
    with pytest.raises(EthoLoopError, match="--video"):
        labels.import_behavtrack(project, path, Reading())
    assert labels.import_behavtrack(project, path, Reading(), video="cage1").changes.new == [("cage1:00000002", "behavtrack")]


def yolo_folder(tmp_path, **texts):
    for number, (stem, text) in enumerate(texts.items()):
        image(tmp_path / f"yolo/images/train/{stem}.png", number)
        (tmp_path / "yolo/labels/train").mkdir(parents=True, exist_ok=True)
        (tmp_path / f"yolo/labels/train/{stem}.txt").write_text(text)
    return tmp_path / "yolo/labels/train"


def test_import_yolo(project, tmp_path):
    folder = yolo_folder(tmp_path, cage1_00000005="0 .5 .5 .2 .2 .5 .5 2 0 0 0\n", cage1_00000006="")
    done = labels.import_yolo(project, folder, "anna", copy_images=True)
    assert [uid for uid, _ in done.changes.new] == ["cage1:00000005", "cage1:00000006"]
    assert done.new_files == ["images/cage1/cage1_00000005.png", "images/cage1/cage1_00000006.png"]
    first, second = snapshot.read(project.snapshot).frames
    assert first["instances"][0]["box"] == [80, 40, 120, 60]
    assert second["status"] == "no_animal"


def test_import_yolo_names_all_faults(project, tmp_path):
    folder = yolo_folder(tmp_path, cage1_00000005="0 .5 .5\n", noframe="", cage1_00000006="0 2 .5 .2 .2 .5 .5 2 0 0 0\n")
    (folder / "cage1_00000007.txt").write_text("")
    with pytest.raises(FaultsError) as caught:
        labels.import_yolo(project, folder)
    assert len(caught.value.faults) == 4
    assert not project.snapshot.exists()


def test_import_yolo_predictions_with_thresholds(project, tmp_path):
    with_video(project, "cage1")
    line = "0 .5 .5 .2 .2 .5 .5 .86 .1 .1 .99 0.8\n0 .5 .5 .2 .2 .5 .5 .86 .1 .1 .99 0.1\n"
    done = labels.import_yolo(project, yolo_folder(tmp_path, cage1_00000005=line), thresholds=(0.85, 0.25))
    (record,) = snapshot.read(project.snapshot).frames
    assert [animal["keypoints"] for animal in record["instances"]] == [{"nose": [100, 50, 2]}]
    assert record["annotator"] == "predictions:yolo"
    assert done.remarks == ["dropped: 1 boxes of low confidence", "dropped: 1 keypoints outside of their box"]


def frame(number, annotator="anna", status="animals"):
    animal = {"class": "mouse", "box": [10, 10, 50, 40], "identity": None, "keypoints": {"tail": [20, 30, 1]}}
    instances = [animal] if status == "animals" else []
    return {"uid": f"cage1:{number:08d}", "annotator": annotator, "status": status, "note": "", "instances": instances}


def with_labels(project):
    with_video(project, "cage1")
    frames = [frame(5), frame(5, "bert", "no_animal"), frame(6, status="no_animal"), frame(7, status="unusable")]
    snapshot.write(Snapshot(frames), project.snapshot)
    row = {"video_id": "cage1", "kind": "video", "path": "videos/cage1.mp4", "sha256": "0", "n_frames": 100, "n_frames_header": 100}
    row |= {"fps_num": 25, "fps_den": 1, "duration_s": 4.0, "width": 200, "height": 100, "codec": "h264", "pix_fmt": "yuv420p"}
    row |= {"rotation": 0, "variable_rate": False, "session": "s", "subject": None, "camera": None, "start_time": None}
    tables.write(tables.from_rows([row], Videos), Videos, project.manifest / "videos.parquet")
    return frames


def test_export_behavtrack_and_back(project, tmp_path):
    frames = with_labels(project)
    assert labels.export_behavtrack(project, tmp_path / "out/annotation.json") == 2
    project.snapshot.unlink()
    labels.import_behavtrack(project, tmp_path / "out", Reading(annotator="anna", empty_means_no_animal=True))
    assert snapshot.dumps(snapshot.read(project.snapshot)) == snapshot.dumps(Snapshot([frames[0], frames[2]]))


def test_export_yolo(project, tmp_path):
    with_labels(project)
    assert labels.export_yolo(project, tmp_path / "out") == 2
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["cage1_00000005.txt", "cage1_00000006.txt"]
    assert (tmp_path / "out/cage1_00000006.txt").read_text() == ""
    words = (tmp_path / "out/cage1_00000005.txt").read_text().split()
    assert np.allclose(np.array(words, float), [0, 0.15, 0.25, 0.2, 0.3, 0, 0, 0, 0.1, 0.3, 1])


def test_exported_yolo_text_comes_back_without_images(project, tmp_path):
    """The size in pixels comes from the source."""
    frames = with_labels(project)
    labels.export_yolo(project, tmp_path / "out")
    project.snapshot.unlink()
    labels.import_yolo(project, tmp_path / "out", "anna")
    assert snapshot.dumps(snapshot.read(project.snapshot)) == snapshot.dumps(Snapshot([frames[0], frames[2]]))


@pytest.mark.parametrize("export", [labels.export_behavtrack, labels.export_yolo])
def test_no_labels_are_not_exported_as_an_empty_file(project, tmp_path, export):
    with pytest.raises(EthoLoopError, match="there are no labels to write"):
        export(project, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_yolo_labels_in_a_folder_that_is_not_there(project, tmp_path):
    with pytest.raises(EthoLoopError, match="nowhere: not found"):
        labels.import_yolo(project, tmp_path / "nowhere")


def test_export_yolo_of_an_unknown_source(project, tmp_path):
    with_labels(project)
    stranger = frame(5) | {"uid": "cage9:00000005"}
    snapshot.write(Snapshot([frame(5), stranger]), project.snapshot)
    with pytest.raises(FaultsError, match="no source 'cage9'"):
        labels.export_yolo(project, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_show_without_labels(project):
    assert labels.listing(project) == ["no labels yet; `etholoop labels import …` brings some"]


def test_several_classes_need_a_choice(project):
    project.skeleton.write_text("species: [mouse, rat]\n")
    with pytest.raises(EthoLoopError, match="--species"):
        labels._species(project, "")
    with pytest.raises(EthoLoopError, match="did you mean 'rat'"):
        labels._species(project, "rats")
    assert labels._species(project, "rat") == "rat"


def test_the_open_field_project(project, public_data):
    with pytest.raises(FaultsError):
        labels.import_dlc(project, public_data / "data/dlc_openfield_mouse")
    done = labels.import_dlc(project, public_data / "data/dlc_openfield_mouse", write_skeleton=True, videos=True, dry_run=True)
    assert len(done.changes.new) == 116
    assert len(done.new_files) == 117
