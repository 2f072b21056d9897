"""A straight mouse lies where its posture says."""

import numpy as np
import pytest

from etholoop.simulation import body


def straight(**changes) -> body.Posture:
    values = {
        "centre": np.array([100.0, 80.0]),
        "heading": 0.0,
        "length": 50.0,
        "bend": 0.0,
        "head_turn": 0.0,
        "stretch": 1.0,
        "swell": 1.0,
        "head_scale": 1.0,
        "tail_bend": 0.0,
    }
    return body.Posture(**(values | changes))


def test_a_mouse_that_looks_to_the_right():
    nose, ear_left, ear_right, tail_base = body.keypoints(body.shape(straight()))
    # 50 px long, the centre at 0.4 of the way (the grid holds 0.42 as 16 / 40)
    np.testing.assert_allclose(tail_base, [80, 80])
    np.testing.assert_allclose(nose, [130, 80])
    # its left is up on the screen, where y is smaller
    assert ear_left[1] < 80 < ear_right[1]
    np.testing.assert_allclose(ear_left[0], ear_right[0])
    np.testing.assert_allclose(80 - ear_left[1], ear_right[1] - 80)


@pytest.mark.parametrize("heading", [0.3, np.pi / 2, -2.0])
def test_turning_the_posture_turns_every_point(heading):
    centre = np.array([100.0, 80.0])
    turn = np.array([[np.cos(heading), -np.sin(heading)], [np.sin(heading), np.cos(heading)]])
    expected = centre + (body.keypoints(body.shape(straight())) - centre) @ turn.T
    np.testing.assert_allclose(body.keypoints(body.shape(straight(heading=heading))), expected)


def test_a_reared_mouse_is_shorter():
    upright = body.keypoints(body.shape(straight(stretch=0.6)))
    assert 30 <= np.hypot(*(upright[0] - upright[3])) < 40


def test_the_outline_is_symmetric_and_holds_the_midline():
    shape = body.shape(straight())
    outline = body.outline(shape)
    np.testing.assert_allclose(outline[: len(body.S), 1] - 80, -(outline[len(body.S) :, 1][::-1] - 80))
    assert outline[:, 0].min() == shape.midline[0, 0] and outline[:, 0].max() == shape.midline[-1, 0]


def test_the_tail_starts_at_the_tail_base_and_points_away():
    curve, half_widths = body.tail(body.shape(straight()), straight())
    assert curve[1:, 0].max() < 80 and np.allclose(curve[:, 1], 80)
    assert (np.diff(half_widths) < 0).all() and half_widths.min() > 0
