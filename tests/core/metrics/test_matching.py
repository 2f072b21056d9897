import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from etholoop.core.metrics.matching import box_areas, box_iou, by_falling_confidence, match_greedy

numbers = st.floats(0, 100, allow_nan=False, width=32)


def test_half_overlapping_squares_have_iou_one_third():
    assert box_iou(np.array([[0, 0, 10, 10]]), np.array([[5, 0, 15, 10], [0, 0, 10, 10], [20, 20, 30, 30]])) == pytest.approx(
        np.array([[1 / 3, 1, 0]])
    )


def test_box_without_area_overlaps_with_nothing():
    assert box_iou(np.array([[5, 5, 5, 5]]), np.array([[5, 5, 5, 5]])) == 0
    assert box_areas(np.array([[10, 0, 0, 10]])) == 0


def test_no_boxes_at_all():
    assert box_iou(np.zeros((0, 4)), np.zeros((3, 4))).shape == (0, 3)
    assert match_greedy(np.zeros((0, 3)), 0.5).shape == (0,)
    assert list(match_greedy(np.zeros((2, 0)), 0.5)) == [-1, -1]


@given(arrays(float, (3, 4), elements=numbers), arrays(float, (2, 4), elements=numbers))
def test_iou_is_symmetric_and_a_share(a, b):
    iou = box_iou(a, b)
    assert ((iou >= 0) & (iou <= 1 + 1e-12)).all()
    assert iou == pytest.approx(box_iou(b, a).T)


def test_the_confident_choose_first_and_each_animal_is_taken_once():
    similarity = np.array([[0.6, 0.7], [0.1, 0.9], [0.55, 0.0]])
    assert list(match_greedy(similarity, 0.5)) == [1, -1, 0]


def test_ignored_animals_are_taken_only_when_no_other_fits():
    similarity = np.array([[0.6, 0.9], [0.2, 0.9]])
    assert list(match_greedy(similarity, 0.5, np.array([False, True]))) == [0, 1]


def test_equal_confidence_keeps_the_order():
    assert list(by_falling_confidence(np.array([0.5, 0.9, 0.5]))) == [1, 0, 2]
