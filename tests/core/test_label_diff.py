"""Newest answers, windows joined, removals, and the way back."""

from itertools import pairwise

import pytest

from etholoop.core import label_diff
from etholoop.core.label_diff import Change, Told


def told(uid, at, record, annotator="anna", number=1):
    return Told(uid, annotator, at, number, record)


def window(start, stop, *bouts, subject=""):
    marked = [{"behaviour": name, "start": a, "stop": b} for name, a, b in bouts]
    return {"video": "v", "subject": subject, "annotator": "anna", "looked_at": [[start, stop]], "bouts": marked}


def test_the_newest_answer_counts_and_the_number_settles_ties():
    items = [told("a", "2026-02", {}, number=1), told("a", "2026-01", {}, number=9), told("a", "2026-02", {}, number=2)]
    last, earlier = label_diff.newest(items)
    assert [item.number for item in last] == [2]
    assert [item.number for item in earlier] == [9, 1]


def test_windows_of_one_subject_become_one_record():
    first, second = window(0, 50, ("walk", 0, 10)), window(50, 90, ("walk", 60, 70))
    records = label_diff.joined_windows([told("w1", "1", first), told("w2", "2", second)])
    assert records == [window(0, 90, ("walk", 0, 10), ("walk", 60, 70))]


def test_where_windows_overlap_the_newest_counts():
    old, new = window(0, 60, ("walk", 0, 60)), window(40, 90)
    (record,) = label_diff.joined_windows([told("w1", "1", old), told("w2", "2", new)])
    assert record["bouts"] == [{"behaviour": "walk", "start": 0, "stop": 40}]
    (record,) = label_diff.joined_windows([told("w1", "2", old), told("w2", "1", new)])
    assert record["bouts"] == [{"behaviour": "walk", "start": 0, "stop": 60}]


def joined(*windows, points=()):
    (record,) = label_diff.joined_windows([told(f"w{place}", str(place), record) for place, record in enumerate(windows)], points)
    return [(bout["behaviour"], bout["start"], bout["stop"]) for bout in record["bouts"]]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2), (1, 2, 0)])
def test_a_bout_over_the_ends_of_windows_is_one_bout(order):
    parts = [window(0, 50, ("walk", 40, 50)), window(50, 60, ("walk", 50, 60)), window(60, 90, ("walk", 60, 70), ("rest", 70, 80))]
    assert joined(*(parts[place] for place in order)) == [("walk", 40, 70), ("rest", 70, 80)]


def test_bouts_that_touch_within_a_window_stay_two_and_different_ones_always_do():
    assert joined(window(0, 50, ("walk", 0, 20), ("walk", 20, 50)), window(50, 90, ("rest", 50, 60))) == [
        ("walk", 0, 20), ("walk", 20, 50), ("rest", 50, 60),
    ]  # fmt: skip


def test_a_bout_cut_by_a_newer_window_goes_on_in_it():
    assert joined(window(0, 60, ("walk", 10, 60)), window(40, 90, ("walk", 40, 55))) == [("walk", 10, 55)]


def test_point_events_at_the_seam_stay_two():
    assert joined(window(0, 50, ("jump", 49, 50)), window(50, 90, ("jump", 50, 51)), points={"jump"}) == [
        ("jump", 49, 50),
        ("jump", 50, 51),
    ]


def test_windows_with_time_between_them_do_not_meet():
    assert joined(window(0, 50, ("walk", 40, 50)), window(51, 90, ("walk", 51, 60))) == [("walk", 40, 50), ("walk", 51, 60)]


def test_subjects_stay_apart():
    records = label_diff.joined_windows([told("w1", "1", window(0, 5, subject="a")), told("w2", "1", window(0, 5, subject="b"))])
    assert [record["subject"] for record in records] == ["a", "b"]


def test_taking_time_out_of_a_record():
    record = window(0, 90, ("walk", 0, 90))
    assert label_diff.without_time(record, [[40, 60]]) == {
        **record,
        "looked_at": [[0, 40], [60, 90]],
        "bouts": [{"behaviour": "walk", "start": 0, "stop": 40}, {"behaviour": "walk", "start": 60, "stop": 90}],
    }
    assert label_diff.without_time(record, [[0, 90]]) is None


def test_changes_are_counted_by_annotator():
    made = label_diff.changes({("u", "anna"): {"n": 1}, ("v", "ben"): {"n": 1}}, {("u", "anna"): {"n": 2}, ("w", "ben"): {"n": 1}})
    assert {name: dict(count) for name, count in label_diff.counts_by_annotator(made).items()} == {
        "anna": {"changed": 1},
        "ben": {"removed": 1, "new": 1},
    }


@pytest.mark.parametrize("n_undone", [0, 1, 2, 3])
def test_undoing_changes_leads_back_through_every_state(n_undone):
    key = ("u", "anna")
    states = [{}, {key: {"n": 1}}, {key: {"n": 2}}, {}]
    steps = [label_diff.changes(before, after) for before, after in pairwise(states)]
    made = [change for step in steps[3 - n_undone :] for change in step]
    assert label_diff.undone(states[3], made) == (states[3 - n_undone], [])


def test_what_something_else_changed_is_left_alone():
    key = ("u", "anna")
    assert label_diff.undone({key: {"n": 7}}, [Change(key, None, {"n": 1})]) == ({key: {"n": 7}}, [key])


def test_a_change_that_was_never_made_is_no_conflict():
    """A pull killed after its journal entry."""
    key = ("u", "anna")
    assert label_diff.undone({}, [Change(key, None, {"n": 1}), Change(key, None, {"n": 1})]) == ({}, [])
