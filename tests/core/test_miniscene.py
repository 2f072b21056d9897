"""Windows of mini-scenes: known places, shape kept at edges, and kabr-tools' arithmetic with its faults."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from etholoop.core import miniscene

SIDE = st.floats(0.5, 3000)
PLACE = st.floats(-500, 6000)


def test_a_small_animal_is_shown_pixel_by_pixel():
    assert miniscene.windows([[900, 400, 1000, 500]]).tolist() == [[750, 300, 1150, 600]]


def test_a_window_reaches_beyond_the_picture_instead_of_moving():
    assert miniscene.windows([[0, 0, 100, 80]]).tolist() == [[-150, -110, 250, 190]]


def test_a_tall_animal_is_shown_whole_with_its_margin():
    # 500 high + 2 x 50 = 600, twice the scene
    assert miniscene.windows([[1000, 1000, 1100, 1500]]).tolist() == [[650, 950, 1450, 1550]]


def test_a_long_animal_is_shown_whole_too():
    """The original looks at the height only and cuts off heads and tails."""
    (window,) = miniscene.windows([[1000, 1000, 1700, 1200]])
    assert window.tolist() == [950, 800, 1750, 1400]


def test_lost_stays_lost():
    assert np.isnan(miniscene.windows([[np.nan] * 4])).all()
    with pytest.raises(ValueError, match="NaN"):
        miniscene.cuts([[np.nan] * 4], 100, 100)


def test_exchanged_corners_are_refused():
    with pytest.raises(ValueError, match="x_max"):
        miniscene.windows([[10, 10, 5, 20]])


@given(PLACE, PLACE, SIDE, SIDE)
def test_every_animal_is_inside_its_window_and_the_shape_is_kept(x, y, wide, high):
    (window,) = miniscene.windows([[x, y, x + wide, y + high]])
    assert (window == np.round(window)).all()
    assert window[0] <= x + 0.5 and window[1] <= y + 0.5 and window[2] >= x + wide - 0.5 and window[3] >= y + high - 0.5
    width, height = window[2:] - window[:2]
    assert width >= 400 and height >= 300
    assert abs(width / 4 - height / 3) <= 0.3  # half a pixel of rounding in each direction
    off = (window[:2] + window[2:]) / 2 - [x + wide / 2, y + high / 2]
    assert (np.abs(off) <= 0.5 + 1e-6).all()


@given(PLACE, PLACE, SIDE, SIDE)
def test_picture_and_padding_make_up_the_window(x, y, wide, high):
    window = miniscene.windows([[x, y, x + wide, y + high]])
    parts = miniscene.cuts(window, 1280, 720)
    above, below, left, right = parts.pad[0]
    assert (parts.size[0] + [left + right, above + below] == window[0, 2:] - window[0, :2]).all()
    assert (parts.pad >= 0).all() and (parts.corner >= 0).all() and (parts.corner + parts.size <= [1280, 720]).all()
    if parts.size[0].all():
        assert (parts.corner[0] - [left, above] == window[0, :2]).all()


def test_a_window_outside_of_the_picture_is_all_padding():
    parts = miniscene.cuts([[-500, 0, -100, 300], [0, 0, 100, 50]], 640, 480)
    assert parts.size.tolist() == [[0, 0], [100, 50]]
    assert parts.pad.tolist() == [[300, 0, 400, 0], [0, 0, 0, 0]]


def test_compat_cuts_one_pixel_short_of_the_lower_edge():
    # centre 100, 700: from 550 down to 850, the picture ends at 720; the original's last row is 719
    parts = miniscene.compat_cuts([[50, 650, 150, 750]], 1280, 720)
    assert parts.corner.tolist() == [[0, 550]] and parts.size.tolist() == [[300, 169]]
    assert parts.pad.tolist() == [[0, 131, 100, 0]]


def shape_of(parts: miniscene.Cuts) -> float:
    """Width over height of the part with its padding, before it becomes 400x300."""
    above, below, left, right = parts.pad[0]
    return (parts.size[0, 0] + left + right) / (parts.size[0, 1] + above + below)


def test_large_animals_at_an_edge_are_stretched_by_the_original_and_not_by_us():
    box = [[0.0, 100.0, 200.0, 700.0]]
    theirs = miniscene.compat_cuts(box, 1280, 720)
    ours = miniscene.cuts(miniscene.windows(box), 1280, 720)
    assert abs(shape_of(theirs) - 4 / 3) > 0.3
    assert abs(shape_of(ours) - 4 / 3) < 0.005


def test_compat_cuts_fractions_towards_zero():
    boxes = [[10.9, 20.9, 31.9, 40.9]]
    assert miniscene.compat_boxes(boxes).tolist() == [[10, 20, 31, 40]]
    assert miniscene.compat_centroids(boxes).tolist() == [[20, 30]]


def test_compat_refuses_a_box_outside_the_picture():
    with pytest.raises(ValueError, match="outside"):
        miniscene.compat_cuts([[2000, 10, 2100, 50]], 640, 480)
