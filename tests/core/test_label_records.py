"""Labels as tables: precedence, intervals, boxes around keypoints."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from etholoop.core import labels
from etholoop.core.labels import Extent


def test_precedence_is_the_list_then_the_name():
    assert labels.preference(["cleo", "anna", "bert"], ["bert", "zoe"]) == ["bert", "anna", "cleo"]
    assert labels.preference([], ["bert"]) == []
    assert labels.preference(["predictions:yolo", "zoe"], []) == ["zoe", "predictions:yolo"]


def test_outside_of_intervals():
    assert labels.outside([(0, 10)], []) == [(0, 10)]
    assert labels.outside([(0, 10)], [(0, 10)]) == []
    assert labels.outside([(0, 10), (20, 30)], [(2, 4), (8, 22)]) == [(0, 2), (4, 8), (22, 30)]
    assert labels.outside([(5, 6)], [(0, 5), (6, 9)]) == [(5, 6)]


def disjoint(ends: list[int]) -> list[tuple[int, int]]:
    ends = sorted(set(ends))
    return list(zip(ends[::2], ends[1::2], strict=False))


ends = st.lists(st.integers(0, 40), max_size=8)


@given(ends, ends)
def test_outside_is_what_a_set_of_frames_says(one, other):
    def frames(intervals):
        return {frame for start, stop in intervals for frame in range(start, stop)}

    assert frames(labels.outside(disjoint(one), disjoint(other))) == frames(disjoint(one)) - frames(disjoint(other))


def test_a_box_around_one_point_has_the_least_margin():
    assert labels.box_around(np.array([[50.0, 60.0]]), 200, 100) == [42, 52, 58, 68]


def test_a_box_around_points_grows_with_them_and_ends_at_the_image():
    points = np.array([[10.0, 20.0], [110.0, 60.0]])
    assert labels.box_around(points, 200, 70, margin=0.1) == [0, 10, 120, 70]


def test_images_exist_by_number_and_video_frames_by_count():
    assert not Extent(10, 10, 8, frozenset({3, 7})).has(4)
    assert Extent(10, 10, 8, frozenset({3, 7})).has(7)
    assert Extent(10, 10, 8).has(0)
    assert not Extent(10, 10, 8).has(8)


def test_one_record_per_frame_in_order_of_uid():
    records = [{"uid": "a:2", "annotator": "x"}, {"uid": "a:1", "annotator": "y"}, {"uid": "a:1", "annotator": "x"}]
    chosen, contested = labels.one_per_frame(records, ["y"])
    assert [(record["uid"], record["annotator"]) for record in chosen] == [("a:1", "y"), ("a:2", "x")]
    assert contested == ["a:1"]
