"""A real Label Studio server and a small project for tests; everything is made in temporary folders."""

import json
import os
import socket
from pathlib import Path

import cv2
import numpy as np
import pytest

from etholoop.errors import EthoLoopError
from etholoop.io import snapshot
from etholoop.project import Project
from etholoop.services import label_studio
from etholoop.services import label_studio_server as server

SKELETON = "species: [mouse]\nkeypoints: [nose, tail]\nanimals: 2\n"
ETHOGRAM = """behaviours:
  - {name: walk, definition: moves, exclusive_group: gait, key: "1"}
  - {name: rest, definition: stays, exclusive_group: gait, key: "2"}
  - {name: sniff, definition: smells, key: "3"}
"""
WIDTH, HEIGHT = 640, 480


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def make_project(root: Path, *, n_frames: int = 6, n_held_out: int = 2) -> Project:
    """A project as it stands after `dvc repro`: frames, and a selection with two predicted animals on each frame of the batch."""
    project = Project(root)
    texts = {
        "dvc.yaml": "",
        "params.yaml": "cycle:\n  id: c001\n",
        "label_studio/skeleton.yaml": SKELETON,
        "label_studio/ethogram.yaml": ETHOGRAM,
    }
    for name, text in texts.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    tasks = [question(number, "batch", number) for number in range(n_frames)]
    tasks += [question(1000 + number, "held_out", number) for number in range(n_held_out)]
    write_tasks(project, tasks)
    for task in tasks:
        write_picture(root / task["image"], task["frame"])
    snapshot.write(snapshot.Snapshot(), project.snapshot)
    return project


def write_tasks(project: Project, tasks: list[dict]) -> None:
    project.selection.mkdir(parents=True, exist_ok=True)
    (project.selection / "tasks.json").write_text(json.dumps(tasks))


def write_picture(path: Path, number: int) -> None:
    """A light picture with two dark bodies where the predictions say."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.full((HEIGHT, WIDTH, 3), 235, np.uint8)
    for animal in animals(number):
        x_min, y_min, x_max, y_max = (round(value) for value in animal["box"])
        cv2.ellipse(image, ((x_min + x_max) // 2, (y_min + y_max) // 2), ((x_max - x_min) // 2, (y_max - y_min) // 2), 0, 0, 360, 90, -1)
    cv2.imwrite(str(path), image)


def animals(number: int) -> list[dict]:
    """Predicted animals of a frame; no round numbers, so that lost digits would show."""
    shift = (number % 50) * 1.37
    found = []
    for x, y in ((60.13 + shift, 80.71), (360.57 + shift, 250.29)):
        points = {"nose": [round(x + 10.11, 2), round(y + 40.07, 2), 0.9], "tail": [round(x + 180.33, 2), round(y + 44.91, 2), 0.5]}
        box = [round(x, 2), round(y, 2), round(x + 190.41, 2), round(y + 90.83, 2)]
        found.append({"class": "mouse", "box": box, "confidence": 0.7, "keypoints": points})
    return found


def question(number: int, purpose: str, rank: int) -> dict:
    return {
        "frame_uid": f"cage1:{number:08d}",
        "video_id": "cage1",
        "frame": number,
        "image": f"data/frames/cage1/{number:08d}.png",
        "width": WIDTH,
        "height": HEIGHT,
        "purpose": purpose,
        "rank": rank,
        "acquisition": "margin" if purpose == "batch" else "held_out",
        "priority": None,
        "reason": "the model hesitates",
        "session": "s1",
        "predictions": animals(number) if purpose == "batch" else [],
    }


def start_or_skip(project: Project) -> server.Running:
    """The project's server on a free port; the test is skipped, with the reason, where Label Studio cannot be installed."""
    try:
        server.install()
    except EthoLoopError as error:
        pytest.skip(f"Label Studio {server.VERSION} cannot be installed here: {str(error).splitlines()[-2:]}")
    return server.start(project, free_port())[0]


def submit_untouched(client: label_studio.Client, number: int) -> int:
    """What a person does who agrees with everything drawn in: each task's prediction submitted as it is."""
    done = 0
    for task in client.task_list(number):
        for prediction in client._read("/api/predictions", {"task": task["id"]}):
            client.create_annotation(task["id"], {"result": prediction["result"], "parent_prediction": prediction["id"]})
            done += 1
    return done


def without_dvc(monkeypatch) -> list[str]:
    """Let DVC do nothing; the list tells what would have been versioned."""
    from etholoop.services import dvc

    added: list[str] = []
    monkeypatch.setattr(dvc, "add", lambda project, *paths: added.extend(path.relative_to(project.root).as_posix() for path in paths))
    return added


def use_own_cache(monkeypatch) -> None:
    for name in (label_studio.URL_VARIABLE, label_studio.TOKEN_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    assert os.environ.get(label_studio.URL_VARIABLE) is None


def add_video(project: Project, name: str = "arena", n_frames: int = 120) -> None:
    """A recording whose frames show their number, and its manifest."""
    from fractions import Fraction

    from etholoop.io.video import write_video
    from etholoop.stages import manifest

    def picture(number: int) -> np.ndarray:
        image = np.full((240, 320, 3), 230, np.uint8)
        cv2.circle(image, (20 + 2 * number, 120), 15, (60, 60, 60), -1)
        cv2.putText(image, str(number), (10, 30), cv2.FONT_HERSHEY_SIMPLEX, 1, (0, 0, 0), 2)
        return image

    project.raw_images.mkdir(parents=True, exist_ok=True)
    write_video(project.raw_videos / f"{name}.mp4", (picture(number) for number in range(n_frames)), Fraction(25))
    project.metadata.write_text("path,session,subject,camera,start_time\n")
    manifest.run(project, manifest.Params())


def browser_python() -> str:
    """An interpreter with Playwright: this one, or that of the Label Studio environment; the test is skipped where there is none."""
    import subprocess
    import sys

    for python in (sys.executable, str(server.venv_folder() / "bin/python")):
        if (
            Path(python).is_file()
            and subprocess.run([python, "-c", "import playwright.sync_api"], capture_output=True, check=False).returncode == 0
        ):
            return python
    pytest.skip("no Playwright: pip install it here or into the Label Studio environment, and install Chromium")


def chromium() -> str:
    import shutil

    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not found:
        pytest.skip("no Chromium on this machine")
    return found
