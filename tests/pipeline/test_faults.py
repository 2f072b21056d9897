"""Faults as a person meets them: what is typed, what is said, what is left behind."""

import contextlib
import io
import json
import os
import resource
import shutil
import subprocess
import sys
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from etholoop import __main__ as program
from etholoop.commands.init import make_project
from etholoop.io import atomic
from etholoop.io.video import write_video
from etholoop.project import Project


def film(path: Path, level: int = 0) -> Path:
    rng = np.random.default_rng(level)
    write_video(path, (rng.integers(0, 255, (64, 96, 3), np.uint8) for _ in range(20)), Fraction(25))
    return path


@pytest.fixture(scope="module")
def video(tmp_path_factory) -> Path:
    return film(tmp_path_factory.mktemp("videos") / "cage.mp4")


@pytest.fixture(scope="module")
def empty(tmp_path_factory) -> Project:
    """A project in which nothing has happened."""
    return make_project(tmp_path_factory.mktemp("faults") / "project", "openfield")


@pytest.fixture(scope="module")
def looked_at(tmp_path_factory, empty, video) -> Project:
    """A project with one video of 20 frames, 96 x 64, that the manifest knows."""
    project = copy_of(empty, tmp_path_factory.mktemp("one") / "project")
    assert typed(project.root, "videos", "add", str(video)).code == 0
    assert typed(project.root, "stage", "manifest").code == 0
    return project


@pytest.fixture
def project(tmp_path, looked_at) -> Project:
    return copy_of(looked_at, tmp_path / "project")


def copy_of(project: Project, folder: Path) -> Project:
    shutil.copytree(project.root, folder)
    return Project(folder)


@dataclass
class Answer:
    """What the program said; ``code`` is its exit status."""

    code: int
    out: str
    err: str


def typed(folder: Path, *arguments: str) -> Answer:
    """Type a command, in this process: exactly what the program does, without starting it."""
    before, words, environment = Path.cwd(), sys.argv, os.environ.get("ETHOLOOP_CODE")
    out, err = io.StringIO(), io.StringIO()
    code: object = 0
    os.chdir(folder)
    sys.argv = ["etholoop", *arguments]
    os.environ["ETHOLOOP_CODE"] = str(folder / "src")  # the project's own code is this code
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            program.main()
    except SystemExit as stop:
        code = stop.code or 0
    finally:
        os.chdir(before)
        sys.argv = words
        os.environ.pop("ETHOLOOP_CODE")
        if environment is not None:
            os.environ["ETHOLOOP_CODE"] = environment
    if isinstance(code, int):
        return Answer(code, out.getvalue(), err.getvalue())
    return Answer(1, out.getvalue(), f"{err.getvalue()}{code}\n")


def started(folder: Path, *arguments: str, file_limit: int | None = None) -> Answer:
    """Start the program for a command; ``file_limit`` bytes is where the disk is full."""

    def limit() -> None:
        if file_limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))

    command = [sys.executable, "-m", "etholoop", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=os.environ, preexec_fn=limit)
    return Answer(done.returncode, done.stdout, done.stderr)


def files_below(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def inputs(project: Project) -> dict[str, bytes]:
    """Everything that people made or that says what they made."""
    return files_below(project / "data/raw") | files_below(project / "label_studio") | files_below(project / "models/init")


def refused(answer: Answer, *words: str) -> None:
    """One clear message and a status that scripts see."""
    assert answer.code == 1
    assert "Traceback" not in answer.err
    assert [word for word in words if word not in answer.err] == [], answer.err


# --- videos ------------------------------------------------------------------------------------------------------------------------


def test_outside_a_project_it_says_how_to_make_one(tmp_path):
    refused(started(tmp_path, "repro"), "etholoop init")


def test_zero_videos_stop_at_the_first_gate_with_what_to_type(empty, tmp_path):
    project = copy_of(empty, tmp_path / "project")
    answer = started(project.root, "repro", "--no-sync")
    refused(answer, "etholoop videos add")
    assert not (project / "data/frames").exists()


def test_broken_files_are_put_aside_with_the_reason_and_stop_nothing(project, video, tmp_path):
    whole = film(tmp_path / "cut.mp4", 3).read_bytes()
    broken = {"empty.mp4": b"", "cut.mp4": whole[: len(whole) // 2], "text.mp4": b"this is no video", "cage; $(rm) `x`.mp4": b"\0" * 500}
    for name, content in broken.items():
        (tmp_path / name).write_bytes(content)
    assert typed(project.root, "videos", "check", *(str(tmp_path / name) for name in broken)).code == 1
    assert typed(project.root, "videos", "add", *(str(tmp_path / name) for name in broken)).code == 0
    listed = typed(project.root, "videos", "list").out
    assert "not looked at yet (4)" in listed
    assert typed(project.root, "stage", "manifest").code == 0
    listed = typed(project.root, "videos", "list").out
    assert all(f"videos/{name}: " in listed for name in broken if name != "cut.mp4")
    assert "cut" in listed, "put aside, or kept for the frames that are whole"
    assert "videos/empty.mp4: empty." in listed
    assert "videos/text.mp4: not_a_video." in listed
    assert listed.splitlines()[1].split()[:3] == ["cage", "cage", "20"], "the good one is untouched"


def test_a_good_video_whose_name_is_made_for_a_shell_gets_a_harmless_id(project, tmp_path):
    film(tmp_path / "a; rm -rf $HOME & `x` 'y'.mp4", 4)
    assert typed(project.root, "videos", "add", str(tmp_path / "a; rm -rf $HOME & `x` 'y'.mp4")).code == 0
    assert typed(project.root, "stage", "manifest").code == 0
    assert "a-rm-rf-home-x-y " in typed(project.root, "videos", "list").out


def test_two_videos_of_one_name(project, tmp_path):
    before = inputs(project)
    refused(typed(project.root, "videos", "add", str(film(tmp_path / "cage.mp4", 5))), "exists with other content", "--as")
    refused(typed(project.root, "videos", "add", str(film(tmp_path / "CAGE.avi", 5))), "its id 'cage' is that of data/raw/videos/cage.mp4")
    one, two = film(tmp_path / "one/v.mp4", 6), film(tmp_path / "two/v.mp4", 7)
    refused(typed(project.root, "videos", "add", str(one), str(two)), "would get the same name videos/v.mp4")
    assert inputs(project) == before
    assert typed(project.root, "videos", "add", str(tmp_path / "two"), "--as", "two").code == 0
    assert (project.raw_videos / "two/v.mp4").read_bytes() == two.read_bytes()


def test_the_same_video_under_another_name_never_takes_the_place_of_the_first(project, video, tmp_path):
    """By its name it would come first, and labels of the other would have no source."""
    shutil.copyfile(video, tmp_path / "aaa.mp4")
    before = files_below(project / "data/raw")
    answer = typed(project.root, "videos", "add", str(tmp_path / "aaa.mp4"))
    assert answer.code == 0
    assert "same content as data/raw/videos/cage.mp4" in answer.out
    assert files_below(project / "data/raw") == before


def test_a_missing_file_is_named(project):
    refused(typed(project.root, "videos", "add", "nowhere.mp4"), "nowhere.mp4: not found", "Nothing has been added.")


def test_metadata_of_a_video_that_is_not_there(project, tmp_path):
    before = inputs(project)
    (tmp_path / "sessions.csv").write_text("path,session\ncagge.mp4,monday\n")
    answer = typed(project.root, "videos", "add", str(film(tmp_path / "b.mp4", 8)), "--metadata", str(tmp_path / "sessions.csv"))
    refused(answer, "row 2", "did you mean 'videos/cage.mp4'?")
    assert inputs(project) == before


# --- labels ------------------------------------------------------------------------------------------------------------------------


def animal(**changes) -> dict:
    return {"class": "mouse", "box": [10, 10, 50, 40], "identity": None, "keypoints": {"snout": [12, 20, 2]}} | changes


def frame(uid: str = "cage:00000003", **changes) -> dict:
    return {"uid": uid, "annotator": "anna", "status": "animals", "note": "", "instances": [animal()]} | changes


def behaviour(name: str, **changes) -> dict:
    bouts = [{"behaviour": name, "start": 2, "stop": 5}]
    return {"video": "cage", "subject": "", "annotator": "anna", "looked_at": [[0, 20]], "bouts": bouts} | changes


def snapshot(*frames: dict, behaviours: tuple[dict, ...] = ()) -> str:
    return json.dumps({"format": "etholoop-snapshot/1", "frames": list(frames), "behaviours": list(behaviours)})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (snapshot(frame("cage:00000020")), "frame 20 does not exist; the video has 20 frames"),
        (snapshot(frame("cagge:00000003")), "there is no source 'cagge'; did you mean 'cage'?"),
        (snapshot(frame(instances=[animal(keypoints={"snot": [1, 1, 2]})])), "unknown keypoint 'snot'; did you mean 'snout'?"),
        (snapshot(frame(instances=[animal(**{"class": "rat"})])), "unknown class 'rat'"),
        (snapshot(behaviours=(behaviour("flying"),)), "unknown behaviour 'flying'"),
        (snapshot(frame(instances=[animal(box=[10, 10, 500, 40])])), "goes beyond the 96 x 64 image"),
        (snapshot(frame(instances=[animal(box=[200, 200, 300, 300])])), "lies outside of the 96 x 64 image"),
        (snapshot(frame(), frame()), "labelled twice by the same annotator"),
        (snapshot(frame(instances=[animal(box=[float("nan"), 10, 50, 40])])), "is not finite"),
        (snapshot(frame(instances=[animal(keypoints={"snout": [float("nan"), 1, 2]})])), "is not finite; a missing keypoint is left out"),
        (snapshot(frame())[:150], "the file is cut off"),
        ("", "the file is empty"),
    ],
)
def test_a_label_that_cannot_be_true_stops_the_stage_with_its_place(project, text, words):
    project.snapshot.unlink()
    project.snapshot.write_text(text)
    before = inputs(project)
    refused(typed(project.root, "stage", "annotations"), "snapshot.json", words)
    assert inputs(project) == before
    assert not project.annotations.exists()


def annotation_json(folder: Path, name: str, **changes) -> str:
    folder.mkdir(exist_ok=True)
    box = dict(zip(("x1", "y1", "x2", "y2"), (10, 10, 50, 40), strict=True))
    entry = {"bbox": box, "keypoints": {"snout": [12, 20, 2]}, "mAnnotated": True} | changes
    (folder / "annotation.json").write_text(json.dumps({name: [entry]}))
    return str(folder)


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        ("cage_frame_20.jpg", {}, "frame 20 does not exist"),
        ("cagge_frame_3.jpg", {}, "no such source; did you mean 'cage'?"),
        ("elsewhere_frame_3.jpg", {}, "`etholoop videos add PATH` first"),
        ("cage_frame_3.jpg", {"keypoints": {"snot": [1, 1, 2]}}, "did you mean 'snout'?"),
        ("cage_frame_3.jpg", {"bbox": {"x1": 10, "y1": 10, "x2": 500, "y2": 40}}, "goes beyond the 96 x 64 image"),
        ("cage_frame_3.jpg", {"bbox": {"x1": float("nan"), "y1": 10, "x2": 50, "y2": 40}}, "finite"),
        ("cage_frame_3.jpg", {"keypoints": {"snout": [float("inf"), 1, 2]}}, "[inf, 1, 2]"),
        ("three.jpg", {}, "does not tell video and frame"),
    ],
)
def test_an_import_with_a_fault_changes_nothing(project, tmp_path, name, changes, words):
    before = inputs(project)
    folder = annotation_json(tmp_path / "labels", name, **changes)
    refused(typed(project.root, "labels", "import", "behavtrack", folder), words)
    assert inputs(project) == before


def test_a_label_file_cut_in_half_changes_nothing(project, tmp_path):
    folder = Path(annotation_json(tmp_path / "labels", "cage_frame_3.jpg"))
    text = (folder / "annotation.json").read_text()
    (folder / "annotation.json").write_text(text[: len(text) // 2])
    before = inputs(project)
    refused(typed(project.root, "labels", "import", "behavtrack", str(folder)), "annotation.json: not JSON", "cut off")
    assert inputs(project) == before


def test_labels_go_in_once_and_out_again(project, tmp_path):
    folder = annotation_json(tmp_path / "labels", "cage_frame_3.jpg")
    assert "1 new" in typed(project.root, "labels", "import", "behavtrack", folder).out
    before = inputs(project)
    assert "0 new, 0 changed" in typed(project.root, "labels", "import", "behavtrack", folder).out
    assert inputs(project) == before
    assert typed(project.root, "labels", "export", "yolo", str(tmp_path / "out")).code == 0
    assert "1 new" in typed(project.root, "labels", "import", "yolo", str(tmp_path / "out"), "--annotator", "ben").out


# --- weights and parameters --------------------------------------------------------------------------------------------------------


def test_a_checkpoint_cut_in_half_does_not_come_in(project, tmp_path):
    import torch

    torch.save({"weights": torch.zeros(1000)}, tmp_path / "whole.pt")
    content = (tmp_path / "whole.pt").read_bytes()
    (tmp_path / "half.pt").write_bytes(content[: len(content) // 2])
    before = inputs(project)
    refused(typed(project.root, "weights", "add", str(tmp_path / "half.pt")), "half.pt: not a whole PyTorch file", "Nothing was copied.")
    assert inputs(project) == before


def test_all_faults_of_the_parameters_are_told_before_any_work(project):
    text = project.params.read_text()
    text = text.replace("strategy: uniform", "strategy: unifrom").replace("test: 0.2", "test: 2").replace("acquisition:", "aquisition:")
    project.params.write_text(f"{text}\nframs: {{}}\n")
    for command in (("params", "check"), ("repro",)):
        answer = typed(project.root, *command)
        refused(answer, "4 faults", "unknown sampling 'unifrom'; did you mean 'uniform'?", "split.test", "did you mean 'acquisition'?")
        assert "unknown section 'frams'; did you mean 'frames'?" in answer.err
        assert max(map(len, answer.err.splitlines())) < 200, "a fault is a sentence, not the whole section"


def test_a_dry_run_of_a_new_project_says_what_would_run(empty):
    before = files_below(empty.root)
    answer = typed(empty.root, "repro", "--dry-run")
    assert answer.code == 0
    lines = [line.split(maxsplit=1) for line in answer.out.splitlines()[1:]]
    assert lines[0] == ["manifest", "not made yet"]
    assert lines[-1] == ["report", "not made yet"]
    assert {name for name in files_below(empty.root) if not name.startswith((".dvc/", "mlruns"))} == {
        name for name in before if not name.startswith((".dvc/", "mlruns"))
    }
    refused(typed(empty.root, "repro", "--dry-run", "manifes"), "did you mean 'manifest'?")


def test_an_unknown_stage_names_the_nearest(project):
    refused(typed(project.root, "stage", "manifes"), "did you mean 'manifest'")


# --- a full disk -------------------------------------------------------------------------------------------------------------------


def test_a_full_disk_while_adding_a_video_leaves_nothing_half_written(project, tmp_path):
    other = film(tmp_path / "other.mp4", 9)
    before = inputs(project)
    refused(started(project.root, "videos", "add", str(other), file_limit=other.stat().st_size // 2), "File too large")
    assert inputs(project) == before


def test_a_full_disk_while_importing_labels_leaves_the_old_snapshot(project, tmp_path):
    folder = annotation_json(tmp_path / "labels", "cage_frame_3.jpg")
    before = inputs(project)
    refused(started(project.root, "labels", "import", "behavtrack", folder, file_limit=60), "snapshot.json")
    assert inputs(project) == before


def test_a_full_disk_in_a_stage_leaves_its_old_output(project):
    typed(project.root, "stage", "split")
    before = files_below(project / "data/manifest")
    shutil.rmtree(project.memo)
    refused(started(project.root, "stage", "manifest", file_limit=200))
    assert files_below(project / "data/manifest") == before
    assert [path for path in project.memo.rglob(".*") if atomic.TEMPORARY.match(path.name)] == []
    assert typed(project.root, "stage", "manifest").code == 0
    assert files_below(project / "data/manifest") == before


def test_help_wakes_no_heavy_library(tmp_path):
    code = (
        "import sys; from etholoop.__main__ import build_app; build_app(); "
        "heavy = {'torch', 'pandas', 'numpy', 'cv2', 'av', 'mlflow', 'ultralytics', 'great_expectations', 'fiftyone', 'dvc', 'pandera'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True, env=os.environ)
    assert done.stdout.strip() == "[]"
