"""Masks by hand."""

import numpy as np

from etholoop.core.picture_mask import inside, mask

SQUARE = [(1, 1), (4, 1), (4, 3), (1, 3)]


def test_a_rectangle_covers_the_pixels_whose_centre_it_holds():
    assert inside(6, 4, SQUARE).astype(int).tolist() == [[0, 0, 0, 0, 0, 0], [0, 1, 1, 1, 0, 0], [0, 1, 1, 1, 0, 0], [0, 0, 0, 0, 0, 0]]


def test_half_pixels_are_decided_by_the_centre():
    assert inside(3, 1, [(0.6, 0), (2.4, 0), (2.4, 1), (0.6, 1)]).tolist() == [[False, True, False]]


def test_a_concave_outline():
    corner = [(0, 0), (4, 0), (4, 4), (2, 4), (2, 2), (0, 2)]
    assert inside(4, 4, corner).sum() == 12
    assert not inside(4, 4, corner)[3, 0]


def test_keep_and_hide():
    both = mask(6, 4, [SQUARE], [[(2, 0), (3, 0), (3, 4), (2, 4)]])
    assert both.sum() == 4
    assert mask(6, 4, [], []).all()
    assert np.array_equal(mask(6, 4, [], [SQUARE]), ~inside(6, 4, SQUARE))
