"""Behaviour labels go through `dvc repro` to bouts and figures: one animal, no pose labels at all, no network."""

import json
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from etholoop import _warm
from etholoop.commands import init, videos
from etholoop.commands.params import merge_into
from etholoop.commands.repro import repro
from etholoop.io import snapshot
from etholoop.io.video import write_video
from etholoop.project import Project
from etholoop.services import dvc, process

pytestmark = pytest.mark.slow

SPLIT = {"a": "train", "b": "train", "c": "val", "d": "test"}
N_FRAMES, BOUT = 100, 20
CHANGES = {
    "split": {"group": "session", "assign": SPLIT},
    "frames": {"per_video": 2},
    "behaviour_train": {"families": ["motion"], "settings": {"motion": {"n_pictures": 5, "lengths": [3, 5], "crop_px": 48}}},
    "behaviour_evaluate": {"n_bootstrap": 20},
}


def picture(turn: float, shade: int) -> np.ndarray:
    """A long dark animal in the middle of a light picture."""
    image = np.full((64, 64, 3), shade, np.uint8)
    image[::8] = shade - 6
    cv2.ellipse(image, ((32.0, 32.0), (34.0, 14.0), float(np.degrees(turn))), (70, 50, 40), -1, cv2.LINE_AA)
    return image


def script(name: str) -> list[str]:
    """What it does in each bout: it turns round (locomote) or lies still (rest)."""
    order = [("rest", "locomote"), ("locomote", "rest")][ord(name) % 2]
    return [order[k % 2] for k in range(N_FRAMES // BOUT)]


def write_recording(folder: Path, name: str) -> Path:
    turning = np.repeat([behaviour == "locomote" for behaviour in script(name)], BOUT)
    turns = ord(name) + np.cumsum(0.15 * turning)
    path = folder / f"{name}.mp4"
    write_video(path, (picture(turn, 190 + 3 * (ord(name) % 5)) for turn in turns), Fraction(25))
    return path


def record(name: str) -> dict[str, object]:
    bouts = [{"behaviour": b, "start": BOUT * k, "stop": BOUT * (k + 1)} for k, b in enumerate(script(name))]
    return {"video": name, "subject": "", "annotator": "anna", "looked_at": [[0, N_FRAMES]], "bouts": bouts}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("behaviour")
    project = init.make_project(folder / "project", "demo")
    metadata = folder / "sessions.csv"
    metadata.write_text("path,session,subject,camera,start_time\n" + "".join(f"{name}.mp4,{name},,,\n" for name in SPLIT))
    videos.add(project, [write_recording(folder, name) for name in SPLIT], metadata=metadata)
    merge_into(project.params, CHANGES)
    snapshot.write(snapshot.Snapshot([], [record(name) for name in SPLIT]), project.snapshot)
    dvc.add(project, project.snapshot)
    with _warm.helpers():
        repro(project, ["report"], sync=False)
    return project


def test_a_family_learns_and_is_judged_on_a_recording_it_never_saw(project: Project) -> None:
    about = json.loads((project / "models/behaviour/families.json").read_text())["families"]["motion"]
    assert about["trained"] and about["looks_at"] == {"tracks": False, "whole": True} and about["n_train_stretches"] == 2
    figures = json.loads((project / "metrics/behaviour.json").read_text())["families"]["motion"]["test"]
    assert figures["n_frames"] == N_FRAMES and figures["accuracy_micro"] > 0.85
    bouts = pd.read_parquet(project / "data/bouts/bouts.parquet").query("video_id == 'd'").sort_values("start_frame")
    assert bouts["behaviour"].tolist() == script("d")
    assert np.abs(bouts["start_frame"].to_numpy() - np.arange(0, N_FRAMES, BOUT)).max() <= 4


def test_the_report_shows_what_was_found(project: Project) -> None:
    html = project.report.read_text()
    figures = json.loads((project / "metrics/behaviour.json").read_text())["families"]["motion"]["test"]
    assert '<section id="behaviour">' in html and "Bouts were marked by anna." in html
    assert f"Judged on 1 animal in {N_FRAMES} labelled frames of 1 recording held out." in html
    assert f'<div class="value">{figures["accuracy_micro"]:.3f}</div>' in html
    assert "Ethograms of d: what people marked above what each family says." in html


def test_a_second_run_does_nothing(project: Project) -> None:
    assert "Running stage" not in process.run(["dvc", "repro", "report"], project.root)


def test_another_setting_of_the_family_trains_again_and_nothing_before_it(project: Project) -> None:
    before = project.params.read_text()
    merge_into(project.params, {"behaviour_train": {"settings": {"motion": {"per_bout": 7}}}})
    try:
        changed = set(dvc.status(project))
    finally:
        project.params.write_text(before)
    assert "behaviour_train" in changed and not changed & {"behaviour_dataset", "track", "miniscenes"}
