"""Stage miniscenes: windows of every track, and videos of them where people want some."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from untouched import write_untouched

from etholoop.errors import EthoLoopError, FaultsError
from etholoop.io import cvat, tables
from etholoop.io.miniscenes import crops, read_metadata, wanted_frames
from etholoop.io.video import VideoReader, write_video
from etholoop.project import Project
from etholoop.schema.miniscenes import MiniScenes
from etholoop.schema.tracks import Tracks
from etholoop.stages import manifest, miniscenes
from etholoop.stages._sources import project_sources
from etholoop.stages.miniscenes import Params


def picture(frame: int) -> np.ndarray:
    image = np.full((96, 128, 3), 40, np.uint8)
    image[40:50, 10 + frame : 20 + frame] = (200, 30, 30)
    return image


def track_rows(video_id: str, track: int, frames, left: float = 10.0) -> list[dict]:
    return [
        {"video_id": video_id, "track": track, "frame": k, "x_min": left + k, "y_min": 40.0, "x_max": left + 10 + k, "y_max": 50.0}
        | {"species": "mouse", "confidence": np.nan, "state": "human", "instance": -1}
        for k in frames
    ]


def write_tracks(project: Project, rows: list[dict]) -> None:
    table = tables.from_rows(rows, Tracks) if rows else tables.empty(Tracks)
    tables.write(table, Tracks, project / "data/tracks/tracks.parquet")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path)
    project.raw_videos.mkdir(parents=True)
    for name, n_frames in (("a", 10), ("b", 9)):
        write_video(project.raw_videos / f"{name}.mp4", (picture(frame) for frame in range(n_frames)), Fraction(15), crf=10)
    manifest.run(project, manifest.Params())
    write_untouched(project)
    write_tracks(project, [*track_rows("b", 3, range(4)), *track_rows("a", 1, [0, 1, 2, 6, 7]), *track_rows("a", 0, range(5), 90.0)])
    return project


def scenes_of(project: Project):
    return tables.read(project / "data/miniscenes/miniscenes.parquet", MiniScenes)


def test_a_window_for_every_box_and_none_where_an_animal_is_lost(project):
    miniscenes.run(project, Params(width=40, height=30))
    table = scenes_of(project)
    assert list(zip(table["video_id"], table["track"], table["frame"], strict=True)) == [
        *[("a", 0, k) for k in range(5)],
        *[("a", 1, k) for k in (0, 1, 2, 6, 7)],
        *[("b", 3, k) for k in range(4)],
    ]
    # centre 15, 45 in frame 0
    assert table.loc[table["video_id"] == "b", ["x_min", "y_min", "x_max", "y_max"]].iloc[0].tolist() == [-5, 30, 35, 60]
    assert sorted(path.name for path in (project / "data/miniscenes").iterdir()) == ["miniscenes.parquet"]


def test_pixels_straight_from_the_source(project):
    miniscenes.run(project, Params(width=40, height=30))
    table = scenes_of(project)
    own = table[table["video_id"] == "a"]
    source = project_sources(project)["a"]
    found = {one.frame: one for one in crops(source.read(wanted_frames(own)), own, (40, 30), source.affine)}
    assert sorted(found) == [0, 1, 2, 3, 4, 6, 7] and found[1].tracks.tolist() == [0, 1] and found[6].tracks.tolist() == [1]
    # the animal of track 1 stays in the middle while it moves through the picture
    for frame in (0, 2, 7):
        image = found[frame].images[-1]
        assert image[11:19, 16:24, 0].mean() > 150 and image[:, 32:, 0].mean() < 80


def test_no_tracks_no_windows(project):
    write_tracks(project, [])
    miniscenes.run(project, Params(write=True))
    assert len(scenes_of(project)) == 0


def test_exchanged_corners_are_named(project):
    rows = track_rows("a", 0, [0, 1])
    rows[1]["x_max"] = 0.0
    write_tracks(project, rows)
    with pytest.raises(FaultsError, match="a track 0 frame 1"):
        miniscenes.run(project, Params())
    assert not (project / "data/miniscenes").exists()


def test_tracks_of_an_unknown_video_are_named(project):
    write_tracks(project, track_rows("gone", 0, [0]))
    with pytest.raises(EthoLoopError, match="gone"):
        miniscenes.run(project, Params(write=True))


def test_videos_for_people(project):
    miniscenes.run(project, Params(width=40, height=30, write=True))
    folder = project / "data/miniscenes/a"
    metadata = read_metadata(folder / "metadata/a_metadata.json")
    assert metadata.original == "data/raw/videos/a.mp4"
    assert metadata.tracks["1"] == [0, 1, 2, -1, -1, -1, 3, 4, -1, -1] and metadata.tracks["main"] == list(range(10))
    for name, n in (("0", 5), ("1", 5), ("a", 10)):
        reader = VideoReader(folder / f"{name}.mp4")
        assert (reader.n_frames, reader.fps) == (n, 15)
    saved = cvat.to_tracks(cvat.read(folder / "metadata/a_tracks.xml"), "a", n_frames=10)
    tracks = tables.read(project / "data/tracks/tracks.parquet", Tracks)
    assert saved.equals(tracks[tracks["video_id"] == "a"].sort_values(["track", "frame"], ignore_index=True))
    assert (project / "data/miniscenes/b/3.mp4").is_file()


def test_same_input_same_bytes(project):
    miniscenes.run(project, Params(width=40, height=30, write=True))
    before = {path: path.read_bytes() for path in (project / "data/miniscenes").rglob("*.*")}
    miniscenes.run(project, Params(width=40, height=30, write=True))
    assert len(before) == 12 and all(path.read_bytes() == content for path, content in before.items())
