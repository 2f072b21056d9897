import json

import numpy as np
import pytest
from evaluation_project import (
    box,
    detection,
    keypoints,
    labelled,
    new_project,
    predicted_keypoints,
    video,
    write_labels,
    write_predictions,
    write_videos,
)

from etholoop.errors import FaultsError, GateError
from etholoop.io import images, tables
from etholoop.params import section_from
from etholoop.schema.dataset import PoseDataset
from etholoop.stages import check_dataset, check_labels, check_predictions, check_videos


def green(project, stage, name, **params):
    stage.run(project, stage.Params(**params))
    return json.loads((project.gates / f"{name}.json").read_text())


def red(project, stage, name, capsys, **params):
    """The full report of a red gate and what was printed."""
    (project.gates).mkdir(parents=True, exist_ok=True)
    (project.gates / f"{name}.json").write_text("old")
    with pytest.raises(GateError, match=f"reports/gates/failed/{name}.json"):
        stage.run(project, stage.Params(**params))
    assert not (project.gates / f"{name}.json").exists()
    return json.loads((project.gates / "failed" / f"{name}.json").read_text()), capsys.readouterr().err


def failed_rules(report):
    return {rule for table in report["tables"].values() for rule, outcome in table.items() if not outcome["success"]}


# videos ------------------------------------------------------------------------------------------------------------------


def test_videos_green_with_warnings(tmp_path, capsys):
    project = new_project(tmp_path)
    rows = [video("cage1"), video("cage2", sha256="1" * 64, n_frames_header=120, variable_rate=True)]
    gaps = [{"video_id": "cage2", "start_frame": 90, "stop_frame": 93, "reason": "damaged"}]
    write_videos(project, rows, [{"path": "videos/broken.mp4", "reason": "truncated", "detail": "the file stops"}], gaps=gaps)
    report = green(project, check_videos, "videos")
    assert report["success"]
    sources = {"n_sources": 2, "n_videos": 2, "n_image_folders": 0, "n_quarantined": 1}
    assert report["counts"] == {**sources, "n_frames": 197, "n_frames_in_gaps": 3}
    assert {name: found["n"] for name, found in report["warnings"].items()} == {
        "quarantined": 1,
        "gaps": 1,
        "variable_frame_rate": 1,
        "header_count_differs": 1,
        "same_content": 0,
    }
    assert report["warnings"]["quarantined"]["first"][0]["path"] == "videos/broken.mp4"
    assert "quarantined" in capsys.readouterr().err


def test_zero_sources_is_red_and_says_how_to_add(tmp_path, capsys):
    project = new_project(tmp_path, (), ())
    report, printed = red(project, check_videos, "videos", capsys)
    assert failed_rules(report) == {"some_source"}
    assert "etholoop videos add" in printed


def test_video_without_frame_rate_is_named(tmp_path, capsys):
    project = new_project(tmp_path)
    write_videos(project, [video("cage1"), video("cage9", path="videos/cage9.mp4", fps_num=0)])
    report, printed = red(project, check_videos, "videos", capsys)
    assert failed_rules(report) == {"frame_rate_known"}
    assert report["tables"]["videos"]["frame_rate_known"]["bad"] == [{"row": 1, "video_id": "cage9", "path": "videos/cage9.mp4"}]
    assert "data/manifest/videos.parquet" in printed
    assert "videos/cage9.mp4" in printed


# labels ------------------------------------------------------------------------------------------------------------------


def test_no_labels_is_green(tmp_path):
    report = green(new_project(tmp_path), check_labels, "labels")
    assert report["counts"]["n_labelled_frames"] == 0
    assert report["notes"] == ["no labelled frames yet: label data/selection/batch.parquet"]


def test_good_labels_are_green_and_give_the_same_bytes(tmp_path):
    project = new_project(tmp_path)
    write_labels(
        project, [box("cage1", 3), box("cage1", 3, 1, (100, 10, 150, 60))], keypoints("cage1", 3, tail=(90, 35)), empty=[("cage2", 7)]
    )
    report = green(project, check_labels, "labels")
    first = (project.gates / "labels.json").read_bytes()
    assert report["counts"] | {"n_labelled_frames": 2, "n_boxes": 2, "n_keypoints": 2, "n_no_animal": 1} == report["counts"]
    assert report["warnings"]["keypoint_outside_box"]["first"][0]["keypoint"] == "tail"  # 40 px right of a box of 40 px
    green(project, check_labels, "labels")
    assert (project.gates / "labels.json").read_bytes() == first


BAD_LABELS = {
    "inside_image": {"boxes": [box("cage1", 3, corners=(150, 20, 203, 40))], "points": []},
    "positive_area": {"boxes": [box("cage1", 3, corners=(50, 20, 50, 40))]},
    "species_known": {"boxes": [box("cage1", 3, species="mouze")]},
    "marked_once": {"boxes": [box("cage1", 3), box("cage1", 3, 1, (10, 20, 50.5, 40))]},
    "frame_is_labelled": {"boxes": [box("cage1", 3), box("cage1", 4)], "frames": [labelled("cage1", 3)]},
    "frame_exists": {"boxes": [box("cage1", 100)]},
    "count_fits_status": {"boxes": [box("cage1", 3)], "frames": [labelled("cage1", 3, 0, "no_animal")]},
    "has_box": {"boxes": [box("cage1", 3)], "points": keypoints("cage1", 3, 1)[:1]},
    "placed_if_visible": {"boxes": [box("cage1", 3)], "points": [keypoints("cage1", 3)[0] | {"x": np.nan}]},
    "keypoint_known": {"boxes": [box("cage1", 3)], "points": [keypoints("cage1", 3)[0] | {"keypoint": "noze"}]},
    "inside_video": {"bouts": [{"video_id": "cage1", "subject": "", "behaviour": "groom", "start_frame": 90, "stop_frame": 101}]},
    "source_known": {"bouts": [{"video_id": "cage77", "subject": "", "behaviour": "groom", "start_frame": 0, "stop_frame": 1}]},
    "behaviour_known": {"bouts": [{"video_id": "cage1", "subject": "", "behaviour": "gruum", "start_frame": 0, "stop_frame": 1}]},
}


@pytest.mark.parametrize("rule", BAD_LABELS)
def test_each_bad_label_is_red_with_file_and_row(tmp_path, capsys, rule):
    project = new_project(tmp_path)
    content = dict(BAD_LABELS[rule])
    content["bouts"] = [bout | {"confidence": np.nan, "source": "anna"} for bout in content.get("bouts", ())]
    write_labels(project, **content)
    report, printed = red(project, check_labels, "labels", capsys)
    assert failed_rules(report) == {rule}
    table, outcome = next((table, rules[rule]) for table, rules in report["tables"].items() if rule in rules and not rules[rule]["success"])
    assert outcome["n_bad"] == 1
    assert outcome["bad"][0]["video_id"].startswith("cage")
    assert f"data/annotations/{table}.parquet · {rule}: 1 of" in printed
    assert outcome["bad"][0]["video_id"] in printed


def test_keypoint_outside_the_image_is_red(tmp_path, capsys):
    project = new_project(tmp_path)
    write_labels(project, [box("cage1", 3)], keypoints("cage1", 3, nose=(15, 102)))
    report, _ = red(project, check_labels, "labels", capsys)
    assert failed_rules(report) == {"inside_image"}
    assert report["tables"]["keypoints"]["inside_image"]["bad"][0] == {
        "row": 0,
        "video_id": "cage1",
        "frame": 3,
        "instance": 0,
        "keypoint": "nose",
        "x": 15.0,
        "y": 102.0,
        "visibility": 2,
    }
    assert report["tables"]["boxes"]["inside_image"]["success"]
    green(project, check_labels, "labels", tolerance_px=2)
    assert not (project.gates / "failed/labels.json").exists()


def test_misspelt_words_come_with_the_nearest(tmp_path, capsys):
    project = new_project(tmp_path)
    write_labels(project, [box("cage1", 3, species="mouze")])
    _, printed = red(project, check_labels, "labels", capsys)
    assert "did you mean 'mouse'?" in printed


def test_frame_that_is_not_in_an_image_folder_is_red(tmp_path, capsys):
    project = new_project(tmp_path)
    folder = video("lab", kind="images", path="images/lab", n_frames=9, fps_num=0, n_frames_header=None)
    write_videos(project, [folder], images=[{"video_id": "lab", "frame": 8, "path": "images/lab/8.png", "sha256": "0"}])
    write_labels(project, [box("lab", 8)])
    green(project, check_labels, "labels")
    write_labels(project, [box("lab", 7)])
    report, _ = red(project, check_labels, "labels", capsys)
    assert report["tables"]["labelled_frames"]["frame_exists"]["bad"][0]["frame_exists"] == "no image of this number in the folder"


def test_only_twenty_rows_are_printed_and_all_are_kept(tmp_path, capsys):
    project = new_project(tmp_path)
    write_labels(project, [box("cage1", frame, species="rat") for frame in range(25)])
    report, printed = red(project, check_labels, "labels", capsys)
    assert len(report["tables"]["boxes"]["species_known"]["bad"]) == 25
    assert "… and 5 more" in printed


# predictions -------------------------------------------------------------------------------------------------------------


def test_no_model_is_green(tmp_path):
    report = green(new_project(tmp_path), check_predictions, "predictions")
    assert report["notes"] == ["no predictions: there is no trained model yet"]


def test_good_predictions_are_green(tmp_path):
    project = new_project(tmp_path)
    write_predictions(project, [detection("cage1", 3)], predicted_keypoints("cage1", 3, tail=(np.nan, np.nan)))
    report = green(project, check_predictions, "predictions")
    assert report["counts"] == {"n_frames": 1, "n_detections": 1, "n_keypoints": 1, "n_frames_without_animal": 0}


BAD_PREDICTIONS = {
    "confidence_is_largest": {"detections": [detection("cage1", 3, p_mouse=0.5)]},
    "positive_area": {"detections": [detection("cage1", 3, corners=(50, 20, 10, 40))]},
    "species_known": {"detections": [detection("cage1", 3, species="rat")]},
    "frame_exists": {"detections": [detection("cage1", 100)]},
    "count_fits": {"detections": [], "frames": [{"video_id": "cage1", "frame": 3, "n_detections": 2}]},
    "has_detection": {"detections": [detection("cage1", 3)], "points": predicted_keypoints("cage1", 3, 1)[:1]},
    "finite_if_given": {"detections": [detection("cage1", 3)], "points": predicted_keypoints("cage1", 3, tail=(1, np.nan))},
    "keypoint_known": {"detections": [detection("cage1", 3)], "points": [predicted_keypoints("cage1", 3)[0] | {"keypoint": "ear"}]},
}


@pytest.mark.parametrize("rule", BAD_PREDICTIONS)
def test_each_bad_prediction_is_red(tmp_path, capsys, rule):
    project = new_project(tmp_path)
    write_predictions(project, **BAD_PREDICTIONS[rule])
    report, printed = red(project, check_predictions, "predictions", capsys)
    expected = {rule} | ({"confidence_is_largest"} if rule == "species_known" else set())
    assert failed_rules(report) == expected
    outcome = next(rules[rule] for rules in report["tables"].values() if rule in rules)
    assert (outcome["n_bad"], outcome["bad"][0]["row"], outcome["bad"][0]["video_id"]) == (1, outcome["bad"][0]["row"], "cage1")
    assert f"{rule}: 1 of" in printed


# dataset -----------------------------------------------------------------------------------------------------------------


def write_dataset(project, places, changes=None, text="0 0.5 0.5 0.2 0.2 0.5 0.5 2 0.6 0.6 1\n"):
    """Images of different noise, one per (video_id, frame, split)."""
    rows = []
    for number, (video_id, frame, split) in enumerate(places):
        name = f"{split}/{video_id}-{frame:08d}"
        image = np.random.default_rng(number).integers(0, 256, (50, 60, 3), np.uint8)
        images.write_rgb(project.pose_dataset / "images" / f"{name}.png", image)
        label = project.pose_dataset / "labels" / f"{name}.txt"
        label.parent.mkdir(parents=True, exist_ok=True)
        label.write_text(text)
        row = {
            "video_id": video_id,
            "frame": frame,
            "split": split,
            "group": video_id,
            "image": f"images/{name}.png",
            "label": f"labels/{name}.txt",
        }
        rows.append(row | {"width": 60, "height": 50, "n_instances": 1, "sha256": str(number)} | (changes or {}).get(number, {}))
    table = tables.from_rows(rows, PoseDataset)
    tables.write(table, PoseDataset, project.pose_dataset / "index.parquet")
    return project


PLACES = [("cage1", 3, "train"), ("cage2", 3, "val"), ("cage3", 3, "test")]


@pytest.fixture
def project(tmp_path):
    return write_dataset(new_project(tmp_path), PLACES)


def test_good_dataset_is_green(project):
    report = green(project, check_dataset, "dataset")
    assert report["counts"] == {"n_images": 3, "n_instances": 3, "n_leaks": 0, "n_train": 1, "n_val": 1, "n_test": 1}
    assert report["overrides"] == {}


def test_no_labelled_images_is_green_even_with_one_recording(tmp_path):
    project = write_dataset(new_project(tmp_path, ["cage1"], ["train"]), [])
    report = green(project, check_dataset, "dataset")
    assert report["notes"][0] == "no labelled images yet"
    assert "split.mode: blocks" in report["notes"][1]


def test_one_recording_must_use_blocks(tmp_path, capsys):
    project = write_dataset(new_project(tmp_path, ["cage1"], ["train"]), [("cage1", 3, "train")])
    report, printed = red(project, check_dataset, "dataset", capsys)
    assert failed_rules(report) == {"recordings_suffice"}
    assert "split.mode: blocks" in printed


def test_missing_split_is_noted_and_red_only_where_required(project, capsys):
    write_dataset(project, PLACES[:2])
    assert "held_out.parquet" in green(project, check_dataset, "dataset")["notes"][0]
    report, printed = red(project, check_dataset, "dataset", capsys, required_splits=("train", "test"))
    assert failed_rules(report) == {"split_present"}
    assert "held_out.parquet" in printed


LEAKING = {
    "same_group": (PLACES, {0: {"group": "monday"}, 2: {"group": "monday"}}),
    "same_bytes": (PLACES, {0: {"sha256": "same"}, 2: {"sha256": "same"}}),
    "neighbours": ([*PLACES, ("cage1", 20, "val")], {0: {"group": "a"}, 3: {"group": "b"}}),
}


@pytest.mark.parametrize("rule", LEAKING)
def test_each_leak_is_red_and_can_be_overridden_with_a_reason(project, capsys, rule):
    write_dataset(project, *LEAKING[rule])
    report, printed = red(project, check_dataset, "dataset", capsys)
    assert failed_rules(report) == {rule}
    assert report["tables"]["index"][rule]["n_bad"] == 1
    assert "cage1:00000003 in train" in report["tables"]["index"][rule]["bad"][0][rule]
    assert "cage1:00000003 in train" in printed
    report = green(project, check_dataset, "dataset", overrides=[{"rule": rule, "reason": "compatibility run"}])
    assert report["overrides"] == {rule: {"needed": True, "reason": "compatibility run"}}
    assert report["tables"]["index"][rule]["overridden"]
    assert report["success"]


def test_neighbours_far_enough_in_seconds_are_no_leak(project):
    write_dataset(project, [*PLACES, ("cage1", 28, "val")], {0: {"group": "a"}, 3: {"group": "b"}})
    green(project, check_dataset, "dataset")  # 25 frames at 25 frames a second


def test_near_duplicate_image_is_red(project, capsys):
    first, last = (project.pose_dataset / f"images/{split}/{video_id}-{frame:08d}.png" for video_id, frame, split in (PLACES[0], PLACES[2]))
    image = images.read_rgb(first).astype(int)
    images.write_rgb(last, np.clip(image + 2, 0, 255).astype(np.uint8))
    report, _ = red(project, check_dataset, "dataset", capsys)
    assert failed_rules(report) == {"near_duplicate"}
    assert report["tables"]["index"]["near_duplicate"]["bad"][0]["video_id"] == "cage3"


def test_image_that_does_not_decode_or_has_another_size_is_red(project, capsys):
    (project.pose_dataset / "images/val/cage2-00000003.png").write_text("not an image")
    images.write_rgb(project.pose_dataset / "images/test/cage3-00000003.png", np.zeros((5, 6, 3), np.uint8))
    report, printed = red(project, check_dataset, "dataset", capsys)
    bad = report["tables"]["index"]["image_reads"]["bad"]
    assert [row["row"] for row in bad] == [1, 2]
    assert "images/val/cage2-00000003.png" in bad[0]["image_reads"]
    assert "6x5 pixels, the index says 60x50" in bad[1]["image_reads"]
    assert failed_rules(report) == {"image_reads"}
    assert "cage2" in printed


@pytest.mark.parametrize("text", ["0 0.5 0.5 0.2 0.2\n", "", "0 0.5 0.5 0.2 0.2 0.5 0.5 2 1.6 0.6 1\n"])
def test_short_missing_or_impossible_label_line_is_red(project, capsys, text):
    (project.pose_dataset / "labels/val/cage2-00000003.txt").write_text(text)
    report, _ = red(project, check_dataset, "dataset", capsys)
    assert failed_rules(report) == {"label_fits"}
    bad = report["tables"]["index"]["label_fits"]["bad"][0]
    assert bad["label_fits"].startswith("labels/val/cage2-00000003.txt")
    assert str(project.root) not in json.dumps(report)


@pytest.mark.parametrize(
    "override", [{"rule": "same_group", "reason": "  "}, {"rule": "image_reads", "reason": "x"}, {"rule": "same_group"}]
)
def test_override_needs_a_reason_and_a_rule_that_may_be_overridden(override):
    with pytest.raises(FaultsError, match="overrides"):
        section_from({"check_dataset": {"overrides": [override]}}, "check_dataset", check_dataset.Params, "params.yaml")
