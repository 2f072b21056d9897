"""kabr-tools' tracker on cases one can check in one's head: what it does, and the faults that its repetition must keep."""

import numpy as np
import pytest

from etholoop.core.tracking import centroid_kalman
from etholoop.core.tracking.centroid_kalman import Settings, follow
from etholoop.core.tracking.kabr_detections import kept, without_doubles


def boxes(*centres: tuple[int, int]) -> np.ndarray:
    return np.array([[x - 10, y - 10, x + 10, y + 10] for x, y in centres], np.int64).reshape(-1, 4)


def standing(n: int, *centres: tuple[int, int]) -> list[np.ndarray]:
    return [boxes(*centres)] * n


def ids(live: list[list[centroid_kalman.Seen]]) -> list[list[int]]:
    return [[one.id for one in animals] for animals in live]


def test_nothing_at_all() -> None:
    assert follow([], Settings()) == ([], [])
    assert follow(standing(3), Settings()) == ([[], [], []], [])


def test_ids_count_from_1_in_the_order_of_the_detections() -> None:
    assert ids(follow(standing(2, (50, 50), (400, 50)), Settings())[0]) == [[1, 2], [1, 2]]


def test_an_empty_beginning_does_no_harm() -> None:
    live, tracks = follow([*standing(5), *standing(10, (50, 50))], Settings())
    assert ids(live) == [[]] * 5 + [[1]] * 10
    assert tracks[0].start_frame == 5


def test_a_gap_of_30_is_bridged_and_one_of_50_gives_a_new_id() -> None:
    for gap, expected in ((30, {1}), (50, {1, 2})):
        _, tracks = follow([*standing(60, (50, 50)), *standing(gap), *standing(60, (50, 50))], Settings())
        assert {track.id for track in tracks} == expected
        assert sum(sum(track.filled) for track in tracks) == (gap if gap == 30 else 0)


def test_gaps_are_filled_on_the_line_between_the_boxes() -> None:
    _, (track,) = follow([boxes((50, 50)), *standing(3), boxes((58, 50))], Settings())
    assert [box[0] for box in track.box if box] == [40, 42, 44, 46, 48]
    assert track.filled == [False, True, True, True, False]
    (bare,) = follow([boxes((50, 50)), *standing(3), boxes((58, 50))], Settings(interpolation=False))[1]
    assert bare.box[1:4] == [None] * 3


def test_a_far_new_animal_gets_no_track_while_another_is_lost() -> None:
    """The fault: for 41 frames."""
    live, _ = follow([*standing(50, (50, 50)), *standing(60, (900, 50))], Settings())
    assert ids(live)[50] == [1]
    first = next(frame for frame, animals in enumerate(live) if any(one.row == 0 for one in animals) and frame >= 50)
    assert first - 50 == 41


def test_short_tracks_vanish() -> None:
    """The fault: 40 real frames are deleted, 41 are kept, unless the video ends first."""
    for n, expected in ((40, []), (41, [1])):
        _, tracks = follow([*standing(n, (50, 50)), *standing(120)], Settings())
        assert [track.id for track in tracks] == expected
    _, (track,) = follow([*standing(5, (50, 50)), *standing(30)], Settings())
    assert [box is None for box in track.box] == [False] * 5 + [True] * 30


def test_the_filter_lags_behind_a_fast_animal() -> None:
    """The fault: 28 px at 20 px per frame (after a second or two; at first more)."""
    live, _ = follow([boxes((50 + 20 * frame, 50)) for frame in range(60)] + standing(1), Settings())
    expected_at = 50 + 20 * 60
    assert expected_at - live[60][0].point[0] == pytest.approx(28, abs=3)


def test_a_jump_beyond_the_limit_is_no_match() -> None:
    assert follow([boxes((50, 50)), boxes((340, 50))], Settings())[0][1][0].row == 0
    assert follow([boxes((50, 50)), boxes((360, 50))], Settings())[0][1][0].row == -1


def test_two_detections_at_one_place() -> None:
    """The fault: both animals get the first one's box. The plug-in asks for the detection that each was matched with."""
    frames = [boxes((50, 50), (150, 50)), boxes((100, 50), (100, 50))]
    assert [one.row for one in follow(frames, Settings())[0][1]] == [0, 0]
    tracker = centroid_kalman.Tracker(Settings(), box_by_point=False)
    for found in frames:
        assert sorted(one.row for one in tracker.update(found)) == [0, 1]


def test_the_gains_of_the_filter_settle() -> None:
    assert centroid_kalman._gain(0).tolist() == [0, 0]
    assert centroid_kalman._gain(1)[0] == pytest.approx(0.5)
    assert np.array_equal(centroid_kalman._gain(centroid_kalman.SETTLED), centroid_kalman._gain(10 * centroid_kalman.SETTLED))


def test_the_filter_is_opencvs() -> None:
    """Bit for bit over random walks with pauses, because results are cut to whole pixels."""
    cv2 = pytest.importorskip("cv2")
    for seed in range(5):
        rng = np.random.default_rng(seed)
        theirs = cv2.KalmanFilter(4, 2)
        theirs.transitionMatrix = np.array([[1, 0, 0.01, 0], [0, 1, 0, 0.01], [0, 0, 1, 0], [0, 0, 0, 1]], np.float32)
        theirs.measurementMatrix = np.eye(2, 4, dtype=np.float32)
        origin = rng.integers(0, 4000, 2).astype(np.float32)
        ours = centroid_kalman._Animal(origin, origin, n_steps=0)
        point = origin.copy()
        for step in range(200):
            if step % 20 < 15:
                point = (point + rng.integers(-30, 31, 2)).astype(np.float32)
            theirs.correct((point - origin).reshape(2, 1))
            state = theirs.predict()[:, 0]
            ours.point = point
            centroid_kalman._predict(ours)
            assert np.array_equal(ours.state, state)


def test_detections_that_count() -> None:
    found = kept(np.array([[1.9, 2.9, 30.9, 40.9]] * 4), np.array([0.5, 0.655, 0.9, 0.9], np.float32), ["zebra", "horse", "zebra", "dog"])
    assert (found.row.tolist(), found.label) == ([1, 2], ["Zebra", "Zebra"])
    assert found.box.tolist() == [[1, 2, 30, 40]] * 2
    assert found.confidence.tolist() == [0.65, 0.9]  # .655 as a 32-bit number is a little less
    assert len(kept(np.zeros((0, 4)), np.zeros(0), []).row) == 0


def test_doubles_of_another_class_go_too() -> None:
    box = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [50, 0, 60, 10]], float)
    assert without_doubles(box, np.array([0.6, 0.9, 0.7]), 0.5).tolist() == [1, 2]
    assert without_doubles(np.zeros((0, 4)), np.zeros(0), 0.5).tolist() == []
