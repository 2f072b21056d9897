"""BehavTrack's tracker on cases one can check in one's head: what it does, and the faults that its repetition must keep."""

import numpy as np
import pytest

from etholoop.core.tracking import behavtrack
from etholoop.core.tracking.behavtrack import FUNCTION_DEFAULTS, Settings, pair_costs

SIZE = (640, 480)
BOX = np.array([300.0, 200.0, 360.0, 240.0])
POINTS = np.array([[350.0, 220.0], [340.0, 212.0], [340.0, 228.0], [305.0, 220.0]])


def cost(dx: float, settings: Settings = Settings(), points: np.ndarray | None = POINTS) -> float:
    ours = POINTS if points is not None else np.full((4, 2), np.nan)
    shift = np.array([dx, 0.0])
    return float(pair_costs(BOX, ours, BOX + np.tile(shift, 2), ours + shift, diagonal_px=float(np.hypot(*SIZE)), settings=settings).cost)


def held(rows: list[tuple[int, int, float]], settings: Settings = Settings()) -> dict[int, dict[int, int]]:
    """frame → id → frame of the detection it holds; rows are (frame, the detector's id, x)."""
    frame, key = (np.array([row[place] for row in rows], np.int64) for place in (0, 1))
    box = np.array([[x, 0, x + 40, 40] for _, _, x in rows], float).reshape(-1, 4)
    found = behavtrack.track(frame, key, box, None, width=640, height=480, settings=settings)
    result: dict[int, dict[int, int]] = {}
    for number, identity, row in zip(found.frame.tolist(), found.id.tolist(), found.row.tolist(), strict=True):
        result.setdefault(number, {})[identity] = rows[row][0]
    return result


@pytest.mark.parametrize(("dx", "expected"), [(0, -1.0), (20, -0.94), (40, -0.71), (48, -0.47), (52, -0.25), (56, 0.15), (70, 1.0)])
def test_costs_of_the_published_table(dx: float, expected: float) -> None:
    assert cost(dx) == pytest.approx(expected, abs=0.006)


def test_the_same_box_without_keypoints_costs_half() -> None:
    assert cost(0, points=None) == pytest.approx(-0.5, abs=0.001)


def test_a_missing_keypoint_makes_it_dearer() -> None:
    fewer = POINTS.copy()
    fewer[0] = np.nan
    assert pair_costs(BOX, POINTS, BOX, fewer, diagonal_px=800.0, settings=Settings()).cost > cost(0)


def test_boxes_without_area_overlap_with_nothing() -> None:
    point = np.array([300.0, 200.0, 300.0, 200.0])
    assert pair_costs(point, POINTS, point, POINTS, diagonal_px=800.0, settings=Settings()).iou_box == 0


def test_a_lost_animal_keeps_its_last_box() -> None:
    """The fault: for ever, and nothing in the original says so. Here such rows are marked as copied."""
    rows = [(1, 1, 0.0), (1, 2, 300.0), *[(frame, 2, 300.0) for frame in range(2, 30)]]
    assert all(slots[1] == 1 for slots in held(rows).values())
    frame, key = np.array([1, 1, 2]), np.array([1, 2, 2])
    box = np.array([[0, 0, 40, 40], [300, 0, 340, 40], [300, 0, 340, 40]], float)
    assert behavtrack.track(frame, key, box, None, width=640, height=480, settings=Settings()).copied.tolist() == [
        False,
        False,
        False,
        True,
    ]


def test_a_new_id_at_the_old_place_is_the_old_animal() -> None:
    assert held([(1, 1, 0.0), (2, 9, 2.0)]) == {1: {1: 1}, 2: {1: 2}}


def test_an_id_is_held_for_one_frame_and_then_jumps_to_any_distance() -> None:
    """The fault: the release rule works the wrong way round."""
    rows = [(1, 1, 0.0), (2, 9, 500.0), (3, 9, 500.0)]
    assert held(rows) == {1: {1: 1}, 2: {1: 1}, 3: {1: 3}}
    assert held(rows, Settings(release_id_at_value=1))[3] == {1: 1}


def test_swaps_of_the_detectors_tracker_pass_through() -> None:
    rows = [(1, 1, 0.0), (1, 2, 300.0), (2, 2, 0.0), (2, 1, 300.0)]
    assert held(rows)[2] == {1: 2, 2: 2}


def test_an_id_above_the_maximum_in_the_first_frame_stays() -> None:
    rows = [(frame, key, 200.0 * key) for frame in range(1, 6) for key in (1, 7)]
    assert set(held(rows)[5]) == {1, 7}


def test_after_a_long_gap_ids_are_dealt_out_from_the_highest() -> None:
    rows = [(1, 1, 0.0), (1, 2, 300.0), (32, 1, 0.0), (32, 2, 300.0)]
    assert set(held(rows)[32]) == {5, 4}
    assert set(held([*rows[:2], (31, 1, 0.0), (31, 2, 300.0)])[31]) == {1, 2}


def test_frames_without_detections_stay_empty_and_the_first_may_be_one() -> None:
    assert set(held([(3, 1, 0.0), (5, 1, 2.0)])) == {3, 5}
    assert held([]) == {}


def test_more_animals_than_ids_after_a_gap_are_left_out() -> None:
    rows = [(1, 1, 0.0), *[(50, key, 100.0 * key) for key in range(1, 8)]]
    assert len(held(rows)[50]) == 5


def test_the_functions_defaults_differ_from_the_notebooks() -> None:
    assert cost(70, FUNCTION_DEFAULTS) > FUNCTION_DEFAULTS.cost_threshold
    assert cost(56) > Settings().cost_threshold > cost(52)
