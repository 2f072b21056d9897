"""`etholoop tracks export` and `import`."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from etholoop.__main__ import build_app
from etholoop.commands import tracks_files
from etholoop.errors import EthoLoopError, FaultsError
from etholoop.io import dlc_tracks, tables
from etholoop.project import Project
from etholoop.schema.predictions import PredictedKeypoints
from etholoop.schema.tracks import TrackNames, Tracks
from etholoop.schema.videos import Videos

SKELETON = "name: m\nspecies: [mouse]\nkeypoints: [{name: nose}, {name: tail}]\n"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path / "p")
    rows, names, points = [], [], []
    for video_id in ("a", "b"):
        for track in (0, 2):
            for frame in range(4):
                box = {"x_min": 10.25 + frame, "y_min": 5.0, "x_max": 30.5 + frame, "y_max": 20.0}
                state, confidence, instance = ("interpolated", np.nan, -1) if frame == 2 else ("detected", 0.75, track // 2)
                place = {"video_id": video_id, "track": track, "frame": frame, **box, "species": "mouse"}
                rows.append(place | {"confidence": confidence, "state": state, "instance": instance})
                points.append({"video_id": video_id, "frame": frame, "instance": track // 2, "keypoint": "nose"})
                points[-1] |= {"x": 12.0 + frame, "y": 8.0 + track, "confidence": 0.5}
            own = {"video_id": video_id, "track": track, "name": "red" if track else None, "species": "mouse", "start_frame": 0}
            names.append(own | {"stop_frame": 4, "n_detected": 3, "n_interpolated": 1})
    tables.write(tables.from_rows(rows, Tracks), Tracks, project / "data/tracks/tracks.parquet")
    tables.write(tables.from_rows(names, TrackNames), TrackNames, project / "data/tracks/names.parquet")
    tables.write(tables.from_rows(points, PredictedKeypoints), PredictedKeypoints, project.pose_predictions / "keypoints.parquet")
    tables.write(tables.from_rows([video_row("a"), video_row("b")], Videos), Videos, project.manifest / "videos.parquet")
    project.skeleton.parent.mkdir(parents=True)
    project.skeleton.write_text(SKELETON)
    return project


def video_row(video_id: str) -> dict:
    row = {"video_id": video_id, "kind": "video", "path": f"videos/{video_id}.mp4", "sha256": "0", "n_frames": 5, "n_frames_header": 5}
    row |= {"fps_num": 25, "fps_den": 1, "duration_s": 0.2, "width": 64, "height": 48, "codec": "h264", "pix_fmt": "yuv420p"}
    return row | {"rotation": 0, "variable_rate": False, "session": "s", "subject": None, "camera": None, "start_time": None}


def tracks_of(project: Project, video_id: str) -> pd.DataFrame:
    table = tables.read(project / "data/tracks/tracks.parquet", Tracks)
    return table[table["video_id"] == video_id].sort_values(["track", "frame"], ignore_index=True)


@pytest.mark.parametrize("form", ["cvat", "mot"])
def test_boxes_come_back(project, tmp_path, form):
    paths = tracks_files.export(project, form, tmp_path / "out", [])
    assert [path.stem for path in paths] == ["a", "b"]
    back, sent = tracks_files.read(form, paths[1], "b", species="mouse"), tracks_of(project, "b")
    columns = ["video_id", "track", "frame", "x_min", "y_min", "x_max", "y_max", "species"]
    pd.testing.assert_frame_equal(back[columns], sent[columns])
    if form == "cvat":
        assert back["state"].tolist() == sent["state"].tolist()
    else:
        assert back["confidence"].equals(sent["confidence"])


def test_keypoints_for_deeplabcut(project, tmp_path):
    (path,) = tracks_files.export(project, "dlc", tmp_path / "out", ["a"])
    pose = dlc_tracks.read(path)
    assert pose.names == ("animal1", "red") and pose.keypoints == ("nose", "tail") and len(pose.frames) == 5
    assert pose.points[1, 1, 0].tolist() == [13, 10, 0.5]
    assert np.isnan(pose.points[2]).all() and np.isnan(pose.points[:, :, 1]).all()


def test_nothing_is_written_when_anything_is_wrong(project, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(EthoLoopError, match="no tracks of c; there are some of a, b"):
        tracks_files.export(project, "mot", out, ["a", "c"])
    with pytest.raises(EthoLoopError, match="unknown format 'motc'; did you mean 'mot'"):
        tracks_files.export(project, "motc", out, [])
    out.mkdir()
    (out / "b.txt").write_text("mine")
    with pytest.raises(FaultsError, match="--overwrite"):
        tracks_files.export(project, "mot", out, [])
    assert [path.name for path in out.iterdir()] == ["b.txt"]


def test_the_command_line(project, tmp_path):
    (path,) = tracks_files.export(project, "mot", tmp_path / "out", ["a"])
    call = ["tracks", "import", "mot", str(path), "--video", "a", "--to", str(tmp_path / "t.parquet")]
    done = CliRunner().invoke(build_app("tracks_files"), call)
    assert done.exit_code == 0 and "2 tracks, 8 boxes" in done.output
    assert len(tables.read(tmp_path / "t.parquet", Tracks)) == 8
    again = CliRunner().invoke(build_app("tracks_files"), call)
    assert "--overwrite" in str(again.exception)
