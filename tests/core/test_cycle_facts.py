"""Counts, history, examples and errors worked out of tables."""

import numpy as np
import pandas as pd
import pytest

from etholoop.core.cycle_facts import label_counts, learning_rows, next_steps, sample_frames, worst_errors

SPLITS = pd.DataFrame(
    {"video_id": ["a", "b"], "group": ["a", "b"], "start_frame": 0, "stop_frame": 100, "split": ["train", "test"], "mode": "group"}
)


def counts(labelled=(), boxes=(), keypoints=()):
    labelled = pd.DataFrame(labelled, columns=["video_id", "frame", "status", "n_animals"])
    boxes = pd.DataFrame(boxes, columns=["video_id", "frame", "instance", "species"])
    keypoints = pd.DataFrame(keypoints, columns=["video_id", "frame", "instance", "keypoint", "visibility"])
    return label_counts(labelled, boxes, keypoints, SPLITS, species=["mouse", "rat"], keypoint_names=["nose", "tail"])


def test_labels_are_counted_by_split_class_and_keypoint():
    found = counts(
        [("a", 1, "animals", 2), ("a", 2, "no_animal", 0), ("b", 1, "unusable", 0)],
        [("a", 1, 0, "mouse"), ("a", 1, 1, "rat")],
        [("a", 1, 0, "nose", 2), ("a", 1, 0, "tail", 0), ("a", 1, 1, "nose", 1)],
    )
    assert found.by_split["train"] == {"frames": 2, "animals": 2, "no_animal": 1, "unusable": 0, "videos": 1}
    assert found.by_split["test"]["unusable"] == 1
    assert found.by_class == {"mouse": {"train": 1, "val": 0, "test": 0}, "rat": {"train": 1, "val": 0, "test": 0}}
    assert found.by_keypoint == {"nose": {"visible": 1, "hidden": 1, "missing": 0}, "tail": {"visible": 0, "hidden": 0, "missing": 2}}
    assert found.n_frames == 3


def test_no_labels():
    assert counts().n_frames == 0
    assert counts().by_class["mouse"] == {"train": 0, "val": 0, "test": 0}


def test_history_leaves_out_the_open_cycle_and_cycles_without_figures():
    ledgers = [
        {"cycle": "c001", "labels": {"frames": 0}, "metrics": {}},
        {"cycle": "c002", "labels": {"frames": 20}, "metrics": {"box_ap50": 0.5, "ci": {"box_ap50": [0.4, 0.6], "rmse_px": [None, None]}}},
        {"cycle": "c003", "labels": {"frames": 99}, "metrics": {"box_ap50": 0.1}},
    ]
    rows = learning_rows(ledgers, "c003", {"box_ap50": 0.9}, 40)
    assert [(row["cycle"], row["n_frames"], row["figures"]["box_ap50"]) for row in rows] == [("c002", 20, 0.5), ("c003", 40, 0.9)]
    assert rows[0]["ci"] == {"box_ap50": [0.4, 0.6]}


def test_examples_are_spread_over_videos_and_time():
    frames = pd.DataFrame({"video_id": ["b"] * 10 + ["a"] * 100 + ["c"], "frame": [*range(10), *range(100), 7]})
    chosen = sample_frames(frames, 7)
    assert [video for video, _ in chosen] == ["a", "a", "a", "b", "b", "b", "c"]
    assert [frame for video, frame in chosen if video == "a"] == [16, 50, 83]
    assert sample_frames(frames.sample(frac=1, random_state=0), 7) == chosen
    assert sample_frames(frames.iloc[:0], 5) == []
    assert len(sample_frames(frames, 1000)) == 111


def match(frame, kind, iou=0.0, confidence=np.nan, *, true=None, predicted=None):
    return {
        "video_id": "b",
        "frame": frame,
        "kind": kind,
        "species": "mouse",
        "true_instance": true,
        "predicted_instance": predicted,
        "iou": iou,
        "confidence": confidence,
    }


MATCHES = pd.DataFrame(
    [
        match(1, "hit", 0.9, 0.8, true=0, predicted=1),
        match(2, "missed", 0.3, true=0),
        match(3, "missed", 0.0, true=1),
        match(4, "false", 0.0, 0.4, predicted=0),
        match(5, "false", 0.2, 0.9, predicted=2),
    ]
)
ERRORS = pd.DataFrame(
    {
        "video_id": "b",
        "frame": [1, 1, 6],
        "instance": 0,
        "keypoint": ["nose", "tail", "nose"],
        "error_px": [20.0, 30.0, np.nan],
        "box_px": 100.0,
    }
)


def test_worst_errors_take_turns():
    errors = worst_errors(MATCHES, ERRORS, 4)
    assert [(error.kind, error.frame) for error in errors] == [("missed", 3), ("false", 5), ("keypoint", 1), ("missed", 2)]
    assert errors[0].words == "missed mouse: nothing found near it"
    assert errors[1].words == "false mouse, confidence 0.90: overlaps a labelled animal by 20 %"
    assert errors[2].words == "tail 30.0 px away (30 % of the animal's size)"
    assert (errors[2].true_instance, errors[2].predicted_instance) == (0, 1)


def test_no_frame_is_shown_twice():
    both = pd.concat([MATCHES, pd.DataFrame([match(3, "false", 0.3, 0.99, predicted=0)])])
    errors = worst_errors(both, ERRORS, 10)
    frames = [error.frame for error in errors]
    assert len(set(frames)) == len(frames) == 5


@pytest.mark.parametrize("n", [0, 1, 5])
def test_no_more_errors_than_asked(n):
    assert len(worst_errors(MATCHES, ERRORS, n)) == n


def test_no_errors():
    assert worst_errors(MATCHES.iloc[:1], ERRORS.iloc[:0], 5) == []


def steps(**changes):
    values = {"n_videos": 3, "counts": counts(), "n_batch": 8, "n_held_out": 5, "evaluated": False}
    return next_steps(**{**values, **changes})


def test_next_steps():
    assert "videos add" in steps(n_videos=0)[0]
    assert "held-out list first" in steps()[0]
    assert "held-out list:" in steps(counts=counts([("b", 1, "animals", 1)]))[0]
    assert any("Nothing is left" in step for step in steps(n_batch=0, n_held_out=0))
    assert "cycle close" in steps(evaluated=True)[-1]
    assert not any("cycle close" in step for step in steps())
