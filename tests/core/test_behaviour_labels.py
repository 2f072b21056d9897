"""Which frames are labelled for whom."""

from itertools import pairwise

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from etholoop.core.behaviour_labels import Stretch, marks, runs, stretches, without_edges
from etholoop.core.subjects import Matched, match

SPLITS = pd.DataFrame(
    [("v", "g", 0, 40, "train"), ("v", "g", 40, 50, "gap"), ("v", "g", 50, 100, "test")],
    columns=["video_id", "group", "start_frame", "stop_frame", "split"],
)
NAMES = pd.DataFrame({"track": [0, 1, 2], "name": ["ann", None, "ann"]})
NO_NAMES = NAMES.assign(name=None)
NO_BOXES = pd.DataFrame(columns=["frame", "identity", "x_min", "y_min", "x_max", "y_max"])


def tracks(**frames: range) -> pd.DataFrame:
    rows = [
        (int(name[1:]), frame, 10.0 * int(name[1:]), 0.0, 10.0 * int(name[1:]) + 8, 8.0) for name, own in frames.items() for frame in own
    ]
    return pd.DataFrame(rows, columns=["track", "frame", "x_min", "y_min", "x_max", "y_max"])


def test_stretches_end_where_looking_boxes_or_the_split_end() -> None:
    frames = np.r_[np.arange(5, 30), np.arange(33, 90)]
    found = list(stretches("v", "ann", {3: frames}, [(0, 35), (60, 200)], SPLITS))
    assert [(s.split, s.frames, s.context) for s in found] == [
        ("train", (5, 30), (5, 30)),
        ("train", (33, 35), (33, 40)),
        ("test", (60, 90), (50, 90)),
    ]


@given(st.sets(st.integers(0, 60)))
def test_runs_hold_the_same_frames(frames: set[int]) -> None:
    ordered = np.array(sorted(frames), int)
    found = runs(ordered)
    assert [frame for start, stop in found for frame in range(start, stop)] == ordered.tolist()
    assert all(b[0] - a[1] >= 1 for a, b in pairwise(found))


def test_marks_are_half_open_and_cut_at_the_stretch() -> None:
    stretch = Stretch("v", 0, "ann", "train", "g", (10, 15), (0, 40))
    bouts = pd.DataFrame([("a", 0, 12), ("b", 12, 13), ("b", 14, 99)], columns=["behaviour", "start_frame", "stop_frame"])
    assert marks(stretch, bouts, ["a", "b"]).T.tolist() == [[1, 1, 0, 0, 0], [0, 0, 1, 0, 1]]


def test_edges_become_unknown() -> None:
    labels = np.array([0, 0, 0, 1, 1, 1, 1, 0])[:, None].astype(np.int8)
    assert without_edges(labels, 1)[:, 0].tolist() == [0, 0, -1, -1, 1, 1, -1, -1]
    assert without_edges(labels, 0)[:, 0].tolist() == labels[:, 0].tolist()


# --- subjects ----------------------------------------------------------------------------------------------------------------------


def test_names_given_by_people_come_first() -> None:
    found = match(["ann", "2"], tracks(t0=range(5), t1=range(9), t2=range(5, 9)), NAMES, NO_BOXES)
    assert frames_of(found) == {"ann": {0: [0, 1, 2, 3, 4], 2: [5, 6, 7, 8]}, "2": {2: [5, 6, 7, 8]}} and found.reasons == {}


def frames_of(found: Matched) -> dict[str, dict[int, list[int]]]:
    return {name: {track: frames.tolist() for track, frames in own.items()} for name, own in found.tracks.items()}


def boxes_of(*rows: tuple[int, str, int]) -> pd.DataFrame:
    """Labelled boxes on the track whose number is the last word."""
    wide = [(frame, name, 11 * track, 0, 11 * track + 8, 8) for frame, name, track in rows]
    return pd.DataFrame(wide, columns=["frame", "identity", "x_min", "y_min", "x_max", "y_max"])


def test_labelled_boxes_tell_where_no_track_is_named() -> None:
    boxes = boxes_of((1, "ann", 0), (3, "ann", 0), (1, "bob", 1), (2, "cat", 5))
    found = match(["ann", "bob", "cat"], tracks(t0=range(5), t1=range(6)), NO_NAMES, boxes)
    assert frames_of(found) == {"ann": {0: [0, 1, 2, 3, 4]}, "bob": {1: [0, 1, 2, 3, 4, 5]}}
    assert found.reasons == {"cat": "no track is 'cat' (named tracks: ann, bob); name it, or label boxes with this identity"}


def test_an_exchange_between_two_labelled_frames_leaves_the_time_between_to_nobody() -> None:
    boxes = boxes_of((2, "ann", 0), (2, "bob", 1), (4, "ann", 0), (4, "bob", 1), (8, "bob", 0), (8, "ann", 1))
    found = match(["ann", "bob"], tracks(t0=range(10), t1=range(10)), NO_NAMES, boxes)
    assert frames_of(found) == {"ann": {0: [0, 1, 2, 3, 4], 1: [8, 9]}, "bob": {0: [8, 9], 1: [0, 1, 2, 3, 4]}}


def test_time_that_two_tracks_claim_for_one_animal_is_nobodys() -> None:
    boxes = boxes_of((2, "ann", 0), (7, "ann", 1))
    found = match(["ann"], tracks(t0=range(6), t1=range(4, 9)), NO_NAMES, boxes)
    assert frames_of(found) == {"ann": {0: [0, 1, 2, 3], 1: [6, 7, 8]}}


def test_a_number_is_a_track_and_nothing_is_the_only_animal() -> None:
    both = tracks(t0=range(5), t1=range(5, 9))
    assert match(["track 1", ""], both, NO_NAMES, NO_BOXES).tracks.keys() == {"", "track 1"}
    assert frames_of(match(["track 1", ""], both, NO_NAMES, NO_BOXES))[""] == {0: [0, 1, 2, 3, 4], 1: [5, 6, 7, 8]}
    at_once = match([""], tracks(t0=range(5), t1=range(4, 9)), NO_NAMES, NO_BOXES)
    assert at_once.tracks == {} and "exist at the same time" in at_once.reasons[""]
