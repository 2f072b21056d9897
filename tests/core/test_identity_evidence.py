"""What the tracker believes: the way of a body, sudden moves as one event, false detections, and links that pass over nothing."""

from dataclasses import replace

import numpy as np
import pytest
from walking_animals import detections, line

from etholoop.core.metrics._tracking_frames import side_by_side
from etholoop.core.tracking.cost import judge_of, moves, scene_of
from etholoop.core.tracking.identify import Options, told_by
from etholoop.core.tracking.motion import LAGS, Spread, by_lag
from etholoop.core.tracking.risks import SINGLE, risks_of, track_numbers
from etholoop.core.tracking.sudden import USUAL, fitted, together
from etholoop.core.tracking.tracklets import tracklets
from etholoop.modeling.trackers import etholoop as tracker


def with_points(frames, offsets):
    """The same detections with keypoints (K, 2) px beside the middle of their boxes."""
    middle = (frames.box[:, :2] + frames.box[:, 2:]) / 2
    points = middle[:, None] + np.asarray(offsets, float)
    return replace(frames, keypoints=np.concatenate([points, np.ones((*points.shape[:2], 1))], axis=2))


BODY = [(-10, 0), (0, 0), (10, 0), (0, 8)]


def test_the_way_is_that_of_the_keypoints_both_show():
    """A box that grows because a leg is found moves its centre, the body stands still."""
    frames = with_points(detections([(0, 100.0, 100.0), (1, 100.0, 100.0)]), BODY)
    frames.box[1] += (-20, 0, 40, 0)
    frames.keypoints[1, 3] = np.nan
    way, about = moves(scene_of(frames), None, np.array([0]), np.array([1]))
    assert way.tolist() == [[0, 0]]
    assert about[0, :3].tolist() == [0, 0, 0]
    assert np.isnan(about[0, 3])


def test_too_few_keypoints_leave_the_way_to_the_box():
    frames = with_points(detections([(0, 100.0, 100.0), (1, 106.0, 100.0)]), BODY)
    frames.keypoints[1, :2] = np.nan
    assert moves(scene_of(frames), None, np.array([0]), np.array([1]))[0].tolist() == [[6, 0]]


def test_steady_keypoints_say_more():
    frames = with_points(detections([(0, 100.0, 100.0), (1, 100.0, 100.0)]), BODY)
    frames.keypoints[1, 0, 0] += 100
    plain, weighted = (moves(scene_of(frames), px, np.array([0]), np.array([1]))[0][0, 0] for px in (None, np.array([10.0, 1, 1, 1])))
    assert plain == pytest.approx(25)
    assert weighted == pytest.approx(100 * 0.01 / 3.01, rel=1e-4)


def test_a_leap_of_everything_is_one_rare_event():
    """Three residuals of 12 spreads are dearer one by one than as a sudden move; calm ones cost what they cost."""
    residual = np.array([[12.0, 0.5], [12.0, 0.5], [12.0, 0.5]])
    calm = np.array([40.0, 0.4])
    nats = together(calm, residual, np.full(2, 0.01), np.tile(np.array([[8.0], [3.0], [3.0]]), (1, 2)))
    assert nats[0] < 25
    assert nats[1] == pytest.approx(0.4, abs=0.02)


def test_how_often_and_how_wide_leaps_are_is_learnt():
    rng = np.random.default_rng(0)
    leaps = rng.random(3000) < 0.05
    size = np.where(leaps, 15.0, 1.0) * np.abs(rng.normal(size=(3, 3000)))
    calm = (size**2 / 2).sum(0)
    found = fitted([calm] * len(LAGS), [size] * len(LAGS))
    assert found.share[0] == pytest.approx(0.05, abs=0.02)
    assert 5 < found.width[0, 0] < 12


def test_without_links_leaps_are_as_usual():
    nothing = [np.zeros(0)] * len(LAGS)
    found = fitted(nothing, [np.zeros((3, 0))] * len(LAGS))
    assert np.array_equal(found.share, USUAL.share)
    assert np.array_equal(found.width, USUAL.width)


def test_looking_lags_up_changes_no_number():
    spread = Spread(np.arange(1.0, 8), np.full(7, 2.0), np.zeros(7), np.linspace(0, 1, 7))
    lag = np.tile(np.array([1.0, 3, 7, 100]), 100)
    for fast, slow in zip(by_lag(spread._at, lag), spread._at(lag), strict=True):
        assert np.array_equal(fast, slow)
    assert np.array_equal(spread.at(lag / 2)[0], spread._at(lag / 2)[0]), "lags between looks are no rows of the table"


def test_confidence_counts_against_the_usual_one():
    frames = detections([(0, 1.0, 1.0, 0.9), (1, 1.0, 1.0, 0.9), (2, 1.0, 1.0, 0.3)])
    told = told_by(frames, Options(1, 0.25, 0.05, 10, 25))
    assert told[:2].tolist() == [0, 0]
    assert told[2] < -2


def test_no_safe_link_passes_over_a_detection():
    """An animal leaps for one frame: the link across would leave that frame to nobody, or to another animal."""
    rows = line(0, 120, 100, 100, seed=1)
    rows[60] = (60, rows[60][1] + 9, rows[60][2])
    rows = [row for row in rows if row[0] not in (59, 61, 30)]
    before, *_ = tracklets(scene_of(detections(rows, n_animals=1)), 1)
    frame = np.array([row[0] for row in rows])
    linked = np.flatnonzero(before >= 0)
    passed = (frame[before[linked]] < 60) & (frame[linked] > 60)
    assert not passed.any()
    assert 29 in frame[before[linked]][frame[linked] == 31], "a gap with nothing in it is bridged"


def test_a_second_box_on_one_animal_is_not_the_hidden_other():
    """One of two animals hides for a while; what is seen twice on the other one now and then is left out, and nobody is exchanged."""
    one, two = line(0, 300, 100, 100, dx=1, jitter=2, seed=1), line(0, 300, 100, 300, dx=1, jitter=2, seed=2)
    two = [row for row in two if not 100 <= row[0] < 140]
    double = [(frame, x + 30, y + 15) for frame, x, y in one if 100 <= frame < 140 and frame % 10 == 5]
    frames = detections([*one, *double, *two], n_animals=2)
    number = track_numbers(frames, tracker.track(frames, tracker.Params(), fps=25, width=640, height=480))
    lower = (frames.box[:, 1] + frames.box[:, 3]) / 2 > 200
    assert len(set(number[lower])) == 1
    assert set(number[lower]).isdisjoint(number[~lower & (number >= 0)])
    assert (number < 0).sum() == 4


def test_what_could_stand_in_for_a_detection_is_in_the_queue():
    """Given tracks in which one animal has the other's detection for a frame, and its own one is in no track."""
    frames = detections([*line(0, 100, 100, 100, dx=2, seed=1), *line(0, 100, 100, 160, dx=2, seed=2)], n_animals=2)
    found = tracker.track(frames, tracker.Params(), fps=25, width=640, height=480)
    at = found[found["frame"] == 50].sort_values("y_min")
    found = found.drop(at.index[0])
    found.loc[at.index[1], "track"] = at["track"].iloc[0]
    risks = risks_of(frames, found)
    top = risks[risks["reasons"] == SINGLE].iloc[0]
    assert top["frame"] == 50
    assert top["risk"] > 0.9


def test_velocities_follow_the_keypoints():
    frames = with_points(detections(line(0, 10, 100, 100, dx=3, jitter=0)), BODY)
    scene = scene_of(frames)
    _, model, miss = tracklets(scene, 1)
    judge = judge_of(model, scene, miss, np.arange(-1, 9))
    assert np.allclose(judge.came[1:], [3, 0], atol=1e-4)


def test_points_match_by_distance():
    """Boxes do not touch, but their middles are near enough for the similarity that is asked for."""
    import pandas as pd

    table = pd.DataFrame({"track": [0], "frame": [0], "x_min": [0.0], "y_min": [0.0], "x_max": [2.0], "y_max": [2.0]})
    other = table.assign(x_min=10.0, x_max=12.0)

    def similarity(one, two):
        return np.clip(1 - np.abs(one[:, None, 0] - two[None, :, 0]) / 40, 0, 1)

    assert side_by_side(table, other).frames[0].iou.tolist() == [[0.0]]
    assert side_by_side(table, other, similarity).frames[0].iou.tolist() == [[0.75]]


def test_a_few_detections_in_the_other_track_are_in_the_queue():
    """Two animals far apart; for two frames one is not seen and its track has the other's detections."""
    upper = [row for row in line(0, 100, 100, 100, dx=2, seed=1) if row[0] not in (50, 51)]
    frames = detections([*upper, *line(0, 100, 100, 160, dx=2, seed=2)], n_animals=2)
    found = tracker.track(frames, tracker.Params(fill_s=0), fps=25, width=640, height=480)
    wrong = found["frame"].isin((50, 51))
    found.loc[wrong, "track"] = 1 - found.loc[wrong, "track"]
    risks = risks_of(frames, found)
    top = risks[risks["reasons"] == SINGLE].iloc[0]
    assert top["frame"] == 50
    assert top["risk"] > 0.9
