"""The whole human loop with nothing replaced: recordings, pipeline, a real labelling server, two people, closing, and back again."""

import json

import httpx
import pytest
import yaml
from studio_live import start_or_skip

from etholoop.commands import _cycle_return as cycles
from etholoop.commands import cycle, labels_agreement, labels_pull, labels_push, simulate
from etholoop.commands.labels_push import Order
from etholoop.commands.repro import repro
from etholoop.io import label_studio_tasks, snapshot
from etholoop.services import dvc, git, label_studio, label_studio_project
from etholoop.services import label_studio_server as server
from etholoop.simulation import oracle

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

WORLD = simulate.World(seed=3, n_sessions=5, n_frames=25, batch_size=12, noise="none")
TINY = {
    "frames": {"per_video": 10},
    "pose_train": {"settings": {"arch": "yolo11n-pose", "imgsz": 64, "epochs": 2, "batch": 4, "threads": 1, "mosaic": 0.0}},
    "refine_train": {"settings": {"epochs": 2, "epoch_steps": 10}},
    "evaluate": {"n_bootstrap": 50},
    "select": {"held_out_per_video": 3, "min_gap_s": 0.1},
}
PASSWORDS = {"anna": "anna-needs-a-long-one", "ben": "ben-needs-a-long-one"}


class Person:
    """Someone with a browser of their own: logs in by the form, submits as the page does."""

    def __init__(self, url: str, name: str):
        self.http = httpx.Client(base_url=url, timeout=120, follow_redirects=True)
        self.http.get("/user/login/")
        form = {"email": f"{name}@lab.example", "password": PASSWORDS[name], "csrfmiddlewaretoken": self.http.cookies["csrftoken"]}
        self.http.post("/user/login/", data=form, headers={"Referer": f"{url}/user/login/"}).raise_for_status()
        assert self.http.get("/api/current-user/whoami").json()["email"] == form["email"]

    def submit(self, task: int, result: list[dict]) -> None:
        headers = {"X-CSRFToken": self.http.cookies["csrftoken"], "Referer": str(self.http.base_url)}
        self.http.post(f"/api/tasks/{task}/annotations", json={"result": result}, headers=headers).raise_for_status()


def label(project, scenes, people, url):
    """Each open task is answered with the truth by those it was given to; how many answers there were."""
    with label_studio.connect(project) as client:
        number = label_studio_project.find(client, labels_push.project_key(project), "frame")["id"]
        tasks = [task for task in client.task_list(number) if not task["total_annotations"]]
    done = 0
    for task in tasks:
        data = task["data"]
        (truth,) = oracle.answer([(data["video_id"], data["frame"])], scenes, annotator="x", noise=None, seed=WORLD.seed)
        for name in people:
            if f"[{name}]" in data["assigned_to"]:
                people[name].submit(task["id"], label_studio_tasks.results_of_frame(truth, data))
                done += 1
    return done


def bytes_of(project):
    """Digests of every output of every stage, of the labels and of the weights."""
    outs = {out["path"]: out["md5"] for entry in dvc.lock(project).values() for out in entry.get("outs", [])}
    return outs | {"snapshot": dvc.file_md5(project.snapshot), "weights": dvc.file_md5(project.pose_model / "best.pt")}


def test_the_whole_loop_with_two_people_and_back(tmp_path, monkeypatch):
    for name in (label_studio.URL_VARIABLE, label_studio.TOKEN_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    project, scenes = simulate.make_project(tmp_path / "project", WORLD, TINY)
    repro(project, sync=False)
    found = start_or_skip(project)
    try:
        with label_studio.connect(project) as client:
            for name, password in PASSWORDS.items():
                client.sign_up(f"{name}@lab.example", password)
        people = {name: Person(found.url, name) for name in PASSWORDS}
        states = {}
        for number in ("c001", "c002"):
            both = {"annotators": tuple(PASSWORDS), "double": 0.25}
            for purpose in ("batch", "held_out") if number == "c001" else ("batch",):
                n_asked = labels_push.push(project, Order(purpose, **both)).frozen
            assert n_asked > 0
            n_answers = label(project, scenes, people, found.url)
            assert n_answers > n_asked, "some were asked twice"
            pulled = labels_pull.pull(project)
            assert pulled.refused == [] and len(pulled.changes) == n_answers
            figures, disputed = labels_agreement.agreement(project)
            assert [figure.value for figure in figures if figure.name == "box IoU"] == [pytest.approx(1.0, abs=1e-6)] and disputed == []
            repro(project)
            assert dvc.status(project) == {}
            ledger = cycle.close(project)
            assert (ledger["cycle"], ledger["labels"]["frames"]) == (
                number,
                len({r["uid"] for r in snapshot.read(project.snapshot).frames}),
            )
            cycles.restore(project, number)
            states[number] = bytes_of(project)
            cycles.reopen(project)
            repro(project, sync=False)  # the next batch
            git.commit(project, "Next batch")
    finally:
        server.stop(server.place(project))
    newest = bytes_of(project)
    for number, expected in states.items():
        cycles.restore(project, number)
        assert dvc.status(project) == {} and git.dirty(project) == []
        assert bytes_of(project) == expected
        assert yaml.safe_load(project.params.read_text())["cycle"]["id"] == number
    assert states["c001"]["snapshot"] != states["c002"]["snapshot"]
    cycles.reopen(project)
    assert bytes_of(project) == newest
    assert json.loads((project.cycles / "c002.json").read_text())["cycle"] == "c002"
    assert "labelled frames" in "\n".join(cycles.compare(project, "c001", "c002"))
