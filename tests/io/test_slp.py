"""SLEAP projects: there and back, and the public ones as their own tables say."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from etholoop.errors import EthoLoopError
from etholoop.io import slp
from etholoop.io.pose_tracks import PoseTracks

KEYPOINTS = ("nose", "left ear", "tail")
places = st.floats(-50, 5000, width=32)
scores = st.floats(0, 1, width=32)


@st.composite
def poses(draw):
    n_frames, n_animals = draw(st.integers(1, 5)), draw(st.integers(1, 3))
    points = np.full((n_frames, n_animals, len(KEYPOINTS), 3), np.nan)
    for place in np.ndindex(points.shape[:3]):
        if draw(st.booleans()):
            points[place] = draw(places), draw(places), draw(scores)
    points[:, :, 0] = np.nan_to_num(points[:, :, 0], nan=7.0)  # no frame and no animal is empty
    points[:, :, 0, 2] = np.clip(points[:, :, 0, 2], 0, 1)
    frames = np.array(sorted(draw(st.sets(st.integers(0, 10_000), min_size=n_frames, max_size=n_frames))), dtype=np.int64)
    return PoseTracks(frames, points, tuple(f"mouse {number}" for number in range(n_animals)), KEYPOINTS)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(poses())
def test_there_and_back(tmp_path, pose):
    slp.write(tmp_path / "a.slp", pose, "videos/cage1.mp4", ((0, 1), (1, 2)))
    back = slp.read(tmp_path / "a.slp", "cage1")
    assert (back.frames.tolist(), back.names, back.keypoints) == (pose.frames.tolist(), pose.names, pose.keypoints)
    np.testing.assert_allclose(back.points, pose.points, atol=1e-3)


def test_a_pixel_centre_is_half_a_pixel_from_its_corner(tmp_path):
    import sleap_io

    pose = PoseTracks(np.array([3]), np.array([[[[10.5, 20.5, 0.5]]]]), ("a",), ("nose",))
    slp.write(tmp_path / "a.slp", pose, "cage1.mp4")
    (frame,) = sleap_io.load_slp(str(tmp_path / "a.slp"), open_videos=False)
    assert frame.frame_idx == 3 and frame.instances[0].numpy().tolist() == [[10.0, 20.0]]


def test_what_is_wrong_is_said(tmp_path):
    with pytest.raises(EthoLoopError, match="file not found"):
        slp.read(tmp_path / "none.slp")
    (tmp_path / "text.slp").write_text("words")
    with pytest.raises(EthoLoopError, match="not readable as a SLEAP project"):
        slp.read(tmp_path / "text.slp")


@pytest.mark.parametrize("folder", ["sleap_fly_pair"])
def test_points_of_people_are_those_of_the_public_table(public_data, folder):
    pose = slp.read(public_data / f"data/{folder}/clip.slp")
    table = pd.read_csv(public_data / f"data/{folder}/derived_clip_keypoints.csv")
    assert (len(pose.frames), pose.names) == (1500, ("female", "male"))
    for track in (0, 1):
        own = table[table["track"] == track].set_index("frame").reindex(pose.frames)
        for place, name in enumerate(pose.keypoints):
            np.testing.assert_allclose(pose.points[:, track, place, :2], own[[f"{name}_x", f"{name}_y"]] + 0.5, atol=1e-3)
    assert np.isnan(pose.points[..., 2]).all(), "people give no score"


def test_predictions_carry_their_scores(public_data, capsys):
    pose = slp.read(public_data / "data/sleap_fly_pair/centered_pair_predictions.slp")
    assert len(pose.names) == 27 and (pose.points[..., 2] >= 0).any()
