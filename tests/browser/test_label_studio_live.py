"""Push and pull against a real server: nothing twice, nothing lost."""

import json
import stat
from pathlib import Path

import httpx
import pytest
from studio_live import HEIGHT, WIDTH, animals, free_port, make_project, question, start_or_skip, submit_untouched, without_dvc, write_tasks

from etholoop.commands import labels_journal, labels_pull, labels_push
from etholoop.commands.labels_push import Order
from etholoop.errors import EthoLoopError
from etholoop.io import label_studio_tasks, snapshot
from etholoop.services import label_studio, label_studio_project
from etholoop.services import label_studio_server as server

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """One server for all tests of this file; each test has its own Label Studio projects in it."""
    from etholoop.project import Project

    host = Project(tmp_path_factory.mktemp("studio"))
    found = start_or_skip(host)
    yield host, found
    server.stop(server.place(host))


@pytest.fixture
def project(running, tmp_path, monkeypatch):
    host, found = running
    monkeypatch.setenv(label_studio.URL_VARIABLE, found.url)
    monkeypatch.setenv(label_studio.TOKEN_VARIABLE, server.secret(server.place(host)).token)
    project = make_project(tmp_path / "project")
    object.__setattr__(project, "added", without_dvc(monkeypatch))
    return project


ELSEWHERE = Order(media="http://media.invalid/")
"""The project under test is not the one whose media folder the server gives out; no picture is looked at here."""


def number_of(project, client, kind="frame"):
    return label_studio_project.find(client, labels_push.project_key(project), kind)["id"]


def test_pushing_twice_adds_nothing(project):
    first = labels_push.push(project, ELSEWHERE).pushed["frames"]
    frozen = (project.batches / "c001.json").read_bytes()
    again = labels_push.push(project, ELSEWHERE).pushed["frames"]
    assert (first.new, again.new, again.present) == (6, 0, 6)
    assert (project.batches / "c001.json").read_bytes() == frozen
    with label_studio.connect(project) as client:
        tasks = client.task_list(number_of(project, client))
    assert [task["data"]["uid"] for task in tasks] == [f"cage1:{number:08d}" for number in range(6)], "in the order of their rank"
    assert all(task["total_predictions"] == 1 for task in tasks)


def test_untouched_predictions_come_back_as_they_were(project):
    labels_push.push(project, ELSEWHERE)
    with label_studio.connect(project) as client:
        assert submit_untouched(client, number_of(project, client)) == 6
    pulled = labels_pull.pull(project)
    assert pulled.refused == [] and pulled.counts["taken"] == 6
    records = snapshot.read(project.snapshot).frames
    assert [record["uid"] for record in records] == [f"cage1:{number:08d}" for number in range(6)]
    for number, record in enumerate(records):
        assert [instance["box"] for instance in record["instances"]] == [animal["box"] for animal in animals(number)]
        for instance, animal in zip(record["instances"], animals(number), strict=True):
            assert instance["keypoints"] == {name: [x, y, 2] for name, (x, y, _) in animal["keypoints"].items()}
    assert project.added == ["label_studio/exports/snapshot.json"]
    before = project.snapshot.read_bytes()
    assert not labels_pull.pull(project).changes
    assert project.snapshot.read_bytes() == before
    assert len(list(labels_pull.journal_folder(project).glob("*.jsonl"))) == 1, "nothing new, no new entry"


def test_a_frozen_batch_stays_when_select_changes_its_mind(project):
    labels_push.push(project, ELSEWHERE)
    write_tasks(project, [question(50, "batch", 0)])
    done = labels_push.push(project, ELSEWHERE)
    assert (done.pushed["frames"].new, done.waiting) == (0, 1)
    from studio_live import write_picture

    write_picture(project.root / "data/frames/cage1/00000050.png", 50)
    assert labels_push.push(project, Order(media="http://x/", more=True)).pushed["frames"].new == 1
    assert len(json.loads((project.batches / "c001.json").read_text())["questions"]) == 7


def test_held_out_frames_have_nothing_drawn_in(project):
    assert labels_push.push(project, Order("held_out", media="http://x/")).pushed["frames"].new == 2
    with label_studio.connect(project) as client:
        assert [task["total_predictions"] for task in client.task_list(number_of(project, client))] == [0, 0]


def test_tasks_are_shared_out_and_some_are_asked_twice(project):
    labels_push.push(project, Order(annotators=("anna", "ben"), double=0.5, media="http://x/"))
    with label_studio.connect(project) as client:
        number = number_of(project, client)
        tasks = client.task_list(number)
        titles = {view["data"]["title"] for view in client.views(number)}
        mine = client._read("/api/tasks", {"view": next(v["id"] for v in client.views(number) if v["data"]["title"] == "c001 anna")})
    people = [task["data"]["assigned_to"] for task in tasks]
    assert sum("[anna]" in who and "[ben]" in who for who in people) == 3
    assert [task["overlap"] for task in tasks] == [2 if "[anna]" in who and "[ben]" in who else 1 for who in people]
    assert titles == {"c001 batch", "c001 anna", "c001 ben"}
    assert [task["data"]["uid"] for task in mine["tasks"]] == [t["data"]["uid"] for t in tasks if "[anna]" in t["data"]["assigned_to"]]


def frame_result(record):
    return label_studio_tasks.results_of_frame(record, {"width": WIDTH, "height": HEIGHT})


def good(uid, x=10.0):
    instance = {"class": "mouse", "box": [x, 20.0, x + 50, 60.0], "identity": None, "keypoints": {"nose": [x + 5, 30.0, 1]}}
    return {"uid": uid, "annotator": "etholoop", "status": "animals", "note": "", "instances": [instance]}


def test_drafts_and_skipped_tasks_are_told_and_not_taken(project):
    labels_push.push(project, ELSEWHERE)
    with label_studio.connect(project) as client:
        tasks = client.task_list(number_of(project, client))
        client.create_annotation(tasks[0]["id"], {"result": [], "was_cancelled": True})
        client._write("POST", f"/api/tasks/{tasks[1]['id']}/drafts", {"result": frame_result(good("cage1:00000001")), "lead_time": 1})
    pulled = labels_pull.pull(project)
    assert (pulled.counts["skipped"], pulled.counts["drafts"], pulled.counts["submitted"]) == (1, 1, 0)
    assert snapshot.read(project.snapshot).frames == []


def test_deleted_tasks_do_not_take_their_labels_with_them(project):
    labels_push.push(project, ELSEWHERE)
    with label_studio.connect(project) as client:
        number = number_of(project, client)
        submit_untouched(client, number)
        labels_pull.pull(project)
        client.delete_task(client.task_list(number)[2]["id"])
    kept = labels_pull.pull(project)
    assert kept.gone == ["cage1:00000002 by etholoop"] and not kept.changes
    assert len(snapshot.read(project.snapshot).frames) == 6
    removed = labels_pull.pull(project, accept_removals=True)
    assert [change.key[0] for change in removed.changes] == ["cage1:00000002"]
    assert len(snapshot.read(project.snapshot).frames) == 5
    assert labels_pull.pull(project).gone == [], "a removal that was accepted is not told again"
    assert labels_journal.restore(project, 1) == (1, [])
    assert len(snapshot.read(project.snapshot).frames) == 6


def test_a_task_imported_again_is_the_same_task(project):
    labels_push.push(project, ELSEWHERE)
    with label_studio.connect(project) as client:
        number = number_of(project, client)
        submit_untouched(client, number)
        labels_pull.pull(project)
        before = project.snapshot.read_bytes()
        for task in client.task_list(number):
            client.delete_task(task["id"])
        labels_push.push(project, ELSEWHERE)
        submit_untouched(client, number)
    pulled = labels_pull.pull(project)
    assert pulled.gone == [] and not pulled.changes
    assert project.snapshot.read_bytes() == before


def test_a_correction_replaces_the_old_answer_and_can_be_taken_back(project):
    labels_push.push(project, ELSEWHERE)
    with label_studio.connect(project) as client:
        task = client.task_list(number_of(project, client))[0]
        made = client.create_annotation(task["id"], {"result": frame_result(good("cage1:00000000"))})
        labels_pull.pull(project)
        first = project.snapshot.read_bytes()
        client._write("PATCH", f"/api/annotations/{made['id']}", {"result": frame_result(good("cage1:00000000", x=99.0))})
        pulled = labels_pull.pull(project)
        assert [(change.before is not None, change.after is not None) for change in pulled.changes] == [(True, True)]
        bad = frame_result(good("cage1:00000000")) + frame_result({"status": "no_animal", "instances": []})
        client._write("PATCH", f"/api/annotations/{made['id']}", {"result": bad})
    refused = labels_pull.pull(project)
    assert "only one of the two" in refused.refused[0] and not refused.changes, "what was good before stays"
    assert len(labels_journal.versions(project, "cage1:00000000")) == 3
    labels_journal.restore(project, 1)
    assert project.snapshot.read_bytes() == first


def test_a_screen_changed_by_hand_is_told_and_the_labels_still_come(project):
    labels_push.push(project, ELSEWHERE)
    with label_studio.connect(project) as client:
        number = number_of(project, client)
        found = client.project(number)
        client.update_project(number, {"label_config": found["label_config"].replace('value="tail"', 'value="tale"')})
        task = client.task_list(number)[0]
        results = frame_result(good("cage1:00000000"))
        client.create_annotation(task["id"], {"result": results})
        wrong = [{**item, "value": {**item["value"], "keypointlabels": ["tale"]}} if "parentID" in item else item for item in results]
        client.create_annotation(client.task_list(number)[1]["id"], {"result": wrong})
    pulled = labels_pull.pull(project)
    assert any("is not the one of skeleton.yaml" in remark for remark in pulled.remarks)
    assert pulled.counts["taken"] == 1
    assert "unknown keypoint 'tale'; did you mean 'tail'?" in pulled.refused[0]


def test_the_server_is_closed_to_strangers(running):
    host, found = running
    place = server.place(host)
    assert stat.S_IMODE(place.secret.stat().st_mode) == 0o600
    assert stat.S_IMODE(place.log.stat().st_mode) == 0o600
    assert len(server.secret(place).password) >= 20
    assert (place.root / ".gitignore").read_text() == "*\n"
    assert httpx.get(f"{found.url}/api/projects", follow_redirects=False).status_code == 401
    assert httpx.get(f"{found.url}/health", headers={"Host": "evil.example"}).status_code == 400
    signup = httpx.post(f"{found.url}/user/signup/", data={"email": "a@b.c", "password": "12345678"}, follow_redirects=False)
    assert signup.status_code in (302, 403) and "login" in signup.headers.get("location", "login")
    media = httpx.get(f"{found.url}/data/local-files/?d=../secret.json", headers={"Authorization": f"Token {server.secret(place).token}"})
    assert media.status_code >= 400 and server.secret(place).password not in media.text


def test_a_second_start_and_a_taken_port_say_so(running):
    host, found = running
    with pytest.raises(EthoLoopError, match=f"runs already at {found.url}"):
        server.start(host, free_port())
    with pytest.raises(EthoLoopError, match=f"port {found.port} is taken"):
        server.refuse_taken(found.port)


def test_the_ethogram_changes_and_answers_in_old_words_are_taken(project):
    """The server keeps words that labels hold, so the screen has them too; labels come in the words of today."""
    from studio_live import add_video

    from etholoop.commands import labels_behaviours
    from etholoop.core.ethogram_changes import WordChange

    add_video(project)
    bouts = [{"behaviour": "walk", "start": 0, "stop": 30}, {"behaviour": "sniff", "start": 10, "stop": 40}]
    (project / "windows.json").write_text(json.dumps([{"video_id": "arena", "start_frame": 0, "stop_frame": 60, "bouts": bouts}]))
    order = Order("behaviour", windows=project / "windows.json", media="http://media.invalid/")
    labels_push.push(project, order)
    with label_studio.connect(project) as client:
        number = number_of(project, client, "behaviour")
        assert submit_untouched(client, number) == 1
        labels_pull.pull(project)
        labels_behaviours.change(project, WordChange("rename", "sniff", "smell"), {})
        labels_behaviours.change(project, WordChange("remove", "walk", ""), {})
        labels_behaviours.change(project, WordChange("add", "", "rear"), {"definition": "stands up"})
        labels_push.push(project, order)
        screen = client.project(number)["label_config"]
    assert all(f'value="{word}"' in screen for word in ("rear", "smell", "sniff", "walk"))
    pulled = labels_pull.pull(project)
    assert pulled.refused == [] and not pulled.changes
    assert not any("is not the one of" in remark for remark in pulled.remarks)
    (record,) = snapshot.read(project.snapshot).behaviours
    assert [(bout["behaviour"], bout["start"], bout["stop"]) for bout in record["bouts"]] == [("smell", 10, 40)]


def test_labels_of_cut_and_padded_pictures_come_back_in_source_pixels(project):
    """`normalise` cut frame 0 to its middle and padded frame 1; nothing is touched by the annotator."""
    cut = {"width": 500, "height": 400, "affine": [1.0, 0.0, -55.0, 0.0, 1.0, -60.0]}
    padded = {"width": 400, "height": 400, "affine": [0.625, 0.0, 0.0, 0.0, 0.625, 50.0]}
    write_tasks(project, [question(0, "batch", 0) | {"picture": cut}, question(1, "batch", 1) | {"picture": padded}])
    labels_push.push(project, ELSEWHERE)
    with label_studio.connect(project) as client:
        assert submit_untouched(client, number_of(project, client)) == 2
    pulled = labels_pull.pull(project)
    assert pulled.refused == [] and pulled.remarks == []
    for number, record in enumerate(snapshot.read(project.snapshot).frames):
        for instance, animal in zip(record["instances"], animals(number), strict=True):
            assert instance["box"] == pytest.approx(animal["box"], abs=0.01)
            assert {name: place[:2] for name, place in instance["keypoints"].items()} == {
                name: pytest.approx(place[:2], abs=0.01) for name, place in animal["keypoints"].items()
            }


# the last one: it leaves two people of one name on the server that all tests of this file share
def test_new_people_are_invited_and_named(project):
    with label_studio.connect(project) as client:
        client.sign_up("anna@lab.example", "a-long-password-1")
        names = labels_pull.names_of_users(project, client.users())
        assert sorted(names.values()) == ["anna", "etholoop"]
        client.sign_up("anna@other.example", "a-long-password-2")
        with pytest.raises(EthoLoopError, match="'anna' would stand for"):
            labels_pull.names_of_users(project, client.users())
        Path(project.root / "label_studio/annotators.yaml").write_text("anna@other.example: anna-b\n")
        assert sorted(labels_pull.names_of_users(project, client.users()).values()) == ["anna", "anna-b", "etholoop"]
