import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etholoop.core.metrics.animals import Animals, animals_by_frame
from etholoop.core.metrics.pose import counts_of, figures_by_weight, gather, keypoint_figures, precision_recall_table
from etholoop.errors import FaultsError

NAMES, SIGMAS = ("nose", "tail"), (0.05, 0.1)


def animals(corners, points=None, confidence=None, species=None):
    n = len(corners)
    points = np.full((n, 2, 3), np.nan) if points is None else np.array(points, float).reshape(n, 2, 3)
    points[:, :, 2] = np.nan_to_num(points[:, :, 2])
    confidence = np.full(n, np.nan) if confidence is None else np.array(confidence, float)
    species = np.array(species if species else ["mouse"] * n, object)
    return Animals(np.arange(n), species, np.array(corners, float).reshape(n, 4), confidence, points)


def frames_of(*keys):
    return pd.DataFrame(list(keys), columns=["video_id", "frame"])


def compare(true, found, frames=None, min_confidence=0.25):
    frames = frames_of(*sorted({*true, *found})) if frames is None else frames
    return gather(frames, true, found, keypoint_names=NAMES, sigmas=SIGMAS, min_confidence=min_confidence)


def figures(evidence):
    return figures_by_weight(evidence, pck_alpha=0.1, pck_px=5)(np.ones(len(evidence.videos)))


BOX = [0, 0, 40, 20]
POINTS = [[[5, 10, 2], [35, 10, 2]]]


def test_matching_goes_by_boxes_so_that_a_bad_pose_keeps_its_error():
    wrong = [[[35, 10, 0.9], [5, 10, 0.9]]]  # nose and tail exchanged: 30 px each
    evidence = compare({("a", 0): animals([BOX], POINTS)}, {("a", 0): animals([BOX], wrong, [0.9])})
    found = figures(evidence)
    assert (found["rmse_px"], found["median_px"], found["pck"], found["pck_px"]) == (30, 30, 0, 0)
    assert found["box_ap50"] == pytest.approx(1)
    assert found["oks_ap50"] == 0
    assert evidence.matches["kind"].tolist() == ["hit"]
    assert evidence.matches["oks"].item() < 0.01


def test_the_more_confident_of_two_detections_is_the_hit():
    found = animals([[0, 0, 40, 19], BOX], confidence=[0.9, 0.6])
    matches = compare({("a", 0): animals([BOX])}, {("a", 0): found}).matches
    assert matches[["kind", "predicted_instance"]].values.tolist() == [["hit", 0], ["false", 1]]
    assert matches["iou"].tolist() == [0.95, 1.0]
    assert np.isnan(matches["oks"].iloc[0])  # no labelled keypoints


def test_weak_detections_count_for_average_precision_only():
    evidence = compare({("a", 0): animals([BOX])}, {("a", 0): animals([BOX], confidence=[0.1])})
    found = figures(evidence)
    assert found["box_ap50"] == pytest.approx(1)
    assert (found["recall"], found["count_accuracy"]) == (0, 0)
    assert np.isnan(found["precision"])
    assert np.isnan(found["ece"])


def test_empty_frames_count_as_right_when_nothing_is_found_there():
    evidence = compare({}, {("a", 1): animals([BOX], confidence=[0.9])}, frames_of(("a", 0), ("a", 1)))
    found = figures(evidence)
    assert found["count_accuracy"] == 0.5
    assert found["ece"] == pytest.approx(0.9)
    assert np.isnan(found["box_ap50"])
    assert counts_of(evidence) | {"n_instances": 0, "n_false": 1, "n_found": 0, "n_missed": 0} == counts_of(evidence)
    assert precision_recall_table(evidence).empty


def test_each_species_is_matched_with_its_own_and_counts_equally():
    true = {("a", 0): animals([BOX, [100, 0, 140, 20]], species=["mouse", "rat"])}
    found = {("a", 0): animals([BOX, [100, 0, 140, 20]], confidence=[0.9, 0.9], species=["mouse", "mouse"])}
    result = figures(compare(true, found))
    assert result["box_ap50"] == pytest.approx(0.5)  # mouse 1, rat 0
    assert (result["precision"], result["recall"]) == (0.5, 0.5)


def test_figures_of_each_keypoint():
    moved = [[[5, 13, 0.9], [35, 10, 0.9]]]
    evidence = compare({("a", 0): animals([BOX], POINTS)}, {("a", 0): animals([BOX], moved, [0.9])})
    per_point = keypoint_figures(evidence, pck_alpha=0.05)  # limit 2 px
    assert per_point["nose"] == {"rmse_px": 3, "median_px": 3, "mean_px": 3, "pck": 0, "n": 1}
    assert per_point["tail"] == {"rmse_px": 0, "median_px": 0, "mean_px": 0, "pck": 1, "n": 1}


@st.composite
def scenes(draw):
    """Labels and predictions of three videos, with up to three animals a frame and confidences that differ."""
    true, found, next_confidence = {}, {}, iter(draw(st.permutations([i / 40 for i in range(40)])))
    number = st.integers(0, 30)
    for video in "abc":
        for frame in range(2):
            for side, many in ((true, draw(st.integers(0, 3))), (found, draw(st.integers(0, 3)))):
                if many:
                    corners = [[x, y, x + 20, y + 20] for x, y in draw(st.lists(st.tuples(number, number), min_size=many, max_size=many))]
                    points = [[[x + 5, y + 5, 1], [x + 15, y + 15, 1]] for x, y, _, _ in corners]
                    confidence = [next(next_confidence) for _ in corners] if side is found else None
                    side[video, frame] = animals(corners, points, confidence)
    return true, found


ALL = frames_of(*[(video, frame) for video in "abc" for frame in range(2)])


@settings(max_examples=30, deadline=None)
@given(scenes())
def test_names_of_videos_do_not_matter(scene):
    true, found = scene
    new = dict(zip("abc", "zxy", strict=True))
    renamed = [{(new[video], frame): animals for (video, frame), animals in side.items()} for side in (true, found)]
    before = figures(compare(true, found, ALL))
    after = figures(compare(*renamed, ALL.assign(video_id=ALL["video_id"].map(new))))
    assert after == pytest.approx(before, nan_ok=True)


@settings(max_examples=30, deadline=None)
@given(scenes())
def test_every_animal_is_found_or_missed_and_every_kept_detection_right_or_false(scene):
    true, found = scene
    counts = counts_of(compare(true, found, ALL))
    kept = sum((side.confidence >= 0.25).sum() for side in found.values())
    assert counts["n_found"] + counts["n_missed"] == counts["n_instances"] == sum(map(len, true.values()))
    assert counts["n_found"] + counts["n_false"] == kept


@settings(max_examples=20, deadline=None)
@given(scenes())
def test_labels_predicted_as_they_are_give_the_best_figures(scene):
    true, _ = scene
    perfect = {key: Animals(a.instance, a.species, a.boxes, np.linspace(0.9, 0.8, len(a)), a.keypoints) for key, a in true.items()}
    result = figures(compare(true, perfect, ALL))
    if true:
        assert result["box_ap"] == pytest.approx(1)
        assert result["oks_ap"] == pytest.approx(1)
        assert (result["recall"], result["precision"], result["rmse_px"], result["count_accuracy"]) == (1, 1, 0, 1)


def test_tables_become_arrays_in_the_skeletons_order():
    boxes = pd.DataFrame(
        {
            "video_id": "a",
            "frame": [3, 3],
            "instance": [1, 0],
            "species": "mouse",
            "x_min": [5.0, 0],
            "y_min": 0.0,
            "x_max": 40.0,
            "y_max": 20.0,
        }
    ).assign(confidence=np.nan)
    keypoints = pd.DataFrame(
        {"video_id": ["a"], "frame": [3], "instance": [1], "keypoint": ["tail"], "x": [7.0], "y": [8.0], "visibility": [1]}
    )
    result = animals_by_frame(boxes, keypoints, NAMES, "visibility")
    assert list(result) == [("a", 3)]
    assert result["a", 3].boxes[:, 0].tolist() == [0, 5]
    np.testing.assert_equal(result["a", 3].keypoints[1], [[np.nan, np.nan, 0], [7, 8, 1]])
    np.testing.assert_equal(result["a", 3].keypoints[0][:, 2], [0, 0])


def test_keypoints_that_fit_nothing_are_named_together():
    boxes = pd.DataFrame({"video_id": ["a"], "frame": [3], "instance": [0], "species": ["mouse"]})
    boxes = boxes.assign(x_min=0.0, y_min=0.0, x_max=4.0, y_max=2.0, confidence=np.nan)
    keypoints = pd.DataFrame(
        {"video_id": "a", "frame": 3, "instance": [0, 7], "keypoint": ["ear", "nose"], "x": 1.0, "y": 1.0, "visibility": 2}
    )
    with pytest.raises(FaultsError) as error:
        animals_by_frame(boxes, keypoints, NAMES, "visibility")
    assert len(error.value.faults) == 2
    assert "ear" in error.value.faults[0]
    assert "instance 7" in error.value.faults[1]
