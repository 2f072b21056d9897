"""annotations: known records in, known rows out; every label that cannot be true is named."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from etholoop.errors import FaultsError
from etholoop.io import snapshot, tables
from etholoop.io.snapshot import Snapshot
from etholoop.project import Project
from etholoop.schema import annotations as nouns
from etholoop.schema.videos import Gaps, Images, Quarantine, Videos
from etholoop.stages import annotations
from etholoop.stages.annotations import Params

SKELETON = "species: [mouse]\nkeypoints: [nose, tail]\nanimals: 2\n"
ETHOGRAM = """
behaviours:
  - {name: groom, definition: cleans its fur, exclusive_group: activity}
  - {name: walk, definition: walks, exclusive_group: activity}
  - {name: contact, definition: touches another}
  - {name: jump, definition: leaves the ground, kind: point}
"""


def source(video_id, kind="video", n_frames=100):
    values = {"path": f"videos/{video_id}.mp4", "sha256": "0", "n_frames_header": n_frames, "fps_num": 25, "fps_den": 1, "duration_s": 4.0}
    values |= {"width": 200, "height": 100, "codec": "h264", "pix_fmt": "yuv420p", "rotation": 0, "variable_rate": False}
    values |= {"session": video_id, "subject": None, "camera": None, "start_time": None}
    return {"video_id": video_id, "kind": kind, "n_frames": n_frames} | values


@pytest.fixture
def project(tmp_path):
    project = Project(tmp_path)
    for path, text in ((project.skeleton, SKELETON), (project.ethogram, ETHOGRAM)):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    images = [{"video_id": "stills", "frame": frame, "path": f"images/stills/{frame}.png", "sha256": "0"} for frame in (3, 7)]
    broken = [{"path": "images/stills/5.png", "reason": "other_size", "detail": "30x30 pixels", "frame": 5}]
    broken.append({"path": "videos/Broken One.mp4", "reason": "truncated", "detail": "the file ends early", "frame": None})
    tables.write(tables.from_rows([source("cage1"), source("stills", "images", 8)], Videos), Videos, project.manifest / "videos.parquet")
    tables.write(tables.from_rows(images, Images), Images, project.manifest / "images.parquet")
    tables.write(tables.from_rows(broken, Quarantine), Quarantine, project.manifest / "quarantine.parquet")
    return project


def animal(box=(10, 10, 50, 40), keypoints=None, **changes):
    return {"class": "mouse", "box": list(box), "identity": None, "keypoints": keypoints or {}} | changes


def frame(uid="cage1:00000005", *animals, annotator="anna", **changes):
    status = "animals" if animals else "no_animal"
    return {"uid": uid, "annotator": annotator, "status": status, "note": "", "instances": list(animals)} | changes


def behaviour(*bouts, annotator="anna", looked_at=((0, 100),), **changes):
    told = [{"behaviour": name, "start": start, "stop": stop} for name, start, stop in bouts]
    looked_at = [list(interval) for interval in looked_at]
    return {"video": "cage1", "subject": "", "annotator": annotator, "looked_at": looked_at, "bouts": told} | changes


def ran(project, frames=(), behaviours=(), **params):
    snapshot.write(Snapshot(list(frames), list(behaviours)), project.snapshot)
    annotations.run(project, Params(**params))
    schemas = {name: schema for name, (schema, _) in annotations.TABLES.items()} | {"dropped": nouns.Dropped}
    return {name: tables.read(project.annotations / f"{name}.parquet", schema) for name, schema in schemas.items()}


def faults(project, frames=(), behaviours=(), **params):
    with pytest.raises(FaultsError) as caught:
        ran(project, frames, behaviours, **params)
    return caught.value.faults


def status(project):
    return json.loads((project.annotations / "status.json").read_text())


def test_no_labels_yet(project):
    found = ran(project)
    assert all(len(table) == 0 for table in found.values())
    assert status(project)["n_boxes"] == 0


def test_every_keypoint_of_every_animal_has_a_row(project):
    found = ran(project, [frame("cage1:00000005", animal(keypoints={"tail": [20, 30, 1]}), animal((60, 10, 90, 40)))])
    assert found["labelled_frames"][["status", "n_animals", "source"]].values.tolist() == [["animals", 2, "anna"]]
    assert found["boxes"]["x_min"].tolist() == [10, 60]
    assert found["boxes"]["confidence"].isna().all()
    points = found["keypoints"]
    assert points["keypoint"].tolist() == ["nose", "tail", "nose", "tail"]
    assert points["visibility"].tolist() == [0, 1, 0, 0]
    assert points["x"].isna().tolist() == [True, False, True, True]


def test_no_animal_and_unusable_are_statements(project):
    found = ran(project, [frame("cage1:00000001"), frame("cage1:00000002", status="unusable")])
    assert found["labelled_frames"]["status"].tolist() == ["no_animal", "unusable"]
    assert len(found["boxes"]) == 0


def test_the_same_labels_in_another_order_give_the_same_bytes(project):
    labels = [frame(f"cage1:{number:08d}", animal((number, 0, 50, 50)), animal((number, 5, 50, 50))) for number in range(5)]
    told = [behaviour(("groom", 1, 5), ("walk", 5, 9))]
    ran(project, labels, told)
    before = {path.name: path.read_bytes() for path in project.annotations.iterdir()}
    ran(project, labels[::-1], told)
    assert before == {path.name: path.read_bytes() for path in project.annotations.iterdir()}


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (frame("cage1:00000100", animal()), "frame 100 does not exist; the video has 100 frames"),
        (frame("stills:00000004", animal()), "no image with number 4"),
        (frame("cage1:00000005", animal(**{"class": "mosue"})), "did you mean 'mouse'"),
        (frame("cage1:00000005", animal(keypoints={"tial": [1, 1, 2]})), "did you mean 'tail'"),
        (frame("cage1:00000005", animal(keypoints={"tail": [1, 101.5, 2]})), "keypoint 'tail' at"),
        (frame("cage1:00000005", animal((10, 10, 202, 40))), "goes beyond the 200 x 100 image"),
        (frame("cage1:00000005", animal((300, 10, 402, 40))), "lies outside"),
        (frame("cage1:00000005", animal(identity="m1"), animal((9, 9, 20, 20), identity="m1")), "identity 'm1' is given to 2 animals"),
    ],
)
def test_frame_labels_that_cannot_be_true(project, bad, words):
    (fault,) = faults(project, [bad])
    assert words in fault
    assert fault.startswith(f"{bad['uid']} by anna")
    assert not project.annotations.exists()


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (behaviour(("grom", 1, 5)), "did you mean 'groom'"),
        (behaviour(("groom", 1, 5), looked_at=[(0, 101)]), "beyond the 100 frames"),
        (behaviour(("groom", 1, 5), ("walk", 4, 9)), "only one behaviour of the group 'activity'"),
        (behaviour(("jump", 1, 5)), "point event"),
        (behaviour(video="cage7"), "no source 'cage7'"),
    ],
)
def test_behaviour_labels_that_cannot_be_true(project, bad, words):
    (fault,) = faults(project, [], [bad])
    assert words in fault


def test_a_long_bout_clashes_with_each_bout_inside_it(project):
    assert len(faults(project, [], [behaviour(("groom", 0, 50), ("walk", 10, 20), ("walk", 30, 40))])) == 2


def test_all_faults_come_together(project):
    bad = [frame("cage2:00000005", animal()), frame("cage1:00000005", animal(**{"class": "cat"}, keypoints={"ear": [1, 1, 2]}))]
    assert len(faults(project, bad, [behaviour(("sing", 1, 2))])) == 4


def test_touching_bouts_and_bouts_of_other_groups_are_fine(project):
    found = ran(project, [], [behaviour(("groom", 1, 5), ("walk", 5, 9), ("contact", 2, 8), ("jump", 9, 10))])
    assert found["bouts"]["behaviour"].tolist() == ["groom", "contact", "walk", "jump"]
    assert found["looked_at"][["start_frame", "stop_frame"]].values.tolist() == [[0, 100]]


def test_a_hand_that_slips_by_a_pixel_is_put_on_the_edge(project):
    found = ran(project, [frame("cage1:00000005", animal((-1, 10, 201, 40), keypoints={"nose": [-0.5, 20, 2]}))])
    assert found["boxes"][["x_min", "x_max"]].values.tolist() == [[0, 200]]
    assert found["keypoints"]["x"].iloc[0] == 0
    assert found["keypoints"]["visibility"].iloc[0] == 2


def test_clip_cuts_boxes_and_counts_lost_keypoints(project):
    far = frame("cage1:00000005", animal((-50, 10, 50, 40), keypoints={"nose": [-30, 20, 2], "tail": [40, 20, 2]}))
    found = ran(project, [far], out_of_frame="clip")
    assert found["boxes"]["x_min"].tolist() == [0]
    assert found["keypoints"]["visibility"].tolist() == [0, 2]
    assert np.isnan(found["keypoints"]["x"].iloc[0])
    assert found["dropped"][["what", "name"]].values.tolist() == [["keypoint", "cage1:00000005"]]


def test_a_box_wholly_outside_is_a_fault_even_with_clip(project):
    assert "lies outside" in faults(project, [frame("cage1:00000005", animal((300, 10, 402, 40)))], out_of_frame="clip")[0]


def test_labels_of_a_broken_file_wait_and_are_counted(project):
    labels = [frame("broken-one:00000002", animal()), frame("cage1:00000005", animal())]
    found = ran(project, labels, [behaviour(video="broken-one", looked_at=[(0, 5)])])
    assert found["labelled_frames"]["video_id"].tolist() == ["cage1"]
    assert found["dropped"][["what", "name"]].values.tolist() == [["behaviour", "broken-one"], ["frame", "broken-one:00000002"]]
    assert found["dropped"]["reason"].str.contains("truncated").all()
    assert status(project)["dropped"] == {"behaviour": 1, "frame": 1}


def test_the_label_of_a_broken_image_waits_and_its_folder_is_used(project):
    found = ran(project, [frame("stills:00000005", animal()), frame("stills:00000007", animal())])
    assert found["labelled_frames"]["frame"].tolist() == [7]
    assert found["dropped"][["name", "reason"]].values.tolist() == [["stills:00000005", "in quarantine: other_size (images/stills/5.png)"]]


@pytest.mark.parametrize(("prefer", "expected"), [([], "anna"), (["bert"], "bert"), (["cleo", "bert"], "bert")])
def test_one_annotator_counts_per_frame(project, prefer, expected):
    labels = [frame("cage1:00000005", animal(), annotator=name) for name in ("bert", "anna")]
    labels.append(frame("cage1:00000006", animal(), annotator="bert"))
    found = ran(project, labels, prefer=prefer)
    assert found["labelled_frames"]["source"].tolist() == [expected, "bert"]
    assert set(found["boxes"]["source"]) == {expected, "bert"}
    assert status(project)["contested_frames"] == 1
    assert status(project)["preferred_without_labels"] == [name for name in prefer if name == "cleo"]


def test_each_moment_is_told_by_one_annotator(project):
    told = [
        behaviour(("groom", 0, 20), looked_at=[(0, 50)]),
        behaviour(("walk", 10, 60), looked_at=[(10, 100)], annotator="bert"),
    ]
    found = ran(project, [], told)
    assert found["bouts"][["behaviour", "start_frame", "stop_frame", "source"]].values.tolist() == [
        ["groom", 0, 20, "anna"],
        ["walk", 50, 60, "bert"],
    ]
    assert found["looked_at"][["start_frame", "stop_frame", "source"]].values.tolist() == [[0, 50, "anna"], [50, 100, "bert"]]
    assert status(project)["contested_behaviours"] == ["cage1"]


def test_a_misspelt_parameter_is_named(tmp_path: Path):
    from etholoop import params

    (tmp_path / "params.yaml").write_text("annotations: {preferr: [anna]}\n")
    with pytest.raises(FaultsError, match="did you mean 'prefer'"):
        params.load(tmp_path / "params.yaml", "annotations", Params)


def test_tables_are_typed(project):
    found = ran(project, [frame("cage1:00000005", animal())])
    assert isinstance(found["boxes"], pd.DataFrame)
    assert str(found["boxes"]["instance"].dtype) == "int64"


def test_a_source_that_is_not_there_is_named_once(project):
    frames = [frame(f"cage2:{number:08d}", animal()) for number in range(30)]
    snapshot.write(Snapshot(frames, [behaviour(("walk", 0, 5), video="cage2")]), project.snapshot)
    with pytest.raises(FaultsError) as caught:
        annotations.run(project, Params())
    assert str(caught.value).count("cage2") == 1
    assert "did you mean 'cage1'? (labels of it: 1 behaviour records, 30 frames)" in str(caught.value)


def test_labels_on_frames_that_cannot_be_read_are_told(project, capsys):
    gaps = [{"video_id": "cage1", "start_frame": 5, "stop_frame": 20, "reason": "damaged"}]
    tables.write(tables.from_rows(gaps, Gaps), Gaps, project.manifest / "gaps.parquet")
    frames = [frame("cage1:00000005", animal()), frame("cage1:00000020", animal())]
    told = [behaviour(("walk", 6, 18), ("groom", 18, 30), ("contact", 40, 50))]
    snapshot.write(Snapshot(frames, told), project.snapshot)
    annotations.run(project, Params())
    status = json.loads((project.annotations / "status.json").read_text())
    assert status["in_gaps"] == {"bouts": 1, "frames": 1}
    said = capsys.readouterr().out
    assert "1 labelled frames cannot be read" in said and "cage1:00000005" in said and "cage1 walk 6 to 17" in said
    assert len(tables.read(project.annotations / "labelled_frames.parquet", nouns.LabelledFrames)) == 2, "they stay, and are told"
