"""Boxes, keypoints, bouts and contacts of the synthetic world."""

import numpy as np
import pytest

from etholoop.schema.annotations import Bouts, Boxes, Keypoints, LabelledFrames
from etholoop.simulation import truth
from etholoop.simulation.scene import make_scene

SESSIONS = [make_scene(f"cage{number}", seed=11, n_frames=100) for number in range(6)]
EVERY_FIFTH = range(0, 100, 5)


@pytest.fixture(scope="module", params=SESSIONS, ids=lambda scene: scene.session)
def scene(request):
    return request.param


def test_tables_fit_their_schemas(scene):
    LabelledFrames.validate(truth.labelled_frames(scene, "v1", EVERY_FIFTH))
    Boxes.validate(truth.boxes(scene, "v1", EVERY_FIFTH))
    Keypoints.validate(truth.keypoints(scene, "v1", EVERY_FIFTH))
    Bouts.validate(truth.bouts(scene, "v1"))


def test_everything_says_that_it_is_synthetic(scene):
    for table in (truth.labelled_frames(scene, "v1", [0]), truth.boxes(scene, "v1", [0]), truth.bouts(scene, "v1")):
        assert set(table["source"]) == {"synthetic"}


def test_boxes_lie_in_the_frame_and_are_as_large_as_mice(scene):
    table = truth.boxes(scene, "v1", EVERY_FIFTH)
    assert (table[["x_min", "y_min"]] >= 0).all(axis=None)
    assert (table["x_max"] <= 320).all() and (table["y_max"] <= 240).all()
    longer = np.maximum(table["x_max"] - table["x_min"], table["y_max"] - table["y_min"])
    assert longer.max() < 1.15 * scene.lengths.max()
    assert longer.median() > 0.5 * scene.lengths.mean()


def test_boxes_hold_their_visible_keypoints(scene):
    table = truth.keypoints(scene, "v1", EVERY_FIFTH).merge(truth.boxes(scene, "v1", EVERY_FIFTH), on=["video_id", "frame", "instance"])
    visible = table[table["visibility"] == 2]
    assert len(visible) > 150
    slack_px = 0.51  # half a pixel: the box is drawn on a grid, the keypoint is not
    assert (visible["x"] >= visible["x_min"] - slack_px).all() and (visible["x"] <= visible["x_max"] + slack_px).all()
    assert (visible["y"] >= visible["y_min"] - slack_px).all() and (visible["y"] <= visible["y_max"] + slack_px).all()


def test_each_animal_in_view_has_one_box_and_four_keypoints(scene):
    boxes, keypoints = truth.boxes(scene, "v1", EVERY_FIFTH), truth.keypoints(scene, "v1", EVERY_FIFTH)
    frames = truth.labelled_frames(scene, "v1", EVERY_FIFTH)
    assert len(boxes) == frames["n_animals"].sum() and len(keypoints) == 4 * len(boxes)
    assert (boxes["identity"] == [f"m{number + 1}" for number in boxes["instance"]]).all()


def test_keypoints_outside_of_the_frame_are_missing():
    # a camera that hangs far too low sees only part of the arena
    scene = make_scene("low", seed=1, n_frames=60, n_animals=4)
    object.__setattr__(scene.camera, "zoom", 2.5)
    table = truth.keypoints(scene, "v1", range(0, 60, 5))
    missing = table["visibility"] == 0
    assert missing.any() and table.loc[missing, ["x", "y"]].isna().all(axis=None)
    assert table.loc[~missing, "x"].between(0, 320).all() and table.loc[~missing, "y"].between(0, 240).all()
    boxes = truth.boxes(scene, "v1", range(0, 60, 5))
    assert len(boxes) < 4 * 12, "animals outside of the frame have no box"


def test_the_upper_animal_hides_the_keypoints_of_the_lower_one():
    scene = make_scene("pile", seed=1, n_frames=1, n_animals=2)
    lower, upper = scene.layers
    for values in (scene.motion.centre, scene.motion.heading, scene.motion.bend, scene.motion.head_turn):
        values[0, lower] = values[0, upper]
    # the upper one is moved back along its body by a third, so the lower one shows its head only
    heading = scene.motion.heading[0, upper]
    scene.motion.centre[0, upper] -= 0.34 * scene.lengths[upper] * np.array([np.cos(heading), np.sin(heading)])
    _, seen_upper = truth.keypoints_of(scene, 0, upper)
    _, seen_lower = truth.keypoints_of(scene, 0, lower)
    assert list(seen_upper) == [2, 2, 2, 2]
    assert seen_lower[0] == 2 and seen_lower[3] == 1
    boxes = truth.visible_animals(scene, 0)
    assert np.ptp(np.reshape(boxes[lower], (2, 2)), axis=0).prod() < np.ptp(np.reshape(boxes[upper], (2, 2)), axis=0).prod()
    assert truth.touching(scene, 0) == {lower, upper}


def test_an_animal_that_is_covered_is_not_in_view():
    scene = make_scene("pile", seed=1, n_frames=1, n_animals=2)
    lower, upper = scene.layers
    for name, values in vars(scene.motion).items():
        if name != "present":
            values[0, lower] = values[0, upper]
    scene.lengths[lower] = 0.9 * scene.lengths[upper]
    assert set(truth.visible_animals(scene, 0)) == {upper}
    assert truth.labelled_frames(scene, "v1")["n_animals"].tolist() == [1]


def test_at_least_a_tenth_of_the_animals_touch_another():
    touching = sum(len(truth.touching(scene, frame)) for scene in SESSIONS for frame in EVERY_FIFTH)
    in_view = sum(len(truth.visible_animals(scene, frame)) for scene in SESSIONS for frame in EVERY_FIFTH)
    assert touching / in_view >= 0.10


def test_some_keypoints_are_hidden_but_most_are_visible():
    visibility = np.concatenate([truth.keypoints(scene, "v1", EVERY_FIFTH)["visibility"] for scene in SESSIONS])
    assert 0.002 < (visibility == 1).mean() < 0.15


def test_activities_partition_the_time_of_each_animal(scene):
    table = truth.bouts(scene, "v1")
    activities = table[table["behaviour"] != "follow"]
    for _, own in activities.groupby("subject"):
        assert own["start_frame"].iloc[0] == 0 and own["stop_frame"].iloc[-1] == scene.n_frames
        assert (own["start_frame"].to_numpy()[1:] == own["stop_frame"].to_numpy()[:-1]).all()
        assert (own["behaviour"].to_numpy()[1:] != own["behaviour"].to_numpy()[:-1]).all()
    assert sorted(set(activities["subject"])) == ["m1", "m2", "m3"]


def test_bouts_of_following_do_not_overlap_each_other():
    tables = [truth.bouts(scene, "v1").query("behaviour == 'follow'") for scene in SESSIONS]
    assert sum(map(len, tables)) > 0
    for table in tables:
        for _, own in table.groupby("subject"):
            assert (own["start_frame"].to_numpy()[1:] >= own["stop_frame"].to_numpy()[:-1]).all()


def test_bouts_are_long_enough_to_be_seen():
    for scene in SESSIONS:
        table = truth.bouts(scene, "v1").query("behaviour != 'follow' and stop_frame < 100 and start_frame > 0")
        assert (table["stop_frame"] - table["start_frame"]).min() >= 12


def test_bouts_agree_with_the_movement(scene):
    for row in truth.bouts(scene, "v1").query("behaviour in ['locomote', 'groom'] and stop_frame - start_frame > 15").itertuples():
        animal = int(row.subject[1:]) - 1
        path = scene.motion.centre[row.start_frame + 8 : row.stop_frame, animal]
        moved = np.hypot(*np.diff(path, axis=0).T).mean() / scene.lengths[animal]
        assert (moved > 0.01) == (row.behaviour == "locomote")


def test_no_animals_is_a_statement():
    scene = make_scene("late", seed=1, n_frames=6, enter_frame=4)
    table = truth.labelled_frames(scene, "v1")
    assert table["status"].tolist() == ["no_animal"] * 4 + ["animals"] * 2
    assert truth.bouts(scene, "v1")["start_frame"].min() == 4
    empty = make_scene("none", seed=1, n_frames=3, n_animals=0)
    assert len(Boxes.validate(truth.boxes(empty, "v1"))) == len(Keypoints.validate(truth.keypoints(empty, "v1"))) == 0
    assert len(Bouts.validate(truth.bouts(empty, "v1"))) == 0
