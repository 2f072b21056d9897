"""``etholoop videos verify``: right files pass, wrong frames are printed and end with 1, peculiarities are said in words."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from etholoop.commands import videos as commands
from etholoop.errors import FaultsError
from etholoop.io import video
from etholoop.project import Project
from etholoop.simulation import corpus
from etholoop.stages import manifest

KINDS = {kind.name: kind for kind in corpus.KINDS}


def run(*arguments: str):
    app = typer.Typer()
    commands.register(app)
    return CliRunner().invoke(app, ["videos", "verify", *map(str, arguments)])


def write(folder: Path, name: str, n_frames: int = 48) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    KINDS[name].make(folder / name, range(n_frames))
    return folder / name


@pytest.fixture
def outside(tmp_path, monkeypatch) -> Path:
    """A folder that is no project."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def table(output: str) -> dict[str, list[str]]:
    """Cells of each file by its name; the head has more cells, for one name is two words."""
    return {cells[0]: cells[1:] for cells in (line.split() for line in output.splitlines()) if len(cells) == 7}


def test_right_files_pass_outside_a_project(outside):
    write(outside / "rec", "h264_b_frames.mp4")
    write(outside / "rec/sub", "mjpeg.avi")
    done = run("rec", "--accesses", 9)
    assert done.exit_code == 0, done.output
    rows = table(done.output)
    assert rows["rec/h264_b_frames.mp4"][:4] == ["48", "48", "0", "9"]
    assert rows["rec/sub/mjpeg.avi"][-1] == "0"
    assert "frames compared are right" in done.output


def test_a_file_is_checked_once(outside):
    path = write(outside, "mjpeg.avi")
    assert len(table(run(path, outside, "--accesses", 1).output)) == 1


def test_peculiarities_are_said_in_words(outside):
    write(outside, "mpeg4_claims_more.avi")
    write(outside, "h264_starts_late.mkv")
    write(outside, "h264_raw.h264")
    write(outside, "h264_vfr.mp4")
    done = run(".", "--accesses", 1)
    assert done.exit_code == 0, done.output
    claimed = corpus.N_FRAMES + 99
    assert f"mpeg4_claims_more.avi:\n  the header claims {claimed} frames, the file holds 48\n" in done.output
    assert "h264_starts_late.mkv:\n  the first frame is at 5.000 s of the file's clock" in done.output
    assert "h264_raw.h264:\n  no usable times" in done.output
    assert "h264_vfr.mp4:\n  the frame rate varies" in done.output


def test_gaps_are_shown(outside):
    path = write(outside, "mpeg4_hit.avi", 120)
    done = run(path, "--accesses", 9)
    assert done.exit_code == 0, done.output
    gaps = video.probe(path)[1].gaps
    assert gaps
    for gap in gaps:
        assert f"{gap.stop_frame - 1} cannot be used ({gap.reason})" in done.output
    assert int(table(done.output)[str(path)][2]) == sum(gap.stop_frame - gap.start_frame for gap in gaps)


def test_a_wrong_frame_is_printed_and_ends_with_1(outside, monkeypatch):
    path = write(outside, "h264_b_frames.mp4")
    monkeypatch.setattr(video.VideoReader, "__getitem__", lambda self, key: next(self.read([7]))[1])
    done = run(path, "--accesses", 9)
    assert done.exit_code == 1
    assert "(reused), got frame 7" in done.output
    assert "1 of 1 files failed" in done.output


def test_json_has_everything(outside, monkeypatch):
    path = write(outside, "mpeg4_claims_more.avi")
    (outside / "text.mp4").write_text("no video")
    monkeypatch.setattr(video.VideoReader, "__getitem__", lambda self, key: next(self.read([7]))[1])
    done = run(path, outside / "text.mp4", "--accesses", 9, "--json")
    assert done.exit_code == 1
    first, second = json.loads(done.stdout)
    assert (first["n_frames"], first["n_frames_header"], first["accesses"], first["right"]) == (48, corpus.N_FRAMES + 99, 9, False)
    assert {"way": "reused", "got": "frame 7"}.items() <= next(fault for fault in first["wrong"] if fault["way"] == "reused").items()
    assert not second["right"] and "not a readable video" in second["fault"]


def test_a_file_that_is_no_video_fails_and_the_others_are_still_checked(outside):
    (outside / "a.mp4").write_text("no video")
    write(outside, "mjpeg.avi")
    done = run(outside, "--accesses", 1)
    assert done.exit_code == 1
    assert "not a readable video" in done.output
    assert table(done.output)[f"{outside}/mjpeg.avi"][-1] == "0"


def test_all_unknown_names_are_listed(outside):
    done = run("nothing.mp4", "cage7")
    assert isinstance(done.exception, FaultsError)
    assert [fault.split(":")[0] for fault in done.exception.faults] == ["nothing.mp4", "cage7"]


def test_ids_of_a_project_and_its_stored_index(outside):
    for name in ("dvc.yaml", "params.yaml"):
        (outside / name).touch()
    project = Project(outside)
    write(project.raw_videos / "day 1", "h264_b_frames.mp4")
    write(project.raw_videos, "mjpeg.avi")
    manifest.run(project, manifest.Params())
    everything = run("--accesses", 1)
    assert everything.exit_code == 0, everything.output
    ids = {"day-1-h264_b_frames", "mjpeg"}
    assert set(table(everything.output)) == ids
    assert set(table(run("mjpeg", "--accesses", 1).output)) == {"mjpeg"}


def test_a_project_without_videos_says_what_to_do(outside):
    done = run()
    assert done.exit_code == 0
    assert "no videos to check" in done.output


def test_help_has_examples():
    assert "etholoop videos verify" in run("--help").output
