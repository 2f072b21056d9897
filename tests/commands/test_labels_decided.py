"""Behaviour labels decided on the command line, with DeepEthogram's meaning: all, only unlabelled, finalised."""

import pandas as pd
import pytest

from etholoop.commands import labels_decided, labels_journal, labels_pull
from etholoop.core.labels import Extent
from etholoop.errors import EthoLoopError
from etholoop.io import label_studio_journal, snapshot, tables
from etholoop.project import Project
from etholoop.schema.tracks import TrackNames
from etholoop.services import dvc

ETHOGRAM = """behaviours:
  - {name: walk, definition: moves, exclusive_group: gait}
  - {name: rest, definition: stays, exclusive_group: gait}
  - {name: jump, definition: leaps, kind: point}
"""
PREDICTED = [("v", -1, "walk", 0, 40), ("v", -1, "rest", 40, 90), ("v", -1, "jump", 95, 96)]


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setattr(dvc, "add", lambda project, *paths: None)
    monkeypatch.setattr(labels_pull, "_extents", lambda _: {"v": Extent(10, 10, 100), "w": Extent(10, 10, 50)})
    project = Project(tmp_path)
    project.ethogram.parent.mkdir(parents=True)
    project.ethogram.write_text(ETHOGRAM)
    write_bouts(project, PREDICTED)
    return project


def write_bouts(project, rows):
    path = project / labels_decided.BOUTS
    path.parent.mkdir(parents=True, exist_ok=True)
    names = ["video_id", "track", "behaviour", "start_frame", "stop_frame"]
    pd.DataFrame([dict(zip(names, row, strict=True)) for row in rows], columns=names).assign(family="seq").to_parquet(path)


def label(project, looked_at, *bouts, annotator="anna"):
    told = [{"behaviour": name, "start": start, "stop": stop} for name, start, stop in bouts]
    old = snapshot.read_or_empty(project.snapshot)
    record = {"video": "v", "subject": "", "annotator": annotator, "looked_at": looked_at, "bouts": told}
    snapshot.write(snapshot.Snapshot(old.frames, [*old.behaviours, record]), project.snapshot)


def said_by(project, annotator="anna"):
    record = next(record for record in snapshot.read(project.snapshot).behaviours if record["annotator"] == annotator)
    return record["looked_at"], [(bout["behaviour"], bout["start"], bout["stop"]) for bout in record["bouts"]]


def take(project, **options):
    return labels_decided.import_predictions(project, ["v"], "anna", **{"only_unlabelled": False, **options})


def test_all_predictions_replace_what_was_said(project):
    label(project, [[30, 60]], ("rest", 30, 60))
    assert take(project) == ["v by anna: 100 more frames looked at, 3 bouts in them"]
    assert said_by(project) == ([[0, 100]], [("walk", 0, 40), ("rest", 40, 90), ("jump", 95, 96)])


def test_only_unlabelled_time_is_filled(project):
    label(project, [[30, 60]], ("rest", 30, 35))
    take(project, only_unlabelled=True)
    assert said_by(project) == ([[0, 100]], [("walk", 0, 30), ("rest", 30, 35), ("rest", 60, 90), ("jump", 95, 96)])
    assert take(project, only_unlabelled=True) == ["nothing left to say: all of it was looked at"]


def test_time_that_somebody_else_labelled_is_labelled(project):
    label(project, [[0, 50]], annotator="ben")
    take(project, only_unlabelled=True)
    assert said_by(project) == ([[50, 100]], [("rest", 50, 90), ("jump", 95, 96)])
    assert said_by(project, "ben") == ([[0, 50]], [])


def test_finalising_says_that_the_rest_is_none_of_the_behaviours(project):
    label(project, [[30, 60]], ("rest", 30, 35))
    assert labels_decided.unfinished(project, "anna") == ["v"]
    assert labels_decided.finalise(project, ["v"], "anna") == ["v by anna: 70 more frames looked at, 0 bouts in them"]
    assert said_by(project) == ([[0, 100]], [("rest", 30, 35)])
    assert labels_decided.unfinished(project, "anna") == []


def test_each_decision_can_be_taken_back(project):
    label(project, [[30, 60]], ("rest", 30, 60))
    before = project.snapshot.read_bytes()
    take(project)
    labels_decided.finalise(project, ["w"], "anna")
    labels_journal.restore(project, 0)
    assert project.snapshot.read_bytes() == before


def test_a_dry_run_changes_nothing(project):
    label(project, [[30, 60]], ("rest", 30, 60))
    before = project.snapshot.read_bytes()
    assert take(project, dry_run=True)[-1] == "nothing was changed (--dry-run)"
    labels_decided.finalise(project, ["v"], "anna", dry_run=True)
    assert project.snapshot.read_bytes() == before and not labels_pull.journal_folder(project).exists()


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ([("v", -1, "fly", 0, 5)], "unknown behaviour 'fly'"),
        ([("v", -1, "walk", 0, 50), ("v", -1, "rest", 40, 60)], "only one behaviour of the group 'gait'"),
        ([("w", -1, "walk", 0, 50)], "nothing is predicted for v"),
    ],
)
def test_predictions_that_cannot_be_true_are_refused(project, rows, why):
    write_bouts(project, rows)
    with pytest.raises(EthoLoopError, match=why):
        take(project)
    assert not project.snapshot.exists()


def test_answers_on_the_server_are_not_overruled_behind_its_back(project):
    record = {"video": "v", "subject": "", "annotator": "anna", "looked_at": [[0, 10]], "bouts": []}
    line = {"uid": "v:00000000-00000010:", "annotator": "anna", "digest": "x", "record": record}
    label_studio_journal.append(labels_pull.journal_folder(project), {"kind": "pull"}, [line], [])
    with pytest.raises(EthoLoopError, match="next pull would take"):
        take(project)
    assert take(project, only_unlabelled=True)


def test_time_of_which_the_model_says_nothing_stays_unlabelled(project):
    row = {"video_id": "v", "track": -1, "family": "seq", "start_frame": 50, "stop_frame": 60}
    pd.DataFrame([row]).to_parquet((project / labels_decided.BOUTS).with_name("unsure.parquet"))
    take(project)
    assert said_by(project) == ([[0, 50], [60, 100]], [("walk", 0, 40), ("rest", 40, 50), ("rest", 60, 90), ("jump", 95, 96)])


def test_a_track_is_labelled_only_while_the_animal_is_there(project):
    write_bouts(project, [("v", 3, "walk", 20, 40)])
    row = {"video_id": "v", "track": 3, "name": "B12", "species": "mouse", "start_frame": 10, "stop_frame": 80}
    table = tables.from_rows([row | {"n_detected": 70, "n_interpolated": 0}], TrackNames)
    tables.write(table, TrackNames, project / "data/tracks/names.parquet")
    take(project)
    (record,) = snapshot.read(project.snapshot).behaviours
    assert (record["subject"], record["looked_at"]) == ("B12", [[10, 80]])


def test_tracks_are_subjects(project):
    write_bouts(project, [("v", 3, "walk", 0, 40)])
    take(project)
    assert [record["subject"] for record in snapshot.read(project.snapshot).behaviours] == ["track3"]


def test_an_unknown_video_names_the_nearest(project):
    with pytest.raises(EthoLoopError, match="no such source 'vv'; did you mean 'v'"):
        labels_decided.finalise(project, ["vv"], "anna")
