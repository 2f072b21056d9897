"""Animals drawn where they are, and told apart without colour."""

import numpy as np
import pytest

from etholoop.io import drawing
from etholoop.io.drawing import FINER, Animal

GREY = np.full((60, 80, 3), 128, np.uint8)


def animal(box=(20, 20, 40, 40), points=((30, 30),)):
    return Animal(np.array(box, dtype=float), np.array(points, dtype=float).reshape(-1, 2))


def drawn(role, *animals, edges=()):
    view = drawing.whole(GREY, 160)
    drawing.draw(view, animals, edges, role)
    return view


def changed(view):
    return (view.image != 128).any(axis=2)


def test_drawing_does_not_touch_the_image():
    before = GREY.copy()
    drawn("truth", animal())
    assert (before == GREY).all()


@pytest.mark.parametrize("role", ["truth", "prediction"])
def test_a_keypoint_is_drawn_where_it_is(role):
    marks = changed(drawn(role, animal(box=(np.nan,) * 4)))
    rows, columns = np.nonzero(marks)
    scale = FINER * 2
    # pixel (r, c) of the drawing covers [c, c + 1), so the middle of the mark is the mean plus one half
    assert columns.mean() + 0.5 == pytest.approx(30 * scale, abs=0.5)
    assert rows.mean() + 0.5 == pytest.approx(30 * scale, abs=0.5)


def test_labels_are_rings_and_predictions_are_dots():
    middle = 30 * FINER * 2
    ring, dot = (changed(drawn(role, animal(box=(np.nan,) * 4))) for role in ("truth", "prediction"))
    assert not ring[middle, middle]
    assert dot[middle, middle]


def test_labels_are_solid_boxes_and_predictions_are_dashed():
    top = 20 * FINER * 2
    left, right = 20 * FINER * 2, 40 * FINER * 2
    solid, dashed = (changed(drawn(role, animal(points=())))[top, left:right] for role in ("truth", "prediction"))
    assert solid.all()
    assert 0.3 < dashed.mean() < 0.9


def test_missing_keypoints_and_their_edges_are_not_drawn():
    missing = animal(box=(np.nan,) * 4, points=((np.nan, np.nan), (np.nan, np.nan)))
    assert not changed(drawn("prediction", missing, edges=[(0, 1)])).any()


def test_an_animal_outside_the_picture_harms_nothing():
    assert not changed(drawn("prediction", animal(box=(900, 900, 1e9, 1e9), points=((-5000, 1e9),)))).any()


@pytest.mark.parametrize("box", [(0, 0, 4, 4), (70, 50, 80, 60), (0, 0, 80, 60), (30, 0, 34, 60), (40, 30, 40, 30)])
def test_a_piece_around_a_box_lies_inside_the_image(box):
    view = drawing.around(GREY, np.array(box, dtype=float), 120)
    assert drawing.finished(view).shape == (90, 120, 3)
    assert view.left >= 0
    assert view.top >= 0
    centre = view.place(np.array([[(box[0] + box[2]) / 2, (box[1] + box[3]) / 2]]))[0]
    assert (centre >= 0).all()
    assert (centre <= [view.image.shape[1], view.image.shape[0]]).all()


def test_finished_picture_has_the_width_asked_for():
    assert drawing.finished(drawing.whole(GREY, 200)).shape == (150, 200, 3)


def test_the_same_picture_gives_the_same_bytes():
    picture = drawing.finished(drawn("truth", animal()))
    assert drawing.jpeg(picture) == drawing.jpeg(picture.copy())
    assert drawing.jpeg(picture).startswith(b"\xff\xd8")


def test_keypoint_colours_begin_again():
    n = len(drawing.OKABE_ITO)
    assert len({drawing.keypoint_colour(i) for i in range(n)}) == n
    assert drawing.keypoint_colour(n) == drawing.keypoint_colour(0)
