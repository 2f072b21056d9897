"""The oracle answers with the truth, or with slips that depend on the frame alone."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from etholoop.io.vocabulary import read_ethogram, read_skeleton
from etholoop.schema.ethogram import ethogram_from
from etholoop.schema.skeleton import skeleton_from
from etholoop.simulation import body, oracle, truth
from etholoop.simulation.scene import make_scene

SCENES = {"v1": make_scene("v1", seed=1, n_frames=60), "v2": make_scene("v2", seed=1, n_frames=60)}
REQUESTS = [("v1", 0), ("v2", 30), ("v1", 59), ("v2", 7)]
SLIPS = oracle.Noise(keypoint_px=1.5, box_px=2.0, miss_rate=0.3, swap_rate=0.3)


def test_without_noise_the_answer_is_the_truth():
    for record, (video_id, frame) in zip(oracle.answer(REQUESTS, SCENES), REQUESTS, strict=True):
        scene = SCENES[video_id]
        assert record["uid"] == f"{video_id}:{frame:08d}" and record["status"] == "animals" and record["annotator"] == "oracle"
        boxes = truth.visible_animals(scene, frame)
        assert [instance["identity"] for instance in record["instances"]] == [scene.identities[animal] for animal in boxes]
        for instance, (animal, corners) in zip(record["instances"], boxes.items(), strict=True):
            assert instance["class"] == "mouse" and tuple(instance["box"]) == corners
            points, visibility = truth.keypoints_of(scene, frame, animal)
            for name, point, seen in zip(body.KEYPOINTS, points, visibility, strict=True):
                assert instance["keypoints"][name] == [*point, seen]


def test_noise_does_not_depend_on_the_order_of_questions():
    forwards = oracle.answer(REQUESTS, SCENES, noise=SLIPS, seed=5)
    backwards = oracle.answer(REQUESTS[::-1], SCENES, noise=SLIPS, seed=5)
    alone = [oracle.answer([request], SCENES, noise=SLIPS, seed=5)[0] for request in REQUESTS]
    assert forwards == backwards[::-1] == alone


def test_another_seed_and_another_annotator_slip_differently():
    answers = [
        oracle.answer(REQUESTS, SCENES, noise=SLIPS, seed=seed, annotator=annotator) for seed, annotator in ((5, "a"), (6, "a"), (5, "b"))
    ]
    boxes = [[instance["box"] for record in answer for instance in record["instances"]] for answer in answers]
    assert boxes[0] != boxes[1] and boxes[0] != boxes[2]


def test_noise_is_as_large_as_it_says():
    requests = [(video_id, frame) for video_id in SCENES for frame in range(60)]
    noise = oracle.Noise(keypoint_px=1.5, box_px=2.0)
    errors, box_errors = [], []
    for clean, noisy in zip(oracle.answer(requests, SCENES), oracle.answer(requests, SCENES, noise=noise), strict=True):
        for a, b in zip(clean["instances"], noisy["instances"], strict=True):
            box_errors.append(np.subtract(b["box"], a["box"]))
            errors += [np.subtract(b["keypoints"][name][:2], point[:2]) for name, point in a["keypoints"].items() if point[2] == 2]
    assert np.std(errors) == pytest.approx(1.5, rel=0.1) and abs(np.mean(errors)) < 0.15
    assert np.std(box_errors) == pytest.approx(2.0, rel=0.1)


def test_miss_and_swap_rates():
    requests = [(video_id, frame) for video_id in SCENES for frame in range(60)]
    clean = oracle.answer(requests, SCENES)
    missed = oracle.answer(requests, SCENES, noise=oracle.Noise(miss_rate=1.0))
    assert all(len(record["instances"]) == 1 and record["status"] == "animals" for record in missed)
    swapped = oracle.answer(requests, SCENES, noise=oracle.Noise(swap_rate=1.0))
    for a, b in zip(clean, swapped, strict=True):
        for one, other in zip(a["instances"], b["instances"], strict=True):
            assert (
                one["keypoints"]["ear_left"] == other["keypoints"]["ear_right"] and one["keypoints"]["nose"] == other["keypoints"]["nose"]
            )


def test_labels_stay_inside_the_frame_whatever_the_noise():
    wild = oracle.Noise(keypoint_px=200, box_px=200)
    for record in oracle.answer(REQUESTS, SCENES, noise=wild):
        for instance in record["instances"]:
            x_min, y_min, x_max, y_max = instance["box"]
            assert 0 <= x_min < x_max <= 320 and 0 <= y_min < y_max <= 240
            assert all(0 <= x < 320 and 0 <= y < 240 for x, y, _ in instance["keypoints"].values())


def test_an_empty_arena_is_answered_as_no_animal():
    scenes = {"v3": make_scene("v3", seed=1, n_frames=4, enter_frame=2)}
    records = oracle.answer([("v3", 1), ("v3", 2)], scenes, noise=SLIPS)
    assert [record["status"] for record in records] == ["no_animal", "animals"]
    assert records[0]["instances"] == []


def test_questions_without_an_answer_are_refused():
    with pytest.raises(IndexError, match="session v1 has frames 0 to 59, asked for frame 60"):
        oracle.answer([("v1", 60)], SCENES)
    with pytest.raises(KeyError, match="v9"):
        oracle.answer([("v9", 0)], SCENES)


@pytest.mark.parametrize("faulty", [{"keypoint_px": -1}, {"miss_rate": 1.5}, {"swap_rate": -0.1}])
def test_impossible_noise_is_refused(faulty):
    with pytest.raises(ValueError):
        oracle.Noise(**faulty)


def test_answers_are_good_snapshot_records():
    snapshot = pytest.importorskip("etholoop.io.snapshot")
    behaviours = [record for video_id, scene in SCENES.items() for record in oracle.behaviours(video_id, scene)]
    answers = snapshot.Snapshot(oracle.answer(REQUESTS, SCENES, noise=oracle.HUMAN), behaviours)
    merged, changes = snapshot.merge(snapshot.Snapshot(), answers)
    assert len(merged.frames) == 4 and len(merged.behaviours) == 6 and len(changes.new) == 10
    assert not snapshot.merge(merged, answers)[1], "answering twice changes nothing"


def test_the_oracles_words_are_the_demo_preset():
    preset = Path(__file__).parents[2] / "label_studio/presets/demo"
    assert read_skeleton(preset / "skeleton.yaml") == skeleton_from(yaml.safe_load(oracle.skeleton_yaml()), "")
    assert read_ethogram(preset / "ethogram.yaml") == ethogram_from(yaml.safe_load(oracle.ethogram_yaml()), "")
    assert read_skeleton(preset / "skeleton.yaml").keypoint_names == body.KEYPOINTS
    assert skeleton_from(yaml.safe_load(oracle.skeleton_yaml(5)), "").n_animals == 5
    said = {behaviour for scene in SCENES.values() for behaviour in truth.bouts(scene, "v")["behaviour"]}
    assert said <= set(read_ethogram(preset / "ethogram.yaml").names)
