"""Tracks of DeepLabCut and SLEAP."""

import gzip

import h5py
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from etholoop.errors import EthoLoopError, FaultsError
from etholoop.io import dlc_tracks, pose_tracks, sleap_analysis, tables
from etholoop.io.pose_tracks import PoseTracks
from etholoop.schema.predictions import PredictedKeypoints
from etholoop.schema.tracks import TrackNames, Tracks

FILE = """scorer,net,net,net,net,net,net,net,net,net,net,net,net
individuals,red,red,red,red,red,red,blue,blue,blue,blue,blue,blue
bodyparts,nose,nose,nose,tail,tail,tail,nose,nose,nose,tail,tail,tail
coords,x,y,likelihood,x,y,likelihood,x,y,likelihood,x,y,likelihood
0,10,20,0.5,30,40,0.9,,,,,,
1,,,,,,,99.5,49.5,1,,,
"""


def test_a_deeplabcut_file_of_two_animals(tmp_path):
    (tmp_path / "a.csv").write_text(FILE)
    pose = dlc_tracks.read(tmp_path / "a.csv")
    assert pose.names == ("red", "blue") and pose.keypoints == ("nose", "tail") and pose.frames.tolist() == [0, 1]
    assert pose.points[0, 0].tolist() == [[10.5, 20.5, 0.5], [30.5, 40.5, 0.9]]  # whole numbers were pixel centres
    table = tables.check(pose_tracks.to_tracks(pose, "v", species="mouse"), Tracks, "test")
    assert table[["track", "frame", "x_min", "y_min", "x_max", "y_max", "confidence"]].to_numpy().tolist() == [
        [0, 0, 2.5, 12.5, 38.5, 48.5, 0.7],
        [1, 1, 92, 42, 108, 58, 1],
    ]
    names = tables.check(pose_tracks.names_of(pose, table), TrackNames, "test")
    assert names["name"].tolist() == ["red", "blue"] and names["stop_frame"].tolist() == [1, 2]
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(FILE.encode()))
    assert np.array_equal(dlc_tracks.read(tmp_path / "a.csv.gz").points, pose.points, equal_nan=True)


def test_an_animal_without_a_name(tmp_path):
    (tmp_path / "a.csv").write_text("scorer,n,n,n\nbodyparts,nose,nose,nose\ncoords,x,y,likelihood\n7,1,2,0.5\n")
    pose = dlc_tracks.read(tmp_path / "a.csv")
    assert pose.names == ("animal1",) and pose.frames.tolist() == [7]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("\n1,", "\nimg001.png,", "'img001.png'"),
        ("\n1,", "\n0,", "do not rise"),
        ("likelihood,x,y,likelihood\n", "likelihood,x,x,likelihood\n", "blue has no y of tail"),
        ("blue", "single", "individual 'single'"),
        ("99.5", "many", "'many' is not a number"),
    ],
)
def test_files_that_do_not_fit(tmp_path, old, new, message):
    (tmp_path / "a.csv").write_text(FILE.replace(old, new))
    with pytest.raises(FaultsError, match=message):
        dlc_tracks.read(tmp_path / "a.csv")


def test_other_files(tmp_path):
    with pytest.raises(EthoLoopError, match="not found"):
        dlc_tracks.read(tmp_path / "no.csv")
    (tmp_path / "a.csv.gz").write_bytes(b"no gzip")
    with pytest.raises(EthoLoopError, match="gzip"):
        dlc_tracks.read(tmp_path / "a.csv.gz")


POINTS = arrays(float, (4, 2, 3, 3), elements=st.floats(0, 1) | st.just(np.nan))


@settings(max_examples=40, deadline=None)
@given(POINTS)
def test_deeplabcut_there_and_back(tmp_path_factory, points):
    points[np.isnan(points[..., :2]).any(axis=-1)] = np.nan
    pose = PoseTracks(np.array([0, 1, 5, 9]), points, ("red, big", 'a "b"'), ("nose", "ear", "tail"))
    path = tmp_path_factory.getbasetemp() / "tracks.csv"
    dlc_tracks.write_csv(path, pose)
    back = dlc_tracks.read(path)
    assert back.names == pose.names and back.keypoints == pose.keypoints and (back.frames == pose.frames).all()
    assert np.allclose(back.points, pose.points, rtol=0, atol=1e-12, equal_nan=True)


def test_no_animal_at_all():
    pose = PoseTracks(np.arange(3), np.full((3, 2, 1, 3), np.nan), ("a", "b"), ("nose",))
    assert len(pose_tracks.to_tracks(pose, "v")) == 0
    with pytest.raises(ValueError, match="shape"):
        PoseTracks(np.arange(2), np.zeros((3, 2, 1, 3)), ("a", "b"), ("nose",))


def rows(table: list[tuple], columns: list[str]) -> pd.DataFrame:
    return pd.DataFrame(table, columns=columns)


def test_keypoints_behind_tracks():
    """An interpolated box has no keypoints, and a detection that is no track's is left out."""
    tracks = rows(
        [("v", 4, 0, 0, 0, 1, 1, "m", 0.5, "detected", 1), ("v", 4, 1, 0, 0, 1, 1, "m", np.nan, "interpolated", -1)],
        list(Tracks.columns),
    )
    keypoints = rows(
        [("v", 0, 0, "nose", 9.0, 9.0, 0.9), ("v", 0, 1, "nose", 5.0, 6.0, 0.7), ("v", 1, 0, "nose", 1.0, 1.0, 0.1)],
        list(PredictedKeypoints.columns),
    )
    names = rows([("v", 4, "red", "m", 0, 2, 1, 1)], list(TrackNames.columns))
    pose = pose_tracks.from_tables(tracks, names, keypoints, ("tail", "nose"), 3)
    assert pose.names == ("red",) and pose.points[0, 0, 1].tolist() == [5, 6, 0.7]
    assert np.isfinite(pose.points).sum() == 3
    unnamed = names.assign(name=None)
    assert pose_tracks.from_tables(tracks, unnamed, keypoints, ("nose",), 3).names == ("animal5",)


def analysis(path, **changes) -> None:
    places = np.full((2, 2, 3, 5), np.nan)
    places[1, :, 0, 2] = 10, 20
    content = {"tracks": places, "node_names": [b"head", b"thorax", b"tail"], "track_names": [b"left", b"right"]}
    content |= {"point_scores": np.full((2, 3, 5), 0.25)}
    with h5py.File(path, "w") as file:
        for name, value in (content | changes).items():
            if value is not None:
                file[name] = value


def test_a_sleap_analysis_file(tmp_path):
    analysis(tmp_path / "a.h5")
    pose = sleap_analysis.read(tmp_path / "a.h5")
    assert pose.names == ("left", "right") and pose.points.shape == (5, 2, 3, 3)
    assert pose.points[2, 1, 0].tolist() == [10.5, 20.5, 0.25] and np.isfinite(pose.points).sum() == 3
    analysis(tmp_path / "b.h5", point_scores=None)
    table = pose_tracks.to_tracks(sleap_analysis.read(tmp_path / "b.h5"), "v")
    assert table["confidence"].isna().all() and table["state"].tolist() == ["detected"]


def test_other_sleap_files(tmp_path):
    (tmp_path / "a.h5").write_text("nonsense")
    with pytest.raises(EthoLoopError, match="not readable"):
        sleap_analysis.read(tmp_path / "a.h5")
    analysis(tmp_path / "b.h5", node_names=[b"head"])
    with pytest.raises(EthoLoopError, match="shape"):
        sleap_analysis.read(tmp_path / "b.h5")
    analysis(tmp_path / "c.h5", track_names=[b"one"])
    with pytest.raises(EthoLoopError, match="1 track names for 2"):
        sleap_analysis.read(tmp_path / "c.h5")


def test_published_files(public_data):
    flies = sleap_analysis.read(public_data / "data/sleap_fly_pair/predictions.analysis.h5")
    assert flies.points.shape == (3000, 2, 13, 3) and len(pose_tracks.to_tracks(flies, "v")) == 6000
    mice = dlc_tracks.read(public_data / "data/label_formats/deepof_madlc/testDLC_h5_table_madlc.h5")
    assert mice.names == ("mouse_black_tail", "mouse_white_tail") and mice.points.shape == (100, 2, 14, 3)
    rats = sorted((public_data / "data/rat_pair_social_dlc/dlc_csv").iterdir())[0]
    assert dlc_tracks.read(rats).names == ("individual1", "individual2")
