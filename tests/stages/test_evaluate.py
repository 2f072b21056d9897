import json

import numpy as np
import pandas as pd
import pytest
from evaluation_project import (
    box,
    detection,
    keypoints,
    labelled,
    new_project,
    predicted_keypoints,
    write_labels,
    write_predictions,
)

from etholoop.io import tables
from etholoop.schema.evaluation import KeypointErrors, Matches
from etholoop.stages import evaluate

PARAMS = evaluate.Params(n_bootstrap=50)


def figures(project, params=PARAMS):
    evaluate.run(project, params)
    return json.loads((project.metrics / "evaluate.json").read_text())


@pytest.fixture
def perfect(tmp_path):
    """Three test frames of cage3 and one val frame of cage2, everything found exactly."""
    project = new_project(tmp_path)
    places = [("cage2", 5), ("cage3", 10), ("cage3", 20), ("cage3", 30)]
    write_labels(project, [box(*place) for place in places], [row for place in places for row in keypoints(*place)])
    write_predictions(project, [detection(*place) for place in places], [row for place in places for row in predicted_keypoints(*place)])
    return project


def test_everything_found_exactly(perfect):
    content = figures(perfect)
    test = content["test"]
    assert (test["box_ap50"], test["box_ap"], test["oks_ap50"], test["oks_ap"]) == (1, 1, 1, 1)
    assert (test["pck"], test["rmse_px"], test["median_px"], test["recall"], test["precision"]) == (1, 0, 0, 1, 1)
    assert test["ece"] == pytest.approx(0.1)  # said .9, right always
    assert (test["n_videos"], test["n_frames"], test["n_instances"], test["n_keypoints"]) == (1, 3, 3, 6)
    assert content["val"]["n_frames"] == 1
    assert content["evaluated"] is True
    assert test["ci"]["box_ap50"] == [None, None]  # one video: nothing to resample
    assert not test["ci_reliable"]
    assert "CI not reliable: n videos < 10" in test["note"]
    assert content["by_video"]["test"]["cage3"]["n_frames"] == 3


def test_missed_false_and_a_keypoint_five_pixels_off(perfect):
    labels = [box("cage3", 10), box("cage3", 20), box("cage3", 20, 1, (100, 50, 140, 90))]
    points = [*keypoints("cage3", 10), *keypoints("cage3", 20, tail=(np.nan, np.nan))]
    write_labels(perfect, labels, points, empty=[("cage3", 30)])
    found = [
        detection("cage3", 10),
        detection("cage3", 20),
        detection("cage3", 30, confidence=0.3),
        detection("cage3", 30, 1, confidence=0.1),
    ]
    moved = [*predicted_keypoints("cage3", 10, nose=(18, 29)), *predicted_keypoints("cage3", 20)]
    write_predictions(perfect, found, moved)
    test = figures(perfect)["test"]
    assert (test["n_found"], test["n_missed"], test["n_false"]) == (2, 1, 1)  # the detection of .1 is below min_confidence
    assert test["count_accuracy"] == pytest.approx(1 / 3, abs=1e-6)
    assert (test["n_keypoints"], test["n_keypoints_not_labelled"], test["n_keypoints_not_predicted"]) == (3, 1, 0)
    assert test["rmse_px"] == pytest.approx(np.sqrt(25 / 3), abs=1e-6)
    assert test["keypoints"]["nose"]["rmse_px"] == pytest.approx(np.sqrt(25 / 2), abs=1e-6)
    assert test["keypoints"]["tail"]["median_px"] == 0
    assert test["pck"] == pytest.approx(2 / 3, abs=1e-6)  # limit .1 · 40 px
    matches = tables.read(perfect.evaluation / "matches.parquet", Matches)
    assert list(matches["kind"]) == ["hit", "hit", "missed", "false"]
    assert list(matches["frame"]) == [10, 20, 20, 30]
    assert matches["true_instance"].isna().tolist() == [False, False, False, True]
    errors = tables.read(perfect.evaluation / "keypoint_errors.parquet", KeypointErrors)
    assert errors.loc[errors["error_px"] == 5, ["video_id", "frame", "keypoint"]].values.tolist() == [["cage3", 10, "nose"]]


def test_keypoint_not_predicted_is_counted_and_not_guessed(perfect):
    rows = predicted_keypoints("cage3", 10)
    write_predictions(perfect, [detection("cage3", 10)], rows[:1])
    test = figures(perfect)["test"]
    assert (test["n_keypoints"], test["n_keypoints_not_predicted"], test["n_labelled_not_predicted"]) == (1, 1, 2)
    assert test["rmse_px"] == 0


def test_unusable_frames_and_train_frames_are_left_out(perfect):
    frames = [labelled("cage1", 1), labelled("cage3", 10), labelled("cage3", 20, 1, "unusable")]
    write_labels(perfect, [box("cage1", 1), box("cage3", 10), box("cage3", 20)], [], frames)
    write_predictions(perfect, [detection("cage1", 1), detection("cage3", 10), detection("cage3", 20)])
    content = figures(perfect)
    assert content["test"]["n_frames"] == 1
    assert content["val"]["evaluated"] is False
    assert figures(perfect, evaluate.Params(split="train", n_bootstrap=5))["train"]["n_frames"] == 1


def test_nothing_to_evaluate_says_why_and_writes_headers(tmp_path):
    project = new_project(tmp_path)
    assert figures(project) == {"evaluated": False, "reason": "no labelled frames yet", "splits_mode": "group"}
    write_labels(project, [box("cage3", 1)])
    assert "1 labelled test or val frame, not predicted" in figures(project)["reason"]
    write_labels(project, [box("cage1", 1)])
    assert "held-out list" in figures(project)["reason"]
    for name in ("pr_curve", "calibration", "by_video"):
        assert len(pd.read_csv(project.metrics / "plots" / f"{name}.csv")) == 0
    assert len(tables.read(project.evaluation / "matches.parquet", Matches)) == 0
    assert len(tables.read(project.evaluation / "keypoint_errors.parquet", KeypointErrors)) == 0


@pytest.mark.parametrize(("mode", "sentence"), [("blocks", "figures say little about other recordings"), ("fixed", "frame split: leaks")])
def test_weak_splits_are_named(tmp_path, mode, sentence):
    project = new_project(tmp_path, mode=mode)
    write_labels(project, [box("cage3", 1)])
    write_predictions(project, [detection("cage3", 1)])
    content = figures(project)
    assert sentence in content["test"]["note"]
    assert content["splits_mode"] == mode


@pytest.fixture
def twelve(tmp_path):
    """Twelve test videos; in half of them the second of two animals is missed."""
    names = [f"v{number:02d}" for number in range(12)]
    project = new_project(tmp_path, names, ["test"] * 12)
    far = (100, 50, 140, 90)
    write_labels(project, [row for name in names for row in (box(name, 3), box(name, 3, 1, far))])
    found = [detection(name, 3) for name in names] + [detection(name, 3, 1, far) for name in names[::2]]
    write_predictions(project, found)
    return project


def test_intervals_over_videos_hold_the_figure(twelve):
    test = figures(twelve, evaluate.Params())["test"]
    assert test["recall"] == 0.75
    low, high = test["ci"]["recall"]
    assert low < 0.75 < high
    assert 0.6 < low < 0.65  # binomial with 12 videos: sd .072 → 1.96 sd = .14
    assert test["ci_reliable"]
    assert test["note"] == ""
    assert len(pd.read_csv(twelve.metrics / "plots/by_video.csv")) == 12
    curve = pd.read_csv(twelve.metrics / "plots/pr_curve.csv")
    assert curve.loc[curve["recall"] == 0.75, "precision"].item() == 1
    assert curve.loc[curve["recall"] == 0.76, "precision"].item() == 0


def test_same_inputs_same_bytes(twelve):
    figures(twelve)
    first = {path: path.read_bytes() for folder in (twelve.metrics, twelve.evaluation) for path in folder.rglob("*.*")}
    figures(twelve)
    assert len(first) == 6
    assert {path: path.read_bytes() for path in first} == first


def test_wrong_species_is_one_missed_and_one_false(tmp_path):
    project = new_project(tmp_path)
    project.skeleton.write_text("species: [mouse, rat]\n")
    write_labels(project, [box("cage3", 1)])
    write_predictions(project, [detection("cage3", 1, species="rat")])
    test = figures(project)["test"]
    assert (test["n_found"], test["n_missed"], test["n_false"]) == (0, 1, 1)
    assert "oks_ap" not in test  # boxes only
    assert test["box_ap50"] == 0
