"""What we draw in comes back the same; what people do by hand comes back right or is refused with the reason."""

import copy
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etholoop.io import label_studio_annotations as annotations
from etholoop.io import label_studio_config as screen
from etholoop.io import label_studio_tasks as tasks
from etholoop.io import snapshot
from etholoop.io.snapshot import Snapshot
from etholoop.schema.ethogram import ethogram_from
from etholoop.schema.skeleton import skeleton_from

SKELETON = skeleton_from({"species": ["mouse", "rat"], "keypoints": ["nose", "ear", "tail"]}, "test")
ETHOGRAM = ethogram_from(
    {
        "behaviours": [
            {"name": "walk", "definition": "moves", "exclusive_group": "gait"},
            {"name": "rest", "definition": "stays", "exclusive_group": "gait"},
            {"name": "sniff", "definition": "smells"},
            {"name": "groom", "definition": "cleans"},
            {"name": "jump", "definition": "leaves the ground", "kind": "point"},
        ]
    },
    "test",
)
DATA = {"uid": "cage1:00000120", "width": 640, "height": 480}


def made_frame(rng: np.random.Generator) -> tuple[dict, dict]:
    """A label record and its task's data: any size of image, places on the very edge, animals of a hundredth of a pixel."""
    width, height = int(rng.integers(1, 8000)), int(rng.integers(1, 8000))
    record = {"uid": f"cage1:{rng.choice([0, 1, 99_999_999]):08d}", "annotator": "anna", "note": str(rng.choice(["", "dark, blurred"]))}
    instances = [made_animal(rng, width, height) for _ in range(rng.integers(0, 7))]
    status = "animals" if instances else str(rng.choice(["no_animal", "unusable"]))
    return record | {"status": status, "instances": instances}, {"uid": record["uid"], "width": width, "height": height}


def made_animal(rng: np.random.Generator, width: int, height: int) -> dict:
    def side(size):
        low = rng.choice([0.0, rng.uniform(0, size - 0.01)])
        high = rng.choice([float(size), low + 0.01, rng.uniform(low + 0.01, size)])
        return round(low, 4), round(min(high, size), 4)

    (x_min, x_max), (y_min, y_max) = side(width), side(height)
    points = {}
    for name in SKELETON.keypoint_names:
        if rng.random() < 0.7:  # anywhere in the image, a tail may leave its box
            x, y = (round(rng.choice([0.0, size, rng.uniform(0, size)]), 4) for size in (width, height))
            points[name] = [x, y, int(rng.integers(1, 3))]
    identity = str(rng.choice(["", "B12"])) or None
    return {"class": str(rng.choice(SKELETON.species)), "box": [x_min, y_min, x_max, y_max], "identity": identity, "keypoints": points}


def test_5000_frames_come_back_equal():
    rng = np.random.default_rng(4)
    for _ in range(5000):
        record, data = made_frame(rng)
        results = tasks.results_of_frame(record, data)
        read = annotations.frame_record(data, results, "anna", SKELETON)
        assert read.reasons == [] and read.remarks == []
        assert worst_difference_px(record, read.record) < 1e-6
        assert snapshot.dumps(Snapshot([read.record])) == snapshot.dumps(Snapshot([record]))


def worst_difference_px(one: dict, other: dict) -> float:
    pairs = zip(one["instances"], other["instances"], strict=True)
    differences = [0.0]
    for a, b in pairs:
        differences += np.abs(np.subtract(a["box"], b["box"])).tolist()
        differences += [abs(a["keypoints"][name][axis] - b["keypoints"][name][axis]) for name in a["keypoints"] for axis in (0, 1)]
    return max(differences)


def made_window(rng: np.random.Generator) -> tuple[dict, dict]:
    """A behaviour record and its task's data; the proxy may leave out broken frames."""
    first = int(rng.choice([0, 1, 1000]))
    shown, start = [], first
    for _ in range(rng.integers(1, 4)):
        stop = start + int(rng.integers(1, 200))
        shown.append([start, stop])
        start = stop + int(rng.integers(1, 9))
    frames = np.concatenate([np.arange(*part) for part in shown])
    bouts = []
    for name in ETHOGRAM.names:
        bouts += made_bouts(rng, name, frames)
    gait = sorted((bout for bout in bouts if bout["behaviour"] in ("walk", "rest")), key=lambda bout: (bout["start"], bout["stop"]))
    kept = [bout for bout in bouts if bout["behaviour"] not in ("walk", "rest")]
    for bout in gait:  # the group is exclusive
        if not kept or all(other["stop"] <= bout["start"] for other in kept if other["behaviour"] in ("walk", "rest")):
            kept.append(bout)
    looked_at = copy.deepcopy(shown)
    data = {"uid": "w", "video_id": "cage1", "subject": "B12", "shown": shown}
    # bouts over a gap lie outside of what was shown there: a bout within one stretch only
    kept = [bout for bout in kept if any(a <= bout["start"] and bout["stop"] <= b for a, b in shown)]
    return {"video": "cage1", "subject": "B12", "annotator": "anna", "looked_at": looked_at, "bouts": kept}, data


def made_bouts(rng: np.random.Generator, name: str, frames: np.ndarray) -> list[dict]:
    if name == "jump":
        chosen = rng.choice(frames, size=min(3, len(frames)), replace=False)
        return [{"behaviour": name, "start": int(frame), "stop": int(frame) + 1} for frame in chosen]
    ends = sorted({int(frames[0]), int(frames[-1]) + 1, *map(int, rng.choice(frames, size=4))})
    bouts = [{"behaviour": name, "start": a, "stop": b} for a, b in pairwise(ends)]  # touching ones stay apart
    return [bout for bout in bouts if rng.random() < 0.6]


def test_5000_windows_come_back_equal():
    rng = np.random.default_rng(5)
    for _ in range(5000):
        record, data = made_window(rng)
        read = annotations.behaviour_record(data, tasks.results_of_behaviour(record, data["shown"], ETHOGRAM), "anna", ETHOGRAM)
        assert read.reasons == [] and read.remarks == []
        assert snapshot.dumps(Snapshot([], [read.record])) == snapshot.dumps(Snapshot([], [record]))


@given(start=st.integers(0, 49), length=st.integers(1, 50), first=st.integers(0, 10**7))
@settings(max_examples=100)
def test_frames_count_from_one_and_include_both_ends(start, length, first):
    stop = min(start + length, 50)
    window = [[first, first + 50]]
    bout = {"behaviour": "sniff", "start": first + start, "stop": first + stop}
    item = tasks.bout_results([bout], window, ETHOGRAM)[0]
    assert item["value"]["ranges"] == [{"start": start + 1, "end": stop}]
    data = {"uid": "w", "video_id": "v", "subject": None, "shown": window}
    read = annotations.behaviour_record(data, [item], "anna", ETHOGRAM)
    assert read.record["bouts"] == [bout] and read.record["looked_at"] == window and read.record["subject"] == ""


def test_marked_stretches_say_what_was_looked_at():
    record = {"video": "v", "subject": "", "annotator": "anna", "looked_at": [[10, 20]], "bouts": []}
    data = {"uid": "w", "video_id": "v", "subject": "", "shown": [[0, 100]]}
    results = tasks.results_of_behaviour(record, data["shown"], ETHOGRAM)
    results += tasks.bout_results([{"behaviour": "sniff", "start": 15, "stop": 30}], data["shown"], ETHOGRAM)
    read = annotations.behaviour_record(data, results, "anna", ETHOGRAM)
    assert read.record["looked_at"] == [[10, 30]], "the time of a bout was looked at"


# --- what people do by hand --------------------------------------------------------------------------------------------------------


def box(name, x, y, width, height, *, label="mouse", **more):
    value = {"x": x, "y": y, "width": width, "height": height, "rotation": 0, "rectanglelabels": [label]}
    return {"id": name, "from_name": "animal", "type": "rectanglelabels", "value": value, **more}


def point(name, keypoint, x, y, parent=None, **more):
    item = {"id": name, "from_name": "keypoint", "type": "keypointlabels", "value": {"x": x, "y": y, "keypointlabels": [keypoint]}, **more}
    return item | ({"parentID": parent} if parent else {})


def read(*results, data=DATA):
    return annotations.frame_record(data, list(results), "anna", SKELETON)


def test_a_point_without_parent_goes_to_the_only_box_that_can_hold_it():
    left, right = box("l", 0, 0, 60, 100), box("r", 40, 0, 60, 100)
    # both noses lie in the overlap of the boxes, but one is bound, so the other belongs to the other box
    done = read(left, right, point("n1", "nose", 50, 50, "l"), point("n2", "nose", 55, 50))
    assert [instance["keypoints"]["nose"][0] for instance in done.record["instances"]] == [320.0, 352.0]
    # one nose lies in the left box only, so that the one in the overlap must be the right animal's
    done = read(left, right, point("n1", "nose", 50, 50), point("n2", "nose", 10, 50))
    assert [instance["keypoints"]["nose"][0] for instance in done.record["instances"]] == [64.0, 320.0]


def test_a_point_that_may_belong_to_two_animals_is_refused():
    done = read(box("l", 0, 0, 60, 100), box("r", 40, 0, 60, 100), point("n", "nose", 50, 50))
    assert done.record is None
    assert done.reasons == ["keypoint 'nose' at (320.0, 240.0) lies in 2 boxes that lack it; drag it onto its box in the list of regions"]


def test_the_only_animal_owns_points_outside_of_its_box():
    done = read(box("l", 0, 0, 10, 10), point("n", "tail", 50, 50))
    assert done.record["instances"][0]["keypoints"] == {"tail": [320.0, 240.0, 2]}


def test_two_points_of_one_name_are_refused():
    done = read(box("l", 0, 0, 10, 10), point("a", "nose", 5, 5, "l"), point("b", "nose", 6, 5, "l"))
    assert done.record is None and "stands twice" in done.reasons[0]


def test_hidden_points_and_identities_are_read_from_their_region():
    hidden = {"id": "n", "from_name": "visibility", "type": "choices", "value": {"choices": ["hidden"]}}
    who = {"id": "l", "from_name": "identity", "type": "textarea", "value": {"text": ["B12"]}}
    other = {"id": "m", "from_name": "visibility", "type": "choices", "value": {"choices": ["visible"]}}
    done = read(box("l", 0, 0, 10, 10), point("n", "nose", 5, 5, "l"), point("m", "ear", 5, 5, "l"), hidden, who, other)
    instance = done.record["instances"][0]
    assert instance["identity"] == "B12"
    assert instance["keypoints"] == {"nose": [32.0, 24.0, 1], "ear": [32.0, 24.0, 2]}


def test_a_box_beyond_the_edge_is_cut_and_told():
    done = read(box("l", -5, 90, 20, 20))
    assert done.record["instances"][0]["box"] == [0.0, 432.0, 96.0, 480.0]
    assert "beyond the image's edge" in done.remarks[0]


@pytest.mark.parametrize(
    ("results", "word"),
    [
        ([box("l", 110, 0, 20, 20)], "no area inside the image"),
        ([box("l", 0, 0, 0, 20)], "no area inside the image"),
        ([box("l", 0, 0, 20, 20, label="Mouse")], "did you mean 'mouse'?"),
        ([box("l", 0, 0, 20, 20), point("n", "nosee", 5, 5, "l")], "did you mean 'nose'?"),
        ([box("l", 0, 0, 20, 20), point("n", "nose", 120, 5, "l")], "outside of the image"),
        ([box("l", 0, 0, 20, 20, image_rotation=90)], "turned by 90 degrees"),
        ([box("l", 0, 0, 20, 20, original_width=480, original_height=640)], "480 x 640"),
        ([], "nothing is drawn and nothing is ticked"),
        ([point("n", "nose", 5, 5)], "lies in no box"),
        ([box("l", 0, 0, 20, 20), {"id": "s", "from_name": "frame", "value": {"choices": ["no_animal"]}}], "only one of the two"),
        ([{"id": "s", "from_name": "frame", "value": {"choices": ["empty"]}}], "unknown frame status"),
    ],
)
def test_what_cannot_be_true_is_refused_with_the_reason(results, word):
    done = read(*results)
    assert done.record is None
    assert word in " ".join(done.reasons)


def test_a_turned_box_is_refused():
    turned = box("l", 10, 10, 20, 20)
    turned["value"]["rotation"] = 12.5
    assert "turned by 12.5 degrees" in read(turned).reasons[0]


def test_another_size_of_the_same_picture_is_fine():
    assert read(box("l", 10, 10, 20, 20, original_width=320, original_height=240)).record["instances"][0]["box"] == [64, 48, 192, 144]


def test_a_screen_with_renamed_controls_still_reads():
    item = box("l", 10, 10, 20, 20) | {"from_name": "my_boxes"}
    assert read(item).record["status"] == "animals"


def ranges(label, *pairs):
    return {
        "id": label,
        "type": "timelinelabels",
        "value": {"ranges": [{"start": a, "end": b} for a, b in pairs], "timelinelabels": [label]},
    }


def read_window(*results, shown=((0, 50),)):
    data = {"uid": "w", "video_id": "v", "subject": "", "shown": shown}
    return annotations.behaviour_record(data, list(results), "anna", ETHOGRAM)


def test_overlapping_ranges_of_one_behaviour_are_one_bout():
    done = read_window(ranges("sniff", (1, 10), (5, 20)), ranges("groom", (5, 8)))
    assert [(b["behaviour"], b["start"], b["stop"]) for b in done.record["bouts"]] == [("sniff", 0, 20), ("groom", 4, 8)]
    assert done.remarks == ["2 overlapping ranges of 'sniff' are 1 bouts"]


def test_a_range_dragged_beyond_the_end_is_cut():
    done = read_window(ranges("sniff", (40, 60)))
    assert done.record["bouts"] == [{"behaviour": "sniff", "start": 39, "stop": 50}]
    assert len(done.remarks) == 1


@pytest.mark.parametrize(
    ("results", "word"),
    [
        ([ranges("walk", (1, 10)), ranges("rest", (10, 20))], "of the group 'gait' only one"),
        ([ranges("walking", (1, 10))], "did you mean 'walk'?"),
        ([ranges("jump", (1, 3))], "point event"),
        ([ranges("walk", (51, 60))], "lies outside of the 50 frames"),
    ],
)
def test_bouts_that_cannot_be_true_are_refused(results, word):
    done = read_window(*results)
    assert done.record is None and word in " ".join(done.reasons)


def test_a_submitted_window_without_bouts_was_looked_at():
    assert read_window(shown=((0, 20), (25, 50))).record == {
        "video": "v", "subject": "", "annotator": "anna", "looked_at": [[0, 20], [25, 50]], "bouts": [],
    }  # fmt: skip


def test_the_names_of_the_controls_are_those_of_the_screen():
    names = {screen.ANIMAL, screen.KEYPOINT, screen.IDENTITY, screen.VISIBILITY, screen.STATUS, screen.NOTE}
    config = screen.frames_config(SKELETON)
    assert all(f'name="{name}"' in config for name in names)
