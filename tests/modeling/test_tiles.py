"""Tiles: where they lie, and that each animal is found once and whole."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etholoop.modeling.detectors import _tiles
from etholoop.modeling.detectors._tiles import Tiling
from etholoop.modeling.records import Prediction

TILING = Tiling(100, 30)


def prediction(rows: list[tuple[float, float, float, float, float]], embedding: float = 0.0) -> Prediction:
    """Boxes with confidence, one keypoint in the middle of each."""
    table = np.array(rows, float).reshape(-1, 5)
    boxes = table[:, :4]
    keypoints = np.concatenate([(boxes[:, :2] + boxes[:, 2:]) / 2, table[:, 4:]], axis=1)[:, None]
    return Prediction(boxes, table[:, 4:].astype(np.float32), keypoints, np.full(2, embedding, np.float32))


def test_tiles_are_spread_evenly_and_reach_both_ends() -> None:
    assert _tiles.starts(100, TILING) == [0]
    assert _tiles.starts(101, TILING) == [0, 1]
    assert _tiles.starts(170, TILING) == [0, 70]
    assert _tiles.starts(240, TILING) == [0, 70, 140]
    assert _tiles.tiles_of(170, 60, TILING).tolist() == [[0, 0, 100, 60], [70, 0, 170, 60]]


@given(st.integers(1, 3000), st.integers(64, 900), st.integers(0, 450))
def test_neighbouring_tiles_overlap_enough_and_leave_no_hole(length: int, size: int, overlap: int) -> None:
    tiling = Tiling(size, min(overlap, size // 2))
    begins = _tiles.starts(length, tiling)
    assert begins[0] == 0
    assert begins[-1] + size >= length
    assert all(0 < later - earlier <= size - tiling.overlap + 1 for earlier, later in pairwise(begins))


def test_own_parts_meet_in_the_middle_of_the_overlap() -> None:
    assert _tiles.own_parts(170, 60, TILING).tolist() == [[-np.inf, -np.inf, 85, np.inf], [85, -np.inf, np.inf, np.inf]]


def test_size_of_tiles() -> None:
    assert _tiles.tiling_of({"size": 640, "overlap": 64}, 640, 3840, 2160) == Tiling(640, 64)
    assert _tiles.tiling_of({"size": 640, "overlap": 64}, 640, 640, 480) is None
    # 40 px would be 6.7 of 640: tiles of 800 show them with 32
    assert _tiles.tiling_of({"animal_px": 40, "longest_px": 60}, 640, 3840, 2160) == Tiling(800, 75)
    assert _tiles.tiling_of({"animal_px": 150, "longest_px": 200}, 640, 3840, 2160) is None


def merged(whole: list, *parts: list, limit: int = 10) -> list[list[float]]:
    """Boxes after merging, of a picture of 170 × 100 with two tiles."""
    found = _tiles.merge(prediction(whole, 1.0), [prediction(part) for part in parts], TILING, (170, 100), limit)
    assert found.embedding.tolist() == [1, 1]
    np.testing.assert_allclose(found.keypoints[:, 0, :2], (found.boxes[:, :2] + found.boxes[:, 2:]) / 2)
    return found.boxes.tolist()


def test_an_animal_that_both_tiles_and_the_whole_picture_show_is_one() -> None:
    assert merged([(75, 40, 96, 60, 0.9)], [(75, 41, 95, 60, 0.6)], [(76, 41, 96, 61, 0.8)]) == [[76, 41, 96, 61]]


def test_an_animal_cut_by_a_tile_is_taken_from_the_other() -> None:
    assert merged([], [(90, 40, 100, 60, 0.9)], [(90, 40, 115, 60, 0.7)]) == [[90, 40, 115, 60]]


def test_a_box_at_the_edge_of_the_picture_is_not_cut() -> None:
    assert merged([], [(0, 0, 20, 20, 0.9)], [(150, 80, 170, 100, 0.8)]) == [[0, 0, 20, 20], [150, 80, 170, 100]]


def test_two_animals_side_by_side_at_the_border_stay_two() -> None:
    left, right = (70, 40, 84, 60, 0.9), (85, 40, 99, 60, 0.8)
    assert merged([], [left], [(72, 40, 84, 60, 0.7), right]) == [list(left[:4]), list(right[:4])]


def test_a_long_animal_comes_from_the_whole_picture() -> None:
    assert merged([(20, 20, 120, 60, 0.9)], [(30, 25, 60, 50, 0.5)], [(71, 20, 120, 60, 0.8)]) == [[20, 20, 120, 60]]


def test_a_doubtful_herd_does_not_hide_its_animals() -> None:
    assert [10, 10, 30, 30] in merged([(5, 5, 100, 90, 0.2)], [(10, 10, 30, 30, 0.9)], [])


def test_the_surest_come_first_and_the_limit_holds() -> None:
    boxes = [(5 * number, 10, 5 * number + 4, 14, 0.1 + 0.1 * number) for number in range(5)]
    assert merged([], boxes, [], limit=2) == [[20, 10, 24, 14], [15, 10, 19, 14]]


def look(views: list[np.ndarray]) -> list[Prediction]:
    """A detector that sees every bright thing exactly, as far as it lies inside the view."""
    found = []
    for view in views:
        rows = []
        for value in range(1, int(view.max()) + 1):
            y, x = np.nonzero(view[..., 0] == value)
            if len(x):
                rows.append((x.min(), y.min(), x.max() + 1, y.max() + 1, 0.9))
        found.append(prediction(rows))
    return found


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 11), st.integers(0, 7), st.integers(4, 30), st.integers(4, 30)), unique_by=lambda row: row[:2]))
def test_every_animal_up_to_the_overlap_is_found_once_and_whole(animals: list[tuple[int, int, int, int]]) -> None:
    image = np.zeros((300, 420, 3), np.uint8)
    truth = []
    for number, (column, row, width, height) in enumerate(animals):
        x, y = column * 35 + (row * 3) % 5, row * 36 + column % 4
        image[y : y + height, x : x + width] = number + 1
        truth.append([x, y, min(x + width, 420), min(y + height, 300)])
    found = _tiles.find_in_tiles(look, image, Tiling(128, 34), limit=500)
    assert sorted(found.boxes.tolist()) == sorted(truth)


def test_tiles_must_move_on() -> None:
    from pydantic import ValidationError

    from etholoop.stages.pose_predict import Params

    assert Params.model_validate({"tiles": "auto"}).tiles == "auto"
    with pytest.raises(ValidationError, match="at most half of size"):
        Params.model_validate({"tiles": {"size": 100, "overlap": 60}})
