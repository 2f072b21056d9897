"""Label Studio screens agree with the project's YAML, and Label Studio's own checker accepts what we draw in."""

import copy
from pathlib import Path

import pytest
from label_studio_sdk.label_interface import LabelInterface

from etholoop.io import label_studio_config as screen
from etholoop.io import label_studio_tasks as tasks
from etholoop.io.label_studio_check import prediction_faults
from etholoop.io.vocabulary import read_ethogram, read_skeleton
from etholoop.schema.ethogram import ethogram_from
from etholoop.schema.skeleton import skeleton_from

PRESETS = sorted(path.name for path in (Path(__file__).parents[2] / "label_studio/presets").iterdir() if path.is_dir())
FOLDER = Path(__file__).parents[2] / "label_studio/presets"

SKELETON = skeleton_from({"species": ["mouse", "rat"], "keypoints": ["nose", "tail"], "animals": 2}, "test")
ETHOGRAM = ethogram_from(
    {
        "behaviours": [
            {"name": "walk", "definition": "moves", "exclusive_group": "gait", "key": "w"},
            {"name": "rest", "definition": "stays", "exclusive_group": "gait"},
            {"name": "sniff", "definition": "smells"},
            {"name": "jump", "definition": "leaves the ground", "kind": "point", "key": "1"},
        ]
    },
    "test",
)


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_has_screens_that_say_what_the_files_say(preset):
    skeleton, ethogram = read_skeleton(FOLDER / preset / "skeleton.yaml"), read_ethogram(FOLDER / preset / "ethogram.yaml")
    frames = LabelInterface(screen.frames_config(skeleton))
    assert list(frames.get_control(screen.ANIMAL).labels) == list(skeleton.species)
    if skeleton.keypoints:
        assert list(frames.get_control(screen.KEYPOINT).labels) == list(skeleton.keypoint_names)
    behaviour = LabelInterface(screen.behaviour_config(ethogram))
    shown = [label for control in behaviour.controls for label in control.labels if control.tag == "TimelineLabels"]
    assert sorted(shown) == sorted([*ethogram.names, screen.LOOKED_AT])


@pytest.mark.parametrize("preset", PRESETS)
def test_no_key_does_two_things(preset):
    skeleton, ethogram = read_skeleton(FOLDER / preset / "skeleton.yaml"), read_ethogram(FOLDER / preset / "ethogram.yaml")
    for config in (screen.frames_config(skeleton), screen.behaviour_config(ethogram)):
        assert config.count("hotkey=") == len(screen.hotkeys(config))
    keys = screen.hotkeys(screen.behaviour_config(ethogram))
    assert all(keys[behaviour.key] == behaviour.name for behaviour in ethogram.behaviours if behaviour.key)


def test_an_exclusive_group_is_one_control_and_free_behaviours_have_their_own():
    controls = screen.behaviour_controls(ETHOGRAM)
    assert {name: [b.name for b in members] for name, members in controls.items()} == {
        "group_gait": ["walk", "rest"],
        "behaviour_sniff": ["sniff"],
        "behaviour_jump": ["jump"],
    }
    assert screen.hotkeys(screen.behaviour_config(ETHOGRAM))["w"] == "walk"


def test_predicted_animals_pass_label_studios_own_check():
    config = screen.frames_config(SKELETON)
    animal = {"class": "rat", "box": [0, 0, 10.5, 20], "confidence": 0.7, "keypoints": {"nose": [3, 4, 0.9], "tail": [1, 2, None]}}
    question = {"frame_uid": "v:00000001", "video_id": "v", "frame": 1, "width": 200, "height": 100, "predictions": [animal]}
    task = tasks.frame_task(question, model_version="pose-c001", image="/x.png")
    prediction = task["predictions"][0]
    assert prediction_faults(config, [task]) == []
    assert [item["value"].get("width") for item in prediction["result"]] == [0.5, 0.5, 5.25]
    assert prediction["score"] == 0.7
    prediction["result"][-1]["value"]["rectanglelabels"] = ["cat"]
    assert "v:00000001" in prediction_faults(config, [task])[0]


def test_predicted_bouts_pass_label_studios_own_check():
    config = screen.behaviour_config(ETHOGRAM)
    bouts = [{"behaviour": "walk", "start": 100, "stop": 110}, {"behaviour": "jump", "start": 199, "stop": 200}]
    window = {"video_id": "v", "subject": "", "start_frame": 100, "stop_frame": 200, "fps": 25.0, "shown": [[100, 200]], "bouts": bouts}
    task = tasks.behaviour_task(window | {"score": 0.5}, ETHOGRAM, model_version="seq-c001", video="/x.mp4")
    prediction = task["predictions"][0]
    assert prediction_faults(config, [task]) == []
    assert [item["value"]["ranges"] for item in prediction["result"]] == [[{"start": 1, "end": 10}], [{"start": 100, "end": 100}]]
    assert task["data"]["uid"] == "v:00000100-00000200:"
    for change in ({"timelinelabels": ["sniff"]}, {"ranges": []}, {"ranges": [{"start": 0, "end": 3}]}):
        wrong = copy.deepcopy(task)
        wrong["predictions"][0]["result"][0]["value"] |= change
        assert len(prediction_faults(config, [wrong])) == 1


def test_a_skeleton_without_keypoints_has_a_screen_of_boxes():
    config = LabelInterface(screen.frames_config(skeleton_from({"species": ["zebra"]}, "test")))
    assert [control.name for control in config.controls] == [screen.ANIMAL, screen.IDENTITY, screen.STATUS, screen.NOTE]


def test_held_out_questions_have_nothing_drawn_in():
    question = {"frame_uid": "v:00000001", "video_id": "v", "frame": 1, "width": 200, "height": 100, "predictions": []}
    assert "predictions" not in tasks.frame_task(question, model_version="pose-c001", image="/x.png")
