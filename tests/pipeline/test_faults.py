"""Faults as a person meets them: what is typed, what is said, what is left behind."""

import os
import resource
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from etholoop.commands.init import make_project
from etholoop.io.video import write_video
from etholoop.project import Project


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> Project:
    return make_project(tmp_path_factory.mktemp("faults") / "project", "openfield")


@pytest.fixture(scope="module")
def video(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("videos") / "cage.mp4"
    rng = np.random.default_rng(0)
    write_video(path, (rng.integers(0, 255, (64, 96, 3), np.uint8) for _ in range(20)), Fraction(25))
    return path


def etholoop(folder: Path, *arguments: str, file_limit: int | None = None) -> subprocess.CompletedProcess:
    """Type a command; ``file_limit`` bytes is where the disk is full."""

    def limit() -> None:
        if file_limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))

    command = [sys.executable, "-m", "etholoop", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=os.environ, preexec_fn=limit)


def files_below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_outside_a_project_it_says_how_to_make_one(tmp_path):
    done = etholoop(tmp_path, "repro")
    assert done.returncode == 1
    assert "etholoop init" in done.stderr
    assert "Traceback" not in done.stderr


def test_zero_videos_stop_at_the_first_gate_with_what_to_type(template):
    done = etholoop(template.root, "repro", "--no-sync")
    assert done.returncode == 1
    assert "etholoop videos add" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (template / "data/frames").exists()


def test_a_full_disk_while_adding_a_video_leaves_nothing_half_written(template, video):
    before = files_below(template / "data/raw")
    done = etholoop(template.root, "videos", "add", str(video), file_limit=video.stat().st_size // 2)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert files_below(template / "data/raw") == before


def test_a_text_file_named_mp4_is_refused_and_nothing_is_added(template, tmp_path):
    fake = tmp_path / "cage9.mp4"
    fake.write_text("this is no video")
    etholoop(template.root, "videos", "add", str(fake))
    done = etholoop(template.root, "stage", "manifest")
    assert done.returncode == 0, "a broken file never stops the others"
    listing = etholoop(template.root, "videos", "list").stdout
    assert "not_a_video" in listing
    (template.raw_videos / "cage9.mp4").unlink(missing_ok=True)


def test_a_missing_file_is_named(template):
    done = etholoop(template.root, "videos", "add", "nowhere.mp4")
    assert done.returncode == 1
    assert "nowhere.mp4" in done.stderr


def test_a_snapshot_cut_in_half_is_named_and_kept(template, video):
    assert etholoop(template.root, "videos", "add", str(video)).returncode == 0
    assert etholoop(template.root, "stage", "manifest").returncode == 0
    whole = template.snapshot.read_bytes()
    half = whole[: len(whole) // 2]
    template.snapshot.unlink()
    template.snapshot.write_bytes(half)
    try:
        done = etholoop(template.root, "stage", "annotations")
        assert done.returncode == 1
        assert "snapshot.json" in done.stderr
        assert "Traceback" not in done.stderr
        assert template.snapshot.read_bytes() == half
    finally:
        template.snapshot.write_bytes(whole)


def test_an_unknown_stage_names_the_nearest(template):
    done = etholoop(template.root, "stage", "manifes")
    assert done.returncode == 1
    assert "did you mean 'manifest'" in done.stderr


def test_help_wakes_no_heavy_library(tmp_path):
    code = (
        "import sys; from etholoop.__main__ import build_app; build_app(); "
        "heavy = {'torch', 'pandas', 'numpy', 'cv2', 'av', 'mlflow', 'ultralytics', 'great_expectations', 'fiftyone', 'dvc', 'pandera'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True, env=os.environ)
    assert done.stdout.strip() == "[]"
