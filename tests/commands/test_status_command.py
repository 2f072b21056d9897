"""etholoop status: facts by hand."""

import pytest
from fake_studio import FakeStudio
from test_label_studio_commands import UIDS, made_project

from etholoop.commands import labels_pull, labels_push, status, up
from etholoop.commands.labels_push import Order
from etholoop.services import dvc, label_studio


@pytest.fixture
def studio(monkeypatch):
    studio = FakeStudio()
    monkeypatch.setattr(label_studio, "connect", lambda project: studio.client())
    monkeypatch.setattr(dvc, "add", lambda project, *paths: None)
    monkeypatch.setattr(dvc, "status", lambda project: {})
    return studio


def test_status_follows_the_loop(tmp_path, studio, monkeypatch):
    project = made_project(tmp_path / "p")
    lines = status.lines(project)
    assert lines[:2] == ["cycle c001", "asked: nothing yet (`etholoop labels push` sends the batch)"]
    assert lines[-1] == "pipeline: up to date"
    labels_push.push(project, Order())
    assert "asked (batch): 4, answered 0, open 4" in status.lines(project)
    studio.answer_all_as_drawn()
    assert "labelling server: 4 records would change with `etholoop labels pull`" in status.lines(project)
    assert not labels_pull.journal_folder(project).exists(), "looking changes nothing"
    labels_pull.pull(project)
    assert {"asked (batch): 4, answered 4, open 0", "labelling server: nothing new to pull"} <= set(status.lines(project))
    monkeypatch.setattr(dvc, "status", lambda project: {"frames": [{"changed deps": {"data/raw/videos": "modified"}}, "changed command"]})
    (project / "dvc.yaml").write_text("stages:\n  frames: {cmd: x, deps: [data/raw/videos], outs: [data/frames]}\n")
    assert status.lines(project)[-2:] == ["`etholoop repro` would run:", "  frames: data/raw/videos; changed command"]


def test_a_server_that_is_down_is_a_line_and_no_fault(tmp_path, studio):
    project = made_project(tmp_path / "p")
    studio.kill_at(1)
    assert any(line.startswith("labelling server: http://studio.test does not answer") for line in status.lines(project))


def test_a_window_counts_as_answered_when_somebody_looked_at_it(tmp_path):
    question = {"video_id": "v", "subject": "", "start_frame": 10, "stop_frame": 20}
    record = {"video": "v", "subject": "", "looked_at": [[0, 10]]}
    assert not status._looked_at(question, [record])
    assert status._looked_at(question, [{**record, "looked_at": [[19, 30]]}])
    assert not status._looked_at(question, [{**record, "subject": "b", "looked_at": [[0, 99]]}])


def test_the_page_links_everything_and_shows_no_password(tmp_path, studio):
    project = made_project(tmp_path / "p & q")
    page = up.write_page(project, tmp_path / "index.html", {"Label Studio": "http://127.0.0.1:1", "MLflow": "http://127.0.0.1:2"})
    text = page.read_text()
    assert all(word in text for word in ("http://127.0.0.1:1", "http://127.0.0.1:2", "reports/cycle.html", "p &amp; q"))
    assert UIDS[0] not in text
    assert up.down(project) == []
