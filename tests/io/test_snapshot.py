"""The snapshot: same labels, same bytes; nothing bad gets in; merging twice changes nothing."""

import copy
import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etholoop.errors import EthoLoopError, FaultsError
from etholoop.io import snapshot
from etholoop.io.snapshot import Snapshot


def frame(uid="cage1:00000120", annotator="anna", **changes):
    animal = {"class": "mouse", "box": [1.0, 2.0, 30.0, 40.0], "identity": None, "keypoints": {"nose": [3.0, 4.0, 2]}}
    return {"uid": uid, "annotator": annotator, "status": "animals", "note": "", "instances": [animal]} | changes


def behaviour(**changes):
    bouts = [{"behaviour": "groom", "start": 10, "stop": 40}]
    return {"video": "cage1", "subject": "", "annotator": "anna", "looked_at": [[0, 100]], "bouts": bouts} | changes


def faults_of(*frames, behaviours=()):
    with pytest.raises(FaultsError) as caught:
        snapshot.dumps(Snapshot(list(frames), list(behaviours)))
    return caught.value.faults


def test_empty_snapshot():
    assert snapshot.dumps(Snapshot()) == b'{"format":"etholoop-snapshot/1","frames":[],"behaviours":[]}\n'


def test_one_record_per_line_and_valid_json():
    text = snapshot.dumps(Snapshot([frame(), frame("cage1:00000007")], [behaviour()])).decode()
    assert [record["uid"] for record in json.loads(text)["frames"]] == ["cage1:00000007", "cage1:00000120"]
    assert len(text.splitlines()) == 6


def test_numbers_are_rounded_and_zero_has_no_sign():
    one = frame(instances=[{"class": "mouse", "box": [-0.0, 1, 2.00004999, 3], "keypoints": {}}])
    (record,) = snapshot.canonical(Snapshot([one])).frames
    assert record["instances"][0]["box"] == [0.0, 1.0, 2.0, 3.0]
    assert "-0.0" not in snapshot.dumps(Snapshot([one])).decode()


def test_the_input_is_left_alone():
    record = frame(instances=[{"class": "mouse", "box": [5, 5, 9, 9]}, {"class": "mouse", "box": [1, 1, 9, 9]}])
    before = copy.deepcopy(record)
    snapshot.dumps(Snapshot([record]))
    assert record == before


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (frame(uid="cage1:12"), "not a frame uid"),
        (frame(uid="cage1:000000120"), "too many digits"),
        (frame(uid="Cage 1:00000001"), "not a frame uid"),
        (frame(annotator=""), "annotator"),
        (frame(status="animal"), "did you mean 'animals'"),
        (frame(status="no_animal"), "holds animals"),
        (frame(instances=[]), "without any animal"),
        (frame(updated_at="yesterday"), "unknown key 'updated_at'"),
        (frame(instances=[{"class": "mouse", "box": [1, 2, 1, 4]}]), "no area"),
        (frame(instances=[{"class": "mouse", "box": [1, 2, 1.00001, 4]}]), "no area"),
        (frame(instances=[{"class": "mouse", "box": [1, float("nan"), 3, 4]}]), "not finite"),
        (frame(instances=[{"class": "mouse", "box": [1, 2, float("inf"), 4]}]), "not finite"),
        (frame(instances=[{"class": "mouse", "box": [1, 2, 3]}]), "x_min"),
        (frame(instances=[{"class": "mouse", "box": [1, 2, 3, True]}]), "x_min"),
        (frame(instances=[{"class": "mouse"}]), "'box' is missing"),
        (frame(instances=[{"class": "mouse", "box": [1, 2, 3, 4], "keypoints": {"nose": [1, 2, 0]}}]), "visibility"),
        (frame(instances=[{"class": "mouse", "box": [1, 2, 3, 4], "keypoints": {"nose": [1, float("nan"), 2]}}]), "not finite"),
        (frame(instances=[{"class": "mouse", "box": [1, 2, 3, 4], "keypoints": {"nose": [1, 2]}}]), r"expected \[x, y, visibility\]"),
    ],
)
def test_bad_frame_records(bad, words):
    with pytest.raises(FaultsError, match=words) as caught:
        snapshot.dumps(Snapshot([frame("cage1:00000001"), bad]))
    assert all(fault.startswith("frames[1] (") for fault in caught.value.faults)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"bouts": [{"behaviour": "groom", "start": 40, "stop": 40}]}, "is empty"),
        ({"bouts": [{"behaviour": "groom", "start": -1, "stop": 40}]}, "before frame 0"),
        ({"bouts": [{"behaviour": "groom", "start": 1.5, "stop": 40}]}, "whole numbers"),
        ({"bouts": [{"behaviour": "groom", "start": 90, "stop": 101}]}, "outside of looked_at"),
        ({"bouts": [{"behaviour": "groom", "start": 1, "stop": 2}] * 2}, "overlap"),
        ({"looked_at": [[5, 5]]}, "looked_at"),
        ({"video": "../x"}, "video id"),
        ({"subject": None}, "subject"),
    ],
)
def test_bad_behaviour_records(changes, words):
    with pytest.raises(FaultsError, match=words):
        snapshot.dumps(Snapshot([], [behaviour(**changes)]))


def test_all_faults_are_reported_together():
    faults = faults_of(frame(), frame(), frame("x", status="?"), behaviours=[behaviour(), behaviour()])
    assert len(faults) == 4
    assert "labelled twice" in faults[0]
    assert "frames[0]" in faults[0]


def test_two_annotators_of_one_frame_are_fine():
    assert len(snapshot.canonical(Snapshot([frame(), frame(annotator="bert")])).frames) == 2


def test_cut_off_anywhere(tmp_path):
    whole = snapshot.dumps(Snapshot([frame(note="Käfig"), frame("cage1:00000007")], [behaviour()]))
    path = tmp_path / "snapshot.json"
    for length in range(0, len(whole) - 1, 3):
        path.write_bytes(whole[:length])
        with pytest.raises(EthoLoopError, match=r"cut off|empty|not UTF-8"):
            snapshot.read(path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[]", "found list"),
        ('{"format": "etholoop-snapshot/2", "frames": [], "behaviours": []}', "etholoop-snapshot/1"),
        ('{"format": "etholoop-snapshot/1", "frames": []}', "'behaviours' must be a list"),
        ('{"format": "etholoop-snapshot/1", "frames": [], "behaviours": [], "frame": []}', "unknown key 'frame'"),
        ('{"format": "etholoop-snapshot/1", "frames": [], "frames": [], "behaviours": []}', "stands twice"),
        ('{"format": "etholoop-snapshot/1",, "frames": [], "behaviours": []}', "line 1, column"),
        ('{"format": "etholoop-snapshot/1", "frames": [3], "behaviours": []}', "expected a record"),
    ],
)
def test_files_that_are_no_snapshot(tmp_path, text, words):
    path = tmp_path / "snapshot.json"
    path.write_text(text)
    with pytest.raises(EthoLoopError, match=words) as caught:
        snapshot.read(path)
    assert str(path) in str(caught.value)


def test_bad_labels_leave_the_old_file(tmp_path):
    path = tmp_path / "snapshot.json"
    snapshot.write(Snapshot([frame()]), path)
    before = path.read_bytes()
    with pytest.raises(FaultsError):
        snapshot.write(Snapshot([frame(), frame()]), path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["snapshot.json"]


def test_merge_replaces_a_relabelled_frame_and_removes_nothing():
    old = Snapshot([frame(), frame("cage1:00000007")])
    relabelled = frame(status="no_animal", instances=[])
    merged, changes = snapshot.merge(old, Snapshot([relabelled, frame("cage1:00000001")]))
    assert [record["uid"][-3:] for record in merged.frames] == ["001", "007", "120"]
    assert merged.frames[2]["status"] == "no_animal"
    assert changes.new == [("cage1:00000001", "anna")]
    assert changes.changed == [("cage1:00000120", "anna")]
    assert changes.unchanged == [("cage1:00000007", "anna")]
    assert changes.removed == []


def test_a_second_clip_adds_to_what_was_seen_in_the_first():
    first = behaviour(looked_at=[[0, 100]], bouts=[{"behaviour": "groom", "start": 80, "stop": 100}])
    second = behaviour(looked_at=[[90, 200]], bouts=[{"behaviour": "rear", "start": 150, "stop": 160}])
    merged, _ = snapshot.merge(Snapshot([], [first]), Snapshot([], [second]))
    assert merged.behaviours == [
        behaviour(
            looked_at=[[0, 200]],
            bouts=[{"behaviour": "groom", "start": 80, "stop": 90}, {"behaviour": "rear", "start": 150, "stop": 160}],
        )
    ]


# --- properties --------------------------------------------------------------------------------------------------------------------

places = st.floats(-5, 2000, allow_nan=False)
words = st.sampled_from(["anna", "bert", "dlc:Pranav", "Zoë"])
uids = st.builds("{}:{:08d}".format, st.sampled_from(["cage1", "m4s1"]), st.integers(0, 5))


@st.composite
def animals(draw):
    x, y = draw(places), draw(places)
    names = draw(st.lists(st.sampled_from(["nose", "tail", "ear"]), unique=True))
    return {
        "class": draw(st.sampled_from(["mouse", "rat"])),
        "box": [x, y, x + draw(st.floats(1, 500)), y + draw(st.floats(1, 500))],
        "identity": draw(st.none() | st.sampled_from(["m1", "m2"])),
        "keypoints": {name: [draw(places), draw(places), draw(st.sampled_from([1, 2]))] for name in names},
    }


@st.composite
def frame_records(draw):
    status = draw(st.sampled_from(["animals", "no_animal", "unusable"]))
    instances = draw(st.lists(animals(), min_size=1, max_size=3)) if status == "animals" else []
    return {
        "uid": draw(uids),
        "annotator": draw(words),
        "status": status,
        "note": draw(st.sampled_from(["", "blur"])),
        "instances": instances,
    }


@st.composite
def behaviour_records(draw):
    bouts = []
    for start in draw(st.lists(st.integers(0, 5), unique=True, max_size=4)):
        name = draw(st.sampled_from(["groom", "rear"]))
        bouts.append({"behaviour": name, "start": 10 * start, "stop": 10 * start + draw(st.integers(1, 10))})
    looked_at = [[bout["start"], bout["stop"]] for bout in bouts] + draw(st.just([]) | st.just([[60, 80]]))
    subject = draw(st.sampled_from(["", "m1"]))
    return {"video": "cage1", "subject": subject, "annotator": draw(words), "looked_at": looked_at, "bouts": bouts}


snapshots = st.builds(
    Snapshot,
    st.lists(frame_records(), max_size=5, unique_by=snapshot.frame_key),
    st.lists(behaviour_records(), max_size=3, unique_by=snapshot.behaviour_key),
)


def shuffled(value, rng):
    """The same content in another order, at every level where order says nothing."""
    if isinstance(value, dict):
        items = list(value.items())
        rng.shuffle(items)
        return {key: part if key in ("box",) or isinstance(part, str) else shuffled(part, rng) for key, part in items}
    if isinstance(value, list) and value and isinstance(value[0], dict | list):
        items = [shuffled(part, rng) for part in value]
        rng.shuffle(items)
        return items
    return value


@settings(max_examples=30, deadline=None)
@given(snapshots, st.randoms(use_true_random=False))
def test_order_never_changes_a_byte(labels, rng: random.Random):
    other = Snapshot(shuffled(labels.frames, rng), shuffled(labels.behaviours, rng))
    assert snapshot.dumps(labels) == snapshot.dumps(other)


@settings(max_examples=30, deadline=None)
@given(snapshots)
def test_read_and_write_give_the_same_bytes(tmp_path_factory, labels):
    path = tmp_path_factory.mktemp("snapshot") / "snapshot.json"
    snapshot.write(labels, path)
    before = path.read_bytes()
    snapshot.write(snapshot.read(path), path)
    assert path.read_bytes() == before


@settings(max_examples=30, deadline=None)
@given(snapshots, snapshots)
def test_merge_is_idempotent_and_removes_nothing(old, new):
    once, changes = snapshot.merge(old, new)
    twice, again = snapshot.merge(once, new)
    assert snapshot.dumps(once) == snapshot.dumps(twice)
    assert not again
    assert not changes.removed
    assert {snapshot.frame_key(record) for record in once.frames} == {snapshot.frame_key(record) for record in old.frames + new.frames}


@settings(max_examples=30, deadline=None)
@given(snapshots, snapshots, snapshots)
def test_merge_is_associative(first, second, third):
    left = snapshot.merge(snapshot.merge(first, second)[0], third)[0]
    right = snapshot.merge(first, snapshot.merge(second, third)[0])[0]
    assert snapshot.dumps(left) == snapshot.dumps(right)
