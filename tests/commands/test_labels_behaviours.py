"""The ethogram is changed and no label is lost: in the snapshot, on the server, in a frozen batch."""

import json

import pytest
from fake_studio import FakeStudio

from etholoop.commands import labels_behaviours, labels_journal, labels_pull, labels_push
from etholoop.core.ethogram_changes import WordChange, followed, retired, today, with_bouts
from etholoop.errors import EthoLoopError
from etholoop.io import ethogram_changes as files
from etholoop.io import label_studio_tasks, snapshot
from etholoop.io.vocabulary import read_ethogram
from etholoop.project import Project
from etholoop.services import dvc, label_studio

ETHOGRAM = """# our words
name: mine
behaviours:
  - name: walk  # on all four
    definition: moves
    exclusive_group: gait
  - name: rest
    definition: stays
    exclusive_group: gait
  - {name: sniff, definition: smells}
"""
SHOWN = [[0, 100]]
BOUTS = [
    {"behaviour": "walk", "start": 0, "stop": 20}, {"behaviour": "rest", "start": 20, "stop": 50},
    {"behaviour": "sniff", "start": 10, "stop": 30},
]  # fmt: skip


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setattr(dvc, "add", lambda project, *paths: None)
    project = Project(tmp_path)
    texts = {"label_studio/ethogram.yaml": ETHOGRAM, "label_studio/skeleton.yaml": "species: [mouse]\n"}
    texts |= {"params.yaml": "cycle: {id: c001}\n", "dvc.yaml": "stages: {annotations: {cmd: x, deps: [label_studio/ethogram.yaml]}}\n"}
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    record = {"video": "v", "subject": "", "annotator": "anna", "looked_at": [[0, 100]], "bouts": BOUTS}
    snapshot.write(snapshot.Snapshot([], [record]), project.snapshot)
    return project


def take(project, kind, old="", new="", **more):
    return labels_behaviours.change(project, WordChange(kind, old, new), more)


def bouts_of(project):
    (record,) = (record for record in snapshot.read(project.snapshot).behaviours if not record["subject"])
    return [(bout["behaviour"], bout["start"], bout["stop"]) for bout in record["bouts"]]


def test_a_word_is_followed_through_the_whole_history():
    history = [WordChange("rename", "a", "b"), WordChange("rename", "b", "c"), WordChange("remove", "d", ""), WordChange("add", "", "e")]
    assert [today(word, history) for word in "abcdex"] == ["c", "c", "c", None, "e", "x"]
    assert list(retired(history)) == ["a", "b", "d"]
    again = [*history, WordChange("add", "", "d")]
    assert today("d", again) == "d" and list(retired(again)) == ["a", "b"]
    assert today("c", [*history, WordChange("remove", "c", "")]) is None


def test_following_twice_is_following_once():
    history = [WordChange("rename", "sniff", "smell"), WordChange("remove", "rest", "")]
    record = {"video": "v", "looked_at": [[0, 100]], "bouts": BOUTS}
    once, gone = followed(record, history)
    assert [bout["behaviour"] for bout in once["bouts"]] == ["walk", "smell"] and gone == [BOUTS[1]]
    assert followed(once, history) == (once, [])


def test_bouts_come_back_only_where_their_time_is_still_looked_at():
    record = {"looked_at": [[0, 40], [60, 80]], "bouts": [{"behaviour": "dig", "start": 0, "stop": 5}]}
    made = with_bouts(record, [{"behaviour": "dig", "start": 3, "stop": 70}])
    assert [(bout["start"], bout["stop"]) for bout in made["bouts"]] == [(0, 5), (5, 40), (60, 70)]


def test_renaming_keeps_bouts_and_comments(project):
    said = take(project, "rename", "sniff", "smell")
    assert "1 bouts have another word" in said and any("annotations" in line for line in said)
    assert bouts_of(project) == [("walk", 0, 20), ("smell", 10, 30), ("rest", 20, 50)]
    assert read_ethogram(project.ethogram).names == ("walk", "rest", "smell")
    assert "# on all four" in project.ethogram.read_text() and "# our words" in project.ethogram.read_text()


def test_removed_bouts_wait_and_come_back(project):
    before = project.snapshot.read_bytes()
    take(project, "remove", "rest")
    assert bouts_of(project) == [("walk", 0, 20), ("sniff", 10, 30)]
    assert [bout["behaviour"] for bout in json.loads(labels_behaviours.removed_path(project).read_text())] == ["rest"]
    take(project, "add", new="rest", definition="stays", exclusive_group="gait")
    assert project.snapshot.read_bytes() == before
    assert files.read_removed(labels_behaviours.removed_path(project)) == []


def test_the_journal_knows_the_way_back_in_the_words_of_today(project):
    take(project, "rename", "sniff", "smell")
    take(project, "remove", "rest")
    assert labels_journal.restore(project, 0)[0] == 0, "what the ethogram no longer has stays out"
    assert bouts_of(project) == [("walk", 0, 20), ("smell", 10, 30)]


def test_a_dry_run_changes_nothing(project):
    before = [path.read_bytes() for path in (project.ethogram, project.snapshot)]
    said = labels_behaviours.change(project, WordChange("remove", "rest", ""), {}, dry_run=True)
    assert "1 bouts wait in label_studio/removed_bouts.json" in said
    assert [path.read_bytes() for path in (project.ethogram, project.snapshot)] == before
    assert not labels_behaviours.history_path(project).exists() and not labels_pull.journal_folder(project).exists()


def test_words_keep_their_meaning(project):
    with pytest.raises(EthoLoopError, match="did you mean 'sniff'"):
        take(project, "rename", "snif", "smell")
    with pytest.raises(EthoLoopError, match="not made one"):
        take(project, "rename", "sniff", "walk")
    take(project, "rename", "sniff", "smell")
    with pytest.raises(EthoLoopError, match="stands for 'smell'"):
        take(project, "add", new="sniff", definition="another thing")
    with pytest.raises(EthoLoopError, match="no definition"):
        take(project, "add", new="rear", definition="")
    with pytest.raises(EthoLoopError, match="catch-all"):
        take(project, "add", new="other", definition="the rest")
    assert read_ethogram(project.ethogram).names == ("walk", "rest", "smell")


def test_a_step_killed_before_the_snapshot_is_finished_by_the_next_pull(project, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(labels_behaviours, "keep", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            take(project, "rename", "sniff", "smell")
    studio = FakeStudio()
    monkeypatch.setattr(label_studio, "connect", lambda _: studio.client())
    with_window(project, studio, [])
    labels_pull.pull(project)
    assert ("smell", 10, 30) in bouts_of(project)


def with_window(project, studio, bouts, config=""):
    about = f"etholoop:{labels_push.project_key(project)}:behaviour"
    number = studio._keep(studio.projects, {"title": "b", "label_config": config, "description": about})
    data = {"video_id": "v", "subject": "B", "shown": SHOWN, "uid": "w", "kind": "behaviour"}
    studio._keep(studio.tasks, {"project": number["id"], "data": data, "annotations": [], "drafts": [], "predictions": []})
    studio.answer("w", label_studio_tasks.bout_results(bouts, SHOWN, read_ethogram(project.ethogram)))
    return number


def test_answers_in_old_words_on_the_server_come_in_the_words_of_today(project, monkeypatch):
    studio = FakeStudio()
    monkeypatch.setattr(label_studio, "connect", lambda _: studio.client())
    with_window(project, studio, BOUTS)
    take(project, "rename", "sniff", "smell")
    take(project, "remove", "rest")
    pulled = labels_pull.pull(project)
    record = next(record for record in snapshot.read(project.snapshot).behaviours if record["subject"] == "B")
    assert [bout["behaviour"] for bout in record["bouts"]] == ["walk", "smell"]
    assert pulled.refused == [] and any("'rest', which the ethogram no longer has" in remark for remark in pulled.remarks)


def test_the_screen_keeps_words_that_a_server_does_not_let_go_of(project):
    assert len(labels_push.screens_of(project, "behaviour")) == 1
    take(project, "rename", "sniff", "smell")
    take(project, "remove", "rest")
    clean, older = labels_push.screens_of(project, "behaviour")
    assert 'value="sniff"' not in clean and 'value="rest"' not in clean
    assert 'name="behaviour_sniff"' in older and 'value="rest"' in older
    assert older.count('name="group_gait"') == 1, "the old word stands where labels hang on it"


def test_predictions_of_a_frozen_batch_are_drawn_in_the_words_of_today(project):
    take(project, "rename", "sniff", "smell")
    take(project, "remove", "rest")
    assert [bout["behaviour"] for bout in labels_push._in_words_of_today(project, BOUTS)] == ["walk", "smell"]
