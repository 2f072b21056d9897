"""`etholoop simulate`: the world it makes, the parameters it sets, and what it refuses. The whole loop runs in tests/pipeline."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from etholoop.commands import simulate
from etholoop.commands.params import section_classes
from etholoop.commands.simulate import World
from etholoop.errors import EthoLoopError
from etholoop.io import snapshot, tables, video
from etholoop.params import section_from
from etholoop.project import Project
from etholoop.schema.selection import Selection
from etholoop.services import dvc
from etholoop.simulation import oracle
from etholoop.simulation.render import render
from etholoop.simulation.scene import make_scene

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("n_sessions", "n_val", "n_test"), [(4, 1, 2), (6, 1, 2), (10, 1, 2), (14, 1, 3), (20, 2, 4)])
def test_some_sessions_judge_some_choose_and_the_rest_trains(n_sessions, n_val, n_test):
    split = World(n_sessions=n_sessions).split()
    assert list(split) == [f"s{number:02d}" for number in range(1, n_sessions + 1)]
    assert list(split.values()) == ["train"] * (n_sessions - n_val - n_test) + ["val"] * n_val + ["test"] * n_test


@pytest.mark.parametrize("frames_per_worker", [200, 1])
def test_written_videos_are_the_rendered_scenes_however_many_processes_write(tmp_path, monkeypatch, frames_per_worker):
    monkeypatch.setattr(simulate, "FRAMES_PER_WORKER", frames_per_worker)
    scenes = {name: make_scene(name, seed=3, n_frames=7, width=96, height=64) for name in ("s01", "s02")}
    paths = simulate.write_videos(scenes, tmp_path)
    assert [path.name for path in paths] == ["s01.mp4", "s02.mp4"]
    _, index = video.probe(paths[1])
    reader = video.VideoReader(paths[1], index)
    assert reader.n_frames == 7 and reader.fps == 25
    for frame, image in reader.read([0, 6]):
        assert np.abs(image.astype(float) - render(scenes["s02"], frame)).mean() < 6


def test_another_hand_is_refused_by_name():
    with pytest.raises(EthoLoopError, match="did you mean 'human'"):
        simulate.run(None, World(noise="humann"), 1)  # refused before the folder is looked at


def test_parameters_of_the_project_the_world_and_the_caller(tmp_path):
    project = Project(tmp_path)
    project.params.write_text("cycle:\n  id: c001 # a comment\n  batch_size: 1\n\npose_train: {settings: {imgsz: 192, epochs: 30}}\n")
    simulate._set_parameters(project, World(n_sessions=4, batch_size=12), {"pose_train": {"settings": {"epochs": 2}}})
    assert yaml.safe_load(project.params.read_text()) == {
        "cycle": {"id": "c001", "batch_size": 12},
        "pose_train": {"settings": {"imgsz": 192, "epochs": 2}},
        "split": {"assign": {"s01": "train", "s02": "val", "s03": "test", "s04": "test"}},
    }
    assert project.params.read_text().startswith("cycle:\n  id: c001 # a comment\n"), (
        "comments stay, and closing finds the id on a line of its own"
    )


def test_both_lists_are_answered_and_merged(tmp_path, monkeypatch):
    project = Project(tmp_path)
    scenes = {name: make_scene(name, seed=3, n_frames=7) for name in ("s01", "s02")}
    for name, requests in (("batch", [("s01", 3), ("s01", 5)]), ("held_out", [("s02", 0)])):
        rows = [_pick(rank, video_id, frame) for rank, (video_id, frame) in enumerate(requests)]
        tables.write(tables.from_rows(rows, Selection), Selection, project.selection / f"{name}.parquet")
    old = {"uid": "s01:00000001", "annotator": "anna", "status": "no_animal"}
    snapshot.write(snapshot.Snapshot([old], []), project.snapshot)
    added = []
    monkeypatch.setattr(dvc, "add", lambda project, path: added.append(path))
    for _ in range(2):  # answering again changes nothing
        assert simulate.answer_all(project, scenes, oracle.HUMAN, seed=3) == {"batch": 2, "held_out": 1}
        records = snapshot.read(project.snapshot).frames
        assert [record["uid"] for record in records] == ["s01:00000001", "s01:00000003", "s01:00000005", "s02:00000000"]
        assert [record["annotator"] for record in records] == ["anna", "oracle", "oracle", "oracle"]
    assert set(added) == {project.snapshot}


def _pick(rank, video_id, frame):
    text = {"acquisition": "random", "reason": "test", "session": video_id, "path": f"{video_id}/{frame:08d}.png"}
    return {"rank": rank, "video_id": video_id, "frame": frame, "priority": 0.5, **text}


def test_the_demo_preset_names_only_parameters_that_exist():
    content = yaml.safe_load((ROOT / "label_studio/presets/demo/params.yaml").read_text())
    classes = section_classes()
    assert content and set(content) <= set(classes)
    for name in content:
        section_from(content, name, classes[name], "demo preset")
