"""Animals at the edge of derived pictures."""

import numpy as np

from etholoop.core.affine import Affine
from etholoop.core.picture_labels import into_picture, into_source

NAN = np.nan


def animals(boxes, points):
    return np.array(boxes, float), np.arange(len(boxes)), np.array(points, float)


def test_identity_changes_nothing():
    given = animals([[-5, 0, 10, 10]], [[[-5, 0, 2]]])
    assert all(a is b for a, b in zip(into_picture(given, Affine(), 10, 10), given, strict=True))


def test_cut_and_lost():
    # the right half of a picture 20 wide
    given = animals([[2, 2, 8, 8], [8, 2, 14, 8], [12, 2, 18, 8]], [[[5, 5, 2]], [[7, 5, 2]], [[NAN, NAN, 0]]])
    boxes, classes, points = into_picture(given, Affine.shift(-10, 0), 10, 10)
    assert boxes.tolist() == [[0, 2, 4, 8], [2, 2, 8, 8]]
    assert classes.tolist() == [1, 2]
    assert np.array_equal(points, [[[NAN, NAN, 0]], [[NAN, NAN, 0]]], equal_nan=True)


def test_points_near_the_edge_are_kept():
    _, _, points = into_picture(animals([[10, 2, 14, 8]], [[[9.5, 5, 1]]]), Affine.shift(-10, 0), 10, 10)
    assert points.tolist() == [[[-0.5, 5, 1]]]


def test_the_labels_given_are_left_alone():
    given = animals([[2, 2, 8, 8]], [[[5, 5, 2]]])
    into_picture(given, Affine.shift(-100, 0), 10, 10)
    assert given[2].tolist() == [[[5, 5, 2]]]


def test_finds_on_the_filling_are_none():
    # a source of 100 x 50 in the middle of 100 x 100
    boxes, inside = into_source(np.array([[10.0, 20, 30, 40], [10, 0, 30, 20]]), Affine.shift(0, 25), 100, 50)
    assert inside.tolist() == [True, False]
    assert boxes[0].tolist() == [10, 0, 30, 15]


def test_no_animals():
    boxes, classes, points = into_picture((np.zeros((0, 4)), np.zeros(0, int), np.zeros((0, 3, 3))), Affine.scale(2, 2), 10, 10)
    assert boxes.shape == (0, 4) and classes.shape == (0,) and points.shape == (0, 3, 3)
