"""`etholoop demo-behaviour`: what it asks the pipeline for and what it refuses. The way through `dvc repro` is in tests/pipeline."""

import pytest

from etholoop import registry
from etholoop.commands import demo_behaviour, init, simulate
from etholoop.commands.params import check_all, merge_into
from etholoop.errors import EthoLoopError
from etholoop.io import snapshot
from etholoop.project import Project
from etholoop.schema.columns import frame_uid
from etholoop.simulation.scene import make_scene


def test_all_families_take_part_and_their_settings_are_valid(tmp_path):
    assert demo_behaviour.known_families() == registry.names("etholoop.modeling.behaviour.families")
    assert set(demo_behaviour.SETTINGS) <= set(demo_behaviour.known_families())
    project = init.make_project(tmp_path / "project", simulate.PRESET)
    training = {"families": demo_behaviour.known_families(), "settings": demo_behaviour.SETTINGS}
    merge_into(project.params, {**demo_behaviour.CHANGES, "behaviour_train": training})
    check_all(project)


def test_a_seventh_of_the_sessions_judges_and_a_ninth_chooses():
    split = demo_behaviour.split_of(simulate.World(n_sessions=7))
    assert list(split.values()) == ["train"] * 3 + ["val"] * 2 + ["test"] * 2
    split = demo_behaviour.split_of(simulate.World(n_sessions=28))
    assert list(split.values()) == ["train"] * 21 + ["val"] * 3 + ["test"] * 4


def test_an_unknown_family_is_refused_by_name_before_any_work(tmp_path):
    with pytest.raises(EthoLoopError, match=r"--family 'motoin'; did you mean 'motion'"):
        demo_behaviour.run(tmp_path / "project", simulate.World(), ["motoin"])
    assert not (tmp_path / "project").exists()


def test_the_oracle_answers_all_drawn_frames_and_all_bouts(tmp_path, monkeypatch):
    import pandas as pd

    from etholoop.io import tables
    from etholoop.services import dvc

    scenes = {name: make_scene(name, seed=2, n_frames=60) for name in ("s01", "s02")}
    project = Project(tmp_path)
    drawn = pd.DataFrame({"video_id": ["s01", "s01", "s02"], "frame": [3, 30, 7]})
    monkeypatch.setattr(tables, "read", lambda path, schema: drawn)
    monkeypatch.setattr(dvc, "add", lambda project, *paths: None)
    project.snapshot.parent.mkdir(parents=True)
    n_frames, n_bouts = demo_behaviour.answer_all(project, scenes, 2)
    answered = snapshot.read_or_empty(project.snapshot)
    assert n_frames == 3 and {record["uid"] for record in answered.frames} == {
        frame_uid("s01", 3),
        frame_uid("s01", 30),
        frame_uid("s02", 7),
    }
    assert n_bouts == sum(len(record["bouts"]) for record in answered.behaviours) > 6
    assert {(record["video"], record["subject"]) for record in answered.behaviours} == {(v, f"m{k}") for v in scenes for k in (1, 2, 3)}


def test_the_table_says_what_was_not_judged(capsys):
    row = {"f1": 0.5}
    judged = {"evaluated": True, "f1_macro": 0.9, "accuracy_micro": None, "behaviours": {"rest": row}, "n_animals": 3, "n_frames": 60}
    demo_behaviour.show_table({"motion": judged, "x3d": {"evaluated": False, "reason": "no labelled behaviour in this split"}})
    text = capsys.readouterr().out
    assert "macro-F1 0.900  accuracy –" in text and "F1 of each: rest 0.50" in text
    assert "not judged: no labelled behaviour in this split" in text
