"""A person at the screen: draws, corrects, ticks, marks a bout and submits; `labels pull` yields exactly those pixels and frames."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from studio_live import add_video, animals, browser_python, chromium, make_project, start_or_skip, without_dvc

from etholoop.commands import labels_pull, labels_push
from etholoop.commands.labels_push import Order
from etholoop.io import snapshot
from etholoop.services import label_studio, label_studio_project
from etholoop.services import label_studio_server as server

pytestmark = pytest.mark.slow

WINDOW = {
    "video_id": "arena", "start_frame": 10, "stop_frame": 110, "score": 0.4, "reason": "low margin",
    "bouts": [{"behaviour": "walk", "start": 10, "stop": 30}, {"behaviour": "sniff", "start": 100, "stop": 110}],
}  # fmt: skip


@pytest.fixture(scope="module")
def worked_on(tmp_path_factory):
    """A project in which Chromium has answered four tasks; the project, what the browser said, and what was pulled."""
    python, chrome = browser_python(), chromium()
    with pytest.MonkeyPatch.context() as patch:
        for name in (label_studio.URL_VARIABLE, label_studio.TOKEN_VARIABLE):
            patch.delenv(name, raising=False)
        without_dvc(patch)
        project = make_project(tmp_path_factory.mktemp("browser") / "mice", n_frames=2, n_held_out=2)
        add_video(project)
        (project / "windows.json").write_text(json.dumps([WINDOW]))
        found = start_or_skip(project)
        try:
            orders = [Order(), Order("held_out"), Order("behaviour", windows=project / "windows.json")]
            for order in orders:
                labels_push.push(project, order)
            yield project, _browse(project, python, chrome, found.url), labels_pull.pull(project)
        finally:
            server.stop(server.place(project))


def _browse(project, python, chrome, url):
    login = server.secret(server.place(project))
    with label_studio.connect(project) as client:
        key = labels_push.project_key(project)
        numbers = {kind: label_studio_project.find(client, key, kind)["id"] for kind in ("frame", "behaviour")}
        frames = {task["data"]["uid"]: task["id"] for task in client.task_list(numbers["frame"])}
        window = client.task_list(numbers["behaviour"])[0]["id"]
    nose = animals(0)[0]["keypoints"]["nose"][:2]
    order = {"url": url, "email": login.email, "password": login.password, "chromium": chrome}
    order |= {"frames": numbers["frame"], "behaviour": numbers["behaviour"], "pictures": os.environ.get("ETHOLOOP_SCREENSHOTS", "")}
    order |= {"draw": frames["cage1:00001000"], "no_animal": frames["cage1:00001001"], "bout_task": window, "bout": [25, 30], "key": "2"}
    order["correct"] = {"task": frames["cage1:00000000"], "from": nose, "to": [nose[0] + 25, nose[1] - 12]}
    script = Path(__file__).with_name("drive_browser.py")
    done = subprocess.run([python, str(script), json.dumps(order)], capture_output=True, text=True, check=False, timeout=400)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def record_of(project, uid):
    return next(record for record in snapshot.read(project.snapshot).frames if record["uid"] == uid)


def test_everything_submitted_came(worked_on):
    _, browser, pulled = worked_on
    assert pulled.refused == [] and pulled.counts["taken"] == 4
    assert browser["drawn"]["undone"], "Ctrl+Z took the slip back"


def test_what_was_drawn_has_exactly_those_pixels(worked_on):
    project, _, _ = worked_on
    record = record_of(project, "cage1:00001000")
    assert record["instances"] == [
        {"class": "mouse", "box": [100, 120, 300, 260], "identity": None, "keypoints": {"nose": [150, 150, 2], "tail": [251, 221, 1]}}
    ]


def test_a_corrected_point_moved_by_as_much_as_the_hand_and_nothing_else_did(worked_on):
    project, browser, _ = worked_on
    assert browser["corrected"]["drawn_in"] == 6
    record = record_of(project, "cage1:00000000")
    first, second = animals(0)
    x, y, _ = first["keypoints"]["nose"]
    assert record["instances"][0]["keypoints"]["nose"] == pytest.approx([x + 25, y - 12, 2], abs=0.01)
    assert record["instances"][0]["keypoints"]["tail"] == [*first["keypoints"]["tail"][:2], 2]
    assert record["instances"][0]["box"] == first["box"]
    assert record["instances"][1]["box"] == second["box"]
    assert record["instances"][1]["keypoints"] == {name: [px, py, 2] for name, (px, py, _) in second["keypoints"].items()}


def test_a_frame_ticked_as_empty_says_so(worked_on):
    project, _, _ = worked_on
    assert record_of(project, "cage1:00001001")["status"] == "no_animal"


def test_a_bout_drawn_on_the_timeline_has_exactly_those_frames(worked_on):
    project, browser, _ = worked_on
    assert browser["bout"]["frames_shown"] == 100, "the player sees every frame of the window"
    (record,) = snapshot.read(project.snapshot).behaviours
    assert record["looked_at"] == [[10, 110]]
    # frames 25 to 30 of the proxy, counted from 1 with both ends, are frames 34 to 39 of the recording
    assert record["bouts"] == [
        {"behaviour": "walk", "start": 10, "stop": 30},
        {"behaviour": "rest", "start": 34, "stop": 40},
        {"behaviour": "sniff", "start": 100, "stop": 110},
    ]
