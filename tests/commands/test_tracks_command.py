"""`etholoop tracks`: what is shown, and edits that say what was meant."""

import pytest
from typer.testing import CliRunner

from etholoop import project as projects
from etholoop.__main__ import build_app
from etholoop.io import tables, track_edits
from etholoop.project import Project
from etholoop.schema.tracks import SwapRisks, TrackNames, Tracks

EDITS = "label_studio/track_edits.csv"


@pytest.fixture
def project(tmp_path, monkeypatch):
    project = Project(tmp_path)
    monkeypatch.setattr(projects, "find_project", lambda start=None: project)
    rows = []
    for track, x in ((0, 100.0), (1, 300.0)):
        for frame in range(50):
            box = {"x_min": x - 10, "y_min": 90.0, "x_max": x + 10, "y_max": 110.0}
            rows.append(
                {
                    "video_id": "cage",
                    "track": track,
                    "frame": frame,
                    **box,
                    "species": "mouse",
                    "confidence": 0.9,
                    "state": "detected",
                    "instance": track,
                }
            )
    names = [
        {"track": t, "name": None, "species": "mouse", "start_frame": 0, "stop_frame": 50, "n_detected": 50, "n_interpolated": 0}
        for t in (0, 1)
    ]
    risk = {"video_id": "cage", "track_a": 0, "track_b": 1, "reasons": "small cost gap"}
    risks = [risk | {"frame": f, "risk": r, "start_frame": f - 1, "stop_frame": f + 1} for f, r in ((30, 0.4), (10, 0.01))]
    folder = project / "data/tracks"
    tables.write(tables.from_rows(rows, Tracks), Tracks, folder / "tracks.parquet")
    tables.write(tables.from_rows([{"video_id": "cage", **row} for row in names], TrackNames), TrackNames, folder / "names.parquet")
    tables.write(tables.from_rows(risks, SwapRisks), SwapRisks, folder / "swap_risks.parquet")
    (folder / "status.json").write_text(
        '{"edits": 0, "edits_not_applied": {"x": "it is gone"}, "not_tracked": ["cage2 is not tracked: why"]}'
    )
    return project


def call(*words):
    return CliRunner().invoke(build_app("tracks"), ["tracks", *words])


def edits(project):
    return track_edits.read(project / EDITS)


def test_show(project):
    text = call("show").output
    assert "cage: 2 tracks" in text
    assert "0.4 exchanges expected" in text
    assert "edit x was not applied: it is gone" in text
    assert "cage2 is not tracked: why" in text


def test_the_most_doubtful_comes_first(project):
    sure, *lines = call("risks", "--share", "1").output.splitlines()
    assert sure.startswith("cage: estimated ")
    assert sure.endswith(" of identities right, 0.4 exchanges expected")
    assert [line.split()[0] for line in lines] == ["0.40", "0.01"]
    assert len(call("risks", "--share", "0").output.splitlines()) == 2
    assert call("risks", "--csv").output.startswith("video_id,frame,track_a,track_b,risk")


def test_a_swap_is_written_with_its_anchors(project):
    result = call("swap", "cage", "0", "1", "--frame", "30", "--note", "seen")
    assert result.exit_code == 0, result.output
    (edit,) = edits(project)
    assert (edit.action, edit.frame, edit.note) == ("swap", 30, "seen")
    assert (edit.a.frame, edit.a.x, edit.b.frame, edit.b.x) == (29, 100.0, 30, 300.0)


def test_dry_run_writes_nothing(project):
    assert "would write" in call("rename", "cage", "1", "red", "--dry-run").output
    assert not (project / EDITS).exists()


def test_undo_takes_the_last_or_the_named_one(project):
    for name in ("red", "blue", "red"):
        call("rename", "cage", "1", name)
    first, second, third = (edit.id for edit in edits(project))
    call("undo")
    call("undo", first)
    assert [edit.id for edit in edits(project)] == [second]
    assert third != first
    assert call("undo", "zzzzzzzz").exit_code != 0


def test_what_cannot_be_is_refused(project):
    assert "both detected in 50 frames" in str(call("merge", "cage", "0", "1").exception)
    assert "no track 7" in str(call("split", "cage", "7", "--frame", "5").exception)
    assert "no detection before frame 0" in str(call("split", "cage", "0", "--frame", "0").exception)
    assert "did you mean 'cage'" in str(call("rename", "cag", "0", "red").exception)
    assert "swap needs two tracks, found track 1 twice" in str(call("swap", "cage", "1", "1", "--frame", "5").exception)
    assert not (project / EDITS).exists()


def test_two_animals_in_one_frame_have_two_names(project):
    assert call("rename", "cage", "0", "red").exit_code == 0
    assert "track 0 is called 'red' already, and both are there in 50 frames" in str(call("rename", "cage", "1", "red").exception)
    assert call("rename", "cage", "0", "red").exit_code == 0
    call("rename", "cage", "0", "blue")
    assert call("rename", "cage", "1", "red").exit_code == 0


def test_a_video_is_no_folder_to_draw_into(project):
    result = CliRunner().invoke(build_app(), ["tracks", "draw", "cage", "--out", "cage.mp4"])
    assert "--out cage.mp4: expected a folder" in str(result.exception)
