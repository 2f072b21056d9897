"""Affine maps: known answers, and there and back again."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from etholoop.core.affine import Affine

number = st.floats(-1e3, 1e3, allow_nan=False).map(lambda value: round(value, 3))
size = st.floats(0.05, 20)


def test_scaling_takes_corner_to_corner():
    half = Affine.scale(0.5, 0.25)
    assert half.points(np.array([[0.0, 0.0], [640, 480]])).tolist() == [[0, 0], [320, 120]]
    assert half.boxes(np.array([[10.0, 20, 30, 40]])).tolist() == [[5, 5, 15, 10]]


def test_first_one_then_the_other():
    both = Affine.shift(-10, -20).then(Affine.scale(2, 3))
    assert both.points(np.array([[11.0, 22.0]])).tolist() == [[2, 6]]


def test_identity_gives_the_very_same_values():
    points = np.array([[0.1, np.nan, 2.0], [3.3, 4.4, 0.0]], np.float32)
    assert Affine().points(points) is points


def test_missing_points_and_further_columns_stay():
    moved = Affine(2, 0, 1, 0, 2, 1).points(np.array([[np.nan, np.nan, 0.0], [1.0, 2.0, 2.0]]))
    assert np.array_equal(moved, [[np.nan, np.nan, 0], [3, 5, 2]], equal_nan=True)


def test_a_turned_box_is_the_smallest_upright_one():
    quarter = Affine(0, -1, 100, 1, 0, 0)
    assert quarter.boxes(np.array([10.0, 20, 30, 60])).tolist() == [40, 10, 80, 30]


@given(size, number, size, number, number, number)
def test_there_and_back(sx, c, sy, f, x, y):  # noqa: PLR0917
    way = Affine(sx, 0, c, 0, sy, f)
    back = way.inverse().points(way.points(np.array([x, y])))
    assert np.allclose(back, [x, y], atol=1e-6)


def test_a_flat_map_has_no_way_back():
    with pytest.raises(ValueError, match="no inverse"):
        Affine(1, 1, 0, 1, 1, 0).inverse()
