"""labels push and pull against a Label Studio in memory: killed at every request, nothing is asked twice and no label is lost."""

import json

import cv2
import numpy as np
import pytest
from fake_studio import FakeStudio
from typer.testing import CliRunner

from etholoop.commands import labels_journal, labels_pull, labels_push, labels_serve
from etholoop.commands.labels_push import Order
from etholoop.errors import EthoLoopError
from etholoop.io import label_studio_tasks, snapshot
from etholoop.project import Project
from etholoop.services import dvc, label_studio
from etholoop.services import label_studio_server as server

SKELETON = "species: [mouse]\nkeypoints: [nose, tail]\nanimals: 2\n"
ETHOGRAM = "behaviours:\n  - {name: walk, definition: moves}\n  - {name: sniff, definition: smells}\n"
UIDS = [f"cage1:{number:08d}" for number in range(4)]


def question(number, purpose="batch", rank=0):
    animal = {"class": "mouse", "box": [10.13, 20.5, 60.77, 80.01], "confidence": 0.7, "keypoints": {"nose": [12.34, 30.0, 0.9]}}
    return {
        "frame_uid": f"cage1:{number:08d}", "video_id": "cage1", "frame": number, "image": f"data/frames/cage1/{number:08d}.png",
        "width": 640, "height": 480, "purpose": purpose, "rank": rank, "acquisition": "margin", "priority": None, "reason": "why",
        "session": "s1", "predictions": [animal] if purpose == "batch" else [],
    }  # fmt: skip


@pytest.fixture
def studio(monkeypatch):
    studio = FakeStudio()
    monkeypatch.setattr(label_studio, "connect", lambda project: studio.client())
    monkeypatch.setattr(label_studio.time, "sleep", lambda _: None)
    monkeypatch.setattr("etholoop.services.label_studio_project.time.sleep", lambda _: None)
    monkeypatch.setattr(label_studio, "CHUNK", 2)
    return studio


@pytest.fixture
def project(tmp_path, studio, monkeypatch):
    monkeypatch.setattr(dvc, "add", lambda project, *paths: None)
    return made_project(tmp_path / "p")


def made_project(root):
    texts = {"dvc.yaml": "", "params.yaml": "cycle: {id: c001}\n"}
    texts |= {"label_studio/skeleton.yaml": SKELETON, "label_studio/ethogram.yaml": ETHOGRAM}
    texts["data/selection/tasks.json"] = json.dumps([question(n, rank=n) for n in range(4)] + [question(9, "held_out")])
    for name, text in texts.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "data/frames/cage1").mkdir(parents=True)
    for number in (*range(4), 9):
        cv2.imwrite(str(root / f"data/frames/cage1/{number:08d}.png"), np.full((48, 64, 3), number, np.uint8))
    project = Project(root)
    snapshot.write(snapshot.Snapshot(), project.snapshot)
    return project


def sound(studio):
    """Every task once, each with its prediction."""
    return sorted(task["data"]["uid"] for task in studio.tasks.values()) == UIDS and all(
        len(task["predictions"]) == 1 for task in studio.tasks.values()
    )


def requests_of(studio, work):
    studio.kill_at(None)
    work()
    return studio.n_requests


@pytest.mark.parametrize("how", ["before", "half", "after"])
def test_a_push_killed_at_any_request_is_mended_by_the_next(tmp_path, studio, monkeypatch, how):
    monkeypatch.setattr(dvc, "add", lambda project, *paths: None)
    order = Order(annotators=("anna", "ben"), double=0.5)
    n_requests = requests_of(studio, lambda: labels_push.push(made_project(tmp_path / "count"), order))
    assert n_requests > 10
    for place in range(1, n_requests + 1):
        studio.__init__()
        project = made_project(tmp_path / f"{how}{place}")
        studio.kill_at(place, how)
        with pytest.raises(EthoLoopError):
            labels_push.push(project, order)
        studio.kill_at(None)
        labels_push.push(project, order)
        assert sound(studio), f"killed {how} request {place}"
        assert len(studio.projects) == 1
        assert [task["overlap"] for task in studio.tasks.values()].count(2) == 2
        assert labels_push.push(project, order).pushed["frames"].new == 0


def test_a_pull_killed_at_any_request_changes_nothing_and_the_next_takes_all(project, studio):
    labels_push.push(project, Order())
    studio.answer_all_as_drawn()
    before = project.snapshot.read_bytes()
    n_requests = requests_of(studio, lambda: labels_pull.pull(project, dry_run=True))
    assert project.snapshot.read_bytes() == before
    for place in range(1, n_requests + 1):
        studio.kill_at(place)
        with pytest.raises(label_studio.ServerDownError):
            labels_pull.pull(project)
        assert project.snapshot.read_bytes() == before
        assert not labels_pull.journal_folder(project).exists()
    studio.kill_at(None)
    assert labels_pull.pull(project).counts["taken"] == 4


@pytest.mark.parametrize("place", ["etholoop.io.label_studio_journal.append", "etholoop.io.snapshot.write", "etholoop.services.dvc.add"])
def test_a_pull_killed_while_it_keeps_the_labels_loses_none(project, studio, monkeypatch, place):
    labels_push.push(project, Order())
    studio.answer_all_as_drawn()

    def die(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(place, die)
        with pytest.raises(KeyboardInterrupt):
            labels_pull.pull(project)
    labels_pull.pull(project)
    assert [record["uid"] for record in snapshot.read(project.snapshot).frames] == UIDS
    labels_journal.restore(project, 0)
    assert snapshot.read(project.snapshot).frames == [], "the journal knows the way back, whatever was killed"


def test_a_request_that_the_server_answers_late_leaves_no_duplicates(project, studio):
    labels_push.push(project, Order())
    twin = {**next(iter(studio.tasks.values())), "id": 7000}
    studio.tasks[7000] = twin
    assert labels_push.push(project, Order()).pushed["frames"].duplicates_removed == 1
    assert sound(studio)


def test_a_duplicate_that_somebody_worked_on_stays(project, studio):
    labels_push.push(project, Order())
    first = next(iter(studio.tasks.values()))
    studio.tasks[7000] = {**first, "id": 7000, "annotations": [{"id": 1, "completed_by": 2, "result": [], "updated_at": "2026"}]}
    labels_push.push(project, Order())
    assert 7000 in studio.tasks and first["id"] not in studio.tasks


def test_answers_become_records_by_name(project, studio):
    labels_push.push(project, Order())
    studio.answer_all_as_drawn()
    pulled = labels_pull.pull(project)
    record = snapshot.read(project.snapshot).frames[0]
    assert record["annotator"] == "anna"
    assert record["instances"][0]["box"] == [10.13, 20.5, 60.77, 80.01]
    assert pulled.changes and not labels_pull.pull(project).changes


def test_two_people_are_two_records(project, studio):
    labels_push.push(project, Order(annotators=("anna", "etholoop"), double=1))
    studio.answer_all_as_drawn()
    for uid in UIDS:
        studio.answer(uid, [{"id": "s", "from_name": "frame", "type": "choices", "value": {"choices": ["unusable"]}}], user=1)
    labels_pull.pull(project)
    assert len(snapshot.read(project.snapshot).frames) == 8


def test_the_newest_answer_of_a_person_counts(project, studio):
    labels_push.push(project, Order())
    for status in ("unusable", "no_animal"):
        studio.answer(UIDS[0], [{"id": "s", "from_name": "frame", "type": "choices", "value": {"choices": [status]}}])
    pulled = labels_pull.pull(project)
    assert snapshot.read(project.snapshot).frames[0]["status"] == "no_animal"
    assert pulled.counts["replaced by a newer answer"] == 1
    assert len(labels_journal.versions(project, UIDS[0])) == 2
    labels_pull.pull(project)
    assert len(labels_journal.versions(project, UIDS[0])) == 2, "seen before, not written again"


def test_labels_from_elsewhere_are_never_touched(project, studio):
    other = {"uid": "old:00000001", "annotator": "dlc:LM", "status": "no_animal", "note": "", "instances": []}
    snapshot.write(snapshot.Snapshot([other]), project.snapshot)
    labels_push.push(project, Order())
    studio.answer_all_as_drawn()
    labels_pull.pull(project)
    studio.tasks.clear()
    labels_pull.pull(project, accept_removals=True)
    assert [record["uid"] for record in snapshot.read(project.snapshot).frames] == ["old:00000001"]


def test_a_removed_window_takes_only_its_own_time(project, studio):
    windows = [{"video_id": "cage1", "subject": "", "shown": shown} for shown in ([[0, 50]], [[40, 90]])]
    labels_push.push(project, Order())  # makes the project's key
    ethogram = labels_pull._Reader(project, "behaviour", {}, "", {}).ethogram
    about = f"etholoop:{labels_push.project_key(project)}:behaviour"
    number = studio._keep(studio.projects, {"title": "b", "label_config": "", "description": about})
    for place, window in enumerate(windows):
        data = {**window, "uid": f"w{place}", "kind": "behaviour"}
        studio._keep(studio.tasks, {"project": number["id"], "data": data, "annotations": [], "drafts": [], "predictions": []})
        bout = {"behaviour": "walk", "start": window["shown"][0][0], "stop": window["shown"][0][1]}
        studio.answer(f"w{place}", label_studio_tasks.bout_results([bout], window["shown"], ethogram))
    labels_pull.pull(project)
    (record,) = snapshot.read(project.snapshot).behaviours
    assert record["looked_at"] == [[0, 90]] and [(b["start"], b["stop"]) for b in record["bouts"]] == [(0, 90)]
    studio.tasks = {key: task for key, task in studio.tasks.items() if task["data"]["uid"] != "w1"}
    labels_pull.pull(project, accept_removals=True)
    (record,) = snapshot.read(project.snapshot).behaviours
    assert record["looked_at"] == [[0, 50]] and [(b["start"], b["stop"]) for b in record["bouts"]] == [(0, 50)]


def test_restore_leaves_alone_what_something_else_changed(project, studio):
    labels_push.push(project, Order())
    studio.answer_all_as_drawn()
    labels_pull.pull(project)
    now = snapshot.read(project.snapshot)
    changed = [{**record, "note": "by hand"} if record["uid"] == UIDS[0] else record for record in now.frames]
    snapshot.write(snapshot.Snapshot(changed), project.snapshot)
    assert labels_journal.restore(project, 0) == (3, [f"{UIDS[0]} anna"])
    assert [record["note"] for record in snapshot.read(project.snapshot).frames] == ["by hand"]
    assert labels_journal.restore(project, 1) == (3, []), "a restore is an entry too"


def test_pictures_asked_for_stay_when_frames_are_remade(project, studio):
    labels_push.push(project, Order())
    lent = server.place(project).media / "frames/cage1/00000000.png"
    content = lent.read_bytes()
    for path in project.frames.rglob("*.png"):
        path.unlink()
    labels_push.push(project, Order())
    assert lent.read_bytes() == content


def test_nothing_to_ask_says_what_to_do(project, studio):
    (project.selection / "tasks.json").write_text("[]")
    with pytest.raises(EthoLoopError, match="etholoop repro"):
        labels_push.push(project, Order())
    assert not (project.batches / "c001.json").exists()


def test_no_server_says_how_to_start_one(tmp_path, monkeypatch):
    for name in (label_studio.URL_VARIABLE, label_studio.TOKEN_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    project = made_project(tmp_path / "p")
    with pytest.raises(label_studio.ServerDownError, match="labels serve"):
        labels_push.push(project, Order())
    assert "does not run" in labels_serve.status_line(project)
    assert labels_serve.stop_server(project) == "Label Studio was not running"
    assert not (project.batches / "c001.json").exists(), "nothing is frozen that could not be sent"


def test_another_server_is_remembered_privately(tmp_path):
    project = made_project(tmp_path / "p")
    path = label_studio.remember(project, "http://label.lab/", "secret-token")
    assert path.stat().st_mode & 0o777 == 0o600
    assert (path.parent / ".gitignore").read_text() == "*\n"
    with label_studio.connect(project) as client:
        assert client.url == "http://label.lab"
    assert label_studio.forget(project) and not label_studio.forget(project)


def test_the_commands_are_there_and_help_is_quick():
    from etholoop.__main__ import build_app

    text = CliRunner().invoke(build_app(), ["labels", "--help"]).output
    assert all(
        f" {name} " in text for name in ("serve", "connect", "users", "push", "pull", "journal", "restore", "import", "export", "show")
    )
