"""Frames: alone equal to the stream, the same bytes for the same seed, animals where the truth says."""

import dataclasses

import cv2
import numpy as np
import pytest

from etholoop.simulation import looks, randomness, truth
from etholoop.simulation.render import _noise_sheet, _rounded, _sensor_noise, render
from etholoop.simulation.scene import make_scene

SMALL = {"width": 160, "height": 120}


def test_a_frame_alone_equals_the_frame_of_the_stream():
    stream_scene = make_scene("cage1", seed=1, n_frames=12, **SMALL)
    stream = [render(stream_scene, frame) for frame in range(12)]
    for frame in (11, 0, 7):
        alone = render(make_scene("cage1", seed=1, n_frames=12, **SMALL), frame)
        np.testing.assert_array_equal(alone, stream[frame])


def test_a_frame_does_not_depend_on_the_length_of_the_session():
    a, b = (render(make_scene("cage1", seed=1, n_frames=n, **SMALL), 6) for n in (7, 50))
    np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(("width", "height"), [(320, 240), (96, 64), (200, 300)])
def test_shape_and_type(width, height):
    image = render(make_scene("cage1", seed=1, n_frames=2, width=width, height=height), 1)
    assert image.shape == (height, width, 3) and image.dtype == np.uint8


def test_sessions_and_seeds_look_different():
    looks = [render(make_scene(name, seed=seed, n_frames=1, n_animals=0), 0) for name, seed in (("a", 1), ("b", 1), ("a", 2))]
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert np.abs(looks[a].astype(float) - looks[b]).mean() > 5


@pytest.mark.parametrize("session", ["a", "b", "c", "d"])
def test_animals_are_drawn_where_the_truth_says(session):
    with_animals, empty = make_scene(session, seed=2, n_frames=1), make_scene(session, seed=2, n_frames=1, n_animals=0)
    # the same arena and sensor, with and without animals
    change = np.abs(render(with_animals, 0).astype(float) - render(empty, 0)).max(axis=2)
    for x_min, y_min, x_max, y_max in truth.visible_animals(with_animals, 0).values():
        inside = change[round(y_min) : round(y_max), round(x_min) : round(x_max)]
        assert (inside > 20).mean() > 0.35
        ring = change[max(0, round(y_min) - 4) : round(y_max) + 4, max(0, round(x_min) - 4) : round(x_max) + 4]
        assert inside.mean() > ring.mean()
    outside = np.ones_like(change, bool)
    for x_min, y_min, x_max, y_max in truth.visible_animals(with_animals, 0).values():
        outside[max(0, round(y_min) - 60) : round(y_max) + 60, max(0, round(x_min) - 60) : round(x_max) + 60] = False
    assert outside.sum() > 1000 and change[outside].max() == 0


@pytest.mark.parametrize("session", [f"edge{number}" for number in range(6)])
def test_the_drawing_ends_where_the_box_ends(session):
    """At the nose, the end of the body that no tail hides, and with fur of one strong colour."""
    drawn = make_scene(session, seed=4, n_frames=1, n_animals=1)
    fur = (250.0,) * 3 if looks.luminance(drawn.arena.floor) < 128 else (5.0,) * 3
    camera = dataclasses.replace(drawn.camera, noise=0.0)
    scene = dataclasses.replace(drawn, coats=(looks.Coat(fur, "none", fur, fur, ()),), camera=camera)
    empty = dataclasses.replace(make_scene(session, seed=4, n_frames=1, n_animals=0), camera=camera)
    change = np.abs(render(scene, 0).astype(float) - render(empty, 0)).max(axis=2)
    x_min, y_min, x_max, y_max = truth.visible_animals(scene, 0)[0]
    nose, _, _, tail_base = truth.keypoints_of(scene, 0, 0)[0]
    axis = int(abs(nose[0] - tail_base[0]) < abs(nose[1] - tail_base[1]))
    strong = np.argwhere(change > 0.3 * change.max())[:, ::-1][:, axis]
    if nose[axis] > tail_base[axis]:
        assert abs(strong.max() + 1 - (x_max, y_max)[axis]) < 2
    else:
        assert abs(strong.min() - (x_min, y_min)[axis]) < 2


def test_before_the_animals_are_put_in_the_arena_is_empty():
    late, empty = make_scene("cage1", seed=1, n_frames=8, enter_frame=4), make_scene("cage1", seed=1, n_frames=8, n_animals=0)
    np.testing.assert_array_equal(render(late, 3), render(empty, 3))
    assert not np.array_equal(render(late, 4), render(empty, 4))


def test_a_frame_that_does_not_exist_is_refused():
    for n_animals in (0, 3):
        with pytest.raises(IndexError):
            render(make_scene("cage1", seed=1, n_frames=3, n_animals=n_animals), 3)


@pytest.mark.parametrize("radius", [1, 2, 7, 24])
@pytest.mark.parametrize(("start", "stop"), [((30, 26), (90, 60)), ((40, 40), (40, 40)), ((3, 5), (117, 95)), ((-4, 10), (130, 50))])
def test_rounded_corners_are_a_dilation_by_an_ellipse(radius, start, stop):
    mask = cv2.rectangle(np.zeros((100, 120), np.uint8), start, stop, 255, -1)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1,) * 2)
    assert np.array_equal(_rounded(mask, np.array(start), np.array(stop), radius), cv2.dilate(mask, kernel))


def test_noise_is_a_piece_of_its_sheet_mirrored_by_lot():
    scene = make_scene("s01", seed=5, n_frames=25)
    sheet, seen = _noise_sheet(scene), set()
    for frame in range(25):
        rng = randomness.stream(scene.seed, scene.session, "sensor", frame)
        again = randomness.stream(scene.seed, scene.session, "sensor", frame)
        top, left = again.integers(0, (sheet.shape[0] - scene.height + 1, sheet.shape[1] - scene.width + 1))
        down, right = again.choice([-1, 1], 2)
        piece = sheet[top : top + scene.height, left : left + scene.width][::down, ::right]
        assert np.array_equal(_sensor_noise(scene, rng), piece)
        seen.add((int(down), int(right)))
    assert len(seen) == 4
