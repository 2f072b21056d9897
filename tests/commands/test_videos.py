"""``etholoop videos``: adding is all or nothing and never overwrites."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from etholoop.commands import videos as commands
from etholoop.errors import EthoLoopError, FaultsError
from etholoop.io import images, metadata, video
from etholoop.project import Project
from etholoop.services import dvc
from etholoop.stages import manifest


@pytest.fixture
def project(tmp_path, monkeypatch) -> Project:
    """A bare project; what DVC is asked to version is kept in ``project_dvc``."""
    root = tmp_path / "project"
    root.mkdir()
    for name in ("dvc.yaml", "params.yaml"):
        (root / name).touch()
    monkeypatch.chdir(root)
    return Project(root)


@pytest.fixture(autouse=True)
def versioned(monkeypatch) -> list[str]:
    paths: list[str] = []
    monkeypatch.setattr(dvc, "add", lambda project, path: paths.append(path.relative_to(project.root).as_posix()))
    monkeypatch.setattr(dvc, "share", lambda project, files: None)
    monkeypatch.setattr(dvc, "prefer_links", lambda project: None)
    return paths


@pytest.fixture
def outside(tmp_path) -> Path:
    """Videos a.mp4, sub/b.mp4 and a folder ``stills`` with two images."""
    for level, name in enumerate(("a.mp4", "sub/b.mp4")):
        video.write_video(tmp_path / "rec" / name, (np.full((32, 48, 3), 40 * level + 9 * k, np.uint8) for k in range(6)), Fraction(25))
    for number in (1, 2):
        images.write_rgb(tmp_path / f"stills/{number}.png", np.full((8, 8, 3), number, np.uint8))
    return tmp_path


def run(*arguments: str):
    app = typer.Typer()
    commands.register(app)
    return CliRunner().invoke(app, list(arguments))


def raw_files(project: Project) -> list[str]:
    raw = project / "data/raw"
    return sorted(path.relative_to(raw).as_posix() for path in raw.rglob("*") if path.is_file())


def test_add_copies_and_versions(project, outside, versioned):
    added = commands.add(project, [outside / "rec", outside / "stills"])
    assert added.new == ["images/stills/1.png", "images/stills/2.png", "videos/a.mp4", "videos/sub/b.mp4"]
    assert raw_files(project) == added.new
    assert (project.raw_videos / "a.mp4").read_bytes() == (outside / "rec/a.mp4").read_bytes()
    assert versioned == ["data/raw/images", "data/raw/videos"]


def test_adding_again_says_already_there(project, outside, versioned):
    commands.add(project, [outside / "rec/a.mp4"])
    versioned.clear()
    again = commands.add(project, [outside / "rec/a.mp4"])
    assert (again.new, again.there) == ([], ["videos/a.mp4"])
    assert versioned == ["data/raw/videos"]  # a call that was killed may have copied it without versioning it


def test_a_taken_name_is_refused_and_nothing_is_copied(project, outside):
    commands.add(project, [outside / "rec/a.mp4"])
    before = (project.raw_videos / "a.mp4").read_bytes()
    with pytest.raises(FaultsError, match=r"a\.mp4 exists with other content"):
        commands.add(project, [_renamed(outside / "rec/sub/b.mp4", "a.mp4"), outside / "stills"])
    assert raw_files(project) == ["videos/a.mp4"]
    assert (project.raw_videos / "a.mp4").read_bytes() == before
    commands.add(project, [outside / "rec/sub/a.mp4"], folder="day2")
    assert raw_files(project) == ["videos/a.mp4", "videos/day2/a.mp4"]


def _renamed(path: Path, name: str) -> Path:
    return path.rename(path.with_name(name))


def test_a_taken_id_is_refused(project, outside):
    commands.add(project, [outside / "rec/a.mp4"])
    with pytest.raises(FaultsError, match=r"its id 'a' is that of data/raw/videos/a\.mp4"):
        commands.add(project, [_renamed(outside / "rec/sub/b.mp4", "A.MP4")])


def test_two_new_files_with_one_name(project, outside):
    video_b = _renamed(outside / "rec/sub/b.mp4", "a.mp4")
    with pytest.raises(FaultsError, match=r"would get the same name videos/a\.mp4"):
        commands.add(project, [outside / "rec/a.mp4", video_b])
    assert raw_files(project) == []


def test_link_shares_the_file(project, outside):
    commands.add(project, [outside / "rec/a.mp4"], link=True)
    assert (project.raw_videos / "a.mp4").samefile(outside / "rec/a.mp4")


def test_all_faults_of_a_call_are_told_together(project, outside):
    (outside / "notes.txt").write_text("x")
    (outside / "nothing").mkdir()
    with pytest.raises(FaultsError) as caught:
        commands.add(project, [outside / "notes.txt", outside / "nothing", outside / "gone.mp4", outside / "stills/1.png"])
    assert len(caught.value.faults) == 4
    assert "Nothing has been added." in str(caught.value)


def test_folders_outside_the_project_cannot_be_reached(project, outside):
    for folder in ("../x", "/tmp/x", ".hidden"):
        with pytest.raises(EthoLoopError, match="--as"):
            commands.add(project, [outside / "rec/a.mp4"], folder=folder)


def test_metadata_is_merged(project, outside):
    metadata.write([metadata.Row("videos/old.mp4", {"session": "s0"}, 2)], project.metadata)
    table = outside / "sessions.csv"
    table.write_text("path,session,camera\na.mp4,s1,top\nvideos/sub/b.mp4,s2,\nstills,s3,\n", encoding="utf-8")
    added = commands.add(project, [outside / "rec", outside / "stills"], metadata=table)
    assert added.metadata_rows == 3
    found = {row.path: row.fields for row in metadata.read(project.metadata)}
    assert found == {
        "images/stills": {"session": "s3"},
        "videos/a.mp4": {"session": "s1", "camera": "top"},
        "videos/old.mp4": {"session": "s0"},
        "videos/sub/b.mp4": {"session": "s2"},
    }
    assert commands.add(project, [outside / "rec"], metadata=table).metadata_rows == 0


def test_metadata_that_fits_nothing_or_contradicts(project, outside):
    table = outside / "sessions.csv"
    table.write_text("path,session\nb.mp4,s1\n", encoding="utf-8")
    with pytest.raises(FaultsError, match=r"row 2: nothing lies at 'b\.mp4'"):
        commands.add(project, [outside / "rec/a.mp4"], metadata=table)
    assert raw_files(project) == []
    metadata.write([metadata.Row("videos/a.mp4", {"session": "s0"}, 2)], project.metadata)
    table.write_text("path,session\na.mp4,s1\n", encoding="utf-8")
    with pytest.raises(FaultsError, match="has other values"):
        commands.add(project, [outside / "rec/a.mp4"], metadata=table)


def test_metadata_as_a_spreadsheet_program_of_another_country_writes_it(project, outside):
    table = outside / "sessions.csv"
    table.write_bytes("\ufeffpath;session;camera\r\na.mp4;Käfig, links;top\r\n".encode())
    assert commands.add(project, [outside / "rec/a.mp4"], metadata=table).metadata_rows == 1
    (row,) = metadata.read(project.metadata)
    assert row.fields == {"session": "Käfig, links", "camera": "top"}


def test_a_twin_gets_the_metadata_of_its_row_under_the_name_it_has(project, outside):
    commands.add(project, [outside / "rec/a.mp4"])
    table = outside / "sessions.csv"
    table.write_text("path,session\ncopy.mp4,s1\n", encoding="utf-8")
    added = commands.add(project, [_renamed(outside / "rec/a.mp4", "copy.mp4")], metadata=table)
    assert (added.new, list(added.twins.values())) == ([], ["videos/a.mp4"])
    assert [(row.path, row.fields) for row in metadata.read(project.metadata)] == [("videos/a.mp4", {"session": "s1"})]


def test_what_was_not_looked_at_yet_is_listed(project, outside):
    commands.add(project, [outside / "rec/a.mp4"])
    assert run("videos", "list").output.splitlines() == ["not looked at yet (1), `etholoop repro manifest` does it:", "  videos/a.mp4"]
    manifest.run(project, manifest.Params())
    commands.add(project, [outside / "rec/sub/b.mp4"])
    assert run("videos", "list").output.splitlines()[-2:] == ["not looked at yet (1), `etholoop repro manifest` does it:", "  videos/b.mp4"]


def test_check_looks_into_folders(project, outside):
    result = run("videos", "check", str(outside / "rec"), str(outside / "stills"))
    assert result.exit_code == 1
    assert result.output.count("6 frames") == 2
    assert "stills: no_video." in result.output


def test_list_and_check(project, outside):
    commands.add(project, [outside / "rec", outside / "stills"])
    (project.raw_videos / "text.mp4").write_text("words")
    manifest.run(project, manifest.Params())
    result = run("videos", "list")
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert lines[0].split() == ["id", "session", "frames", "fps", "size", "split"]
    assert lines[1].split() == ["a", "a", "6", "25", "48x32"]
    assert lines[2].split() == ["stills", "stills", "3", "images", "8x8"]
    assert "videos/text.mp4: not_a_video." in result.output
    good = run("videos", "check", str(outside / "rec/a.mp4"))
    assert good.exit_code == 0 and "6 frames, 25 fps, 48x32, h264" in good.output
    bad = run("videos", "check", str(project.raw_videos / "text.mp4"), str(outside / "rec/a.mp4"))
    assert bad.exit_code == 1 and "not_a_video" in bad.output and "6 frames" in bad.output


def test_command_line(project, outside):
    result = run("videos", "add", str(outside / "rec"), "--as", "day1", "--link")
    assert result.exit_code == 0, result.output
    assert "2 new, 0 already there" in result.output
    assert raw_files(project) == ["videos/day1/a.mp4", "videos/day1/sub/b.mp4"]
    help_text = " ".join(run("videos", "add", "--help").output.split())
    assert "Examples:" in help_text and "--images" in help_text
