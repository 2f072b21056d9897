"""Captions of tracked animals: as large as the picture allows, and one beside the other."""

from itertools import combinations

import numpy as np
import pytest

from etholoop.io.track_drawing import Shown, TrackPen, captions

BOXES = np.array(
    [(20, 30, 70, 70), (60, 45, 110, 90), (66, 60, 120, 95), (200, 100, 250, 140), (230, 96, 280, 150), (255, 110, 310, 160)], float
)
"""Two herds of three in a picture of 320 × 180."""

WHITE = (255, 255, 255)


def written(width: int, boxes: np.ndarray) -> list[tuple[int, int, int, int]]:
    image = np.full((round(width * 9 / 16), width, 3), 120, np.uint8)
    named = [(f"#{number}: 0.9{number} zebra", box * width / 320, WHITE) for number, box in enumerate(boxes)]
    return captions(image, named, max(1, round(width / 640)))


@pytest.mark.parametrize("width", [320, 640, 1280, 1920])
def test_captions_of_animals_side_by_side_do_not_overlap(width):
    places = written(width, BOXES)
    for one, other in combinations(places, 2):
        assert min(one[2], other[2]) <= max(one[0], other[0]) or min(one[3], other[3]) <= max(one[1], other[1])
    for left, top, right, bottom in places:
        assert left >= 0 and top >= 0 and right <= width and bottom <= width * 9 / 16


def test_letters_take_the_same_part_of_every_picture_that_has_room_for_them():
    shares = [(right - left) / width for width in (640, 960, 1280, 1920) for left, _, right, _ in written(width, BOXES[:1])]
    assert max(shares) / min(shares) < 1.1
    ((left, top, right, bottom),) = written(320, BOXES[:1])
    assert right - left < 0.28 * 320, "in a small picture it was more than a third"
    assert bottom - top >= 6, "and can still be read"


def test_without_room_the_caption_stays_above_its_box():
    places = written(320, np.repeat(BOXES[:1], 12, axis=0))
    assert places[-1][:2] == places[0][:2] and places[1][:2] != places[0][:2]


def test_the_pen_writes_names_over_all_boxes_and_none_without_a_box():
    image = np.zeros((180, 320, 3), np.uint8)
    lost = Shown(2, np.full(4, np.nan), "lost")
    # the box of the second animal runs through the name of the first
    drawn = TrackPen(colours=[(255, 0, 0), (0, 255, 0)]).draw(
        image.copy(), 0, [Shown(0, BOXES[4], "zebra"), Shown(1, BOXES[4] - 6, ""), lost]
    )
    alone = TrackPen(colours=[(255, 0, 0)]).draw(image.copy(), 0, [Shown(0, BOXES[4], "zebra")])
    rows, columns = slice(84, 93), slice(232, 256)
    letters = alone[rows, columns, 0] > 200
    assert letters.sum() > 30
    assert (drawn[rows, columns, 0][letters] > 150).all()
