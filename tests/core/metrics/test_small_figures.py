"""Keypoint error, calibration and bootstrap: answers that can be checked in the head."""

import time

import numpy as np
import pytest

from etholoop.core.metrics import bootstrap
from etholoop.core.metrics.calibration import N_BINS, calibration_table, expected_calibration_error
from etholoop.core.metrics.keypoint_error import box_sizes, distances_px, mean_px, median_px, pck, rmse_px

ERRORS = np.array([0.0, 3.0, 4.0, np.nan])


def test_distances_leave_out_what_one_side_lacks():
    true = np.array([[0, 0, 2], [0, 0, 1], [np.nan, np.nan, 0], [1, 1, 2.0]])
    predicted = np.array([[3, 4, 0.9], [0, 0, 0.9], [5, 5, 0.9], [np.nan, np.nan, np.nan]])
    np.testing.assert_equal(distances_px(predicted, true), [5, 0, np.nan, np.nan])


def test_errors_of_three_points():
    assert rmse_px(ERRORS) == pytest.approx(np.sqrt(25 / 3))
    assert mean_px(ERRORS) == pytest.approx(7 / 3)
    assert median_px(ERRORS) == 3


def test_weights_count_an_error_more_than_once():
    weights = np.array([0, 1, 3, 5])
    repeated = np.array([3.0, 4, 4, 4])
    assert rmse_px(ERRORS, weights) == pytest.approx(rmse_px(repeated))
    assert mean_px(ERRORS, weights) == pytest.approx(mean_px(repeated))
    assert median_px(ERRORS, weights) == 4
    assert pck(ERRORS, 3.5, weights) == 0.25


def test_pck_by_box_size_and_by_pixels():
    sizes = box_sizes(np.array([[0, 0, 10, 30], [0, 0, 20, 10], [0, 0, 100, 5], [0, 0, 1, 1.0]]))
    assert list(sizes) == [30, 20, 100, 1]
    assert pck(ERRORS, 0.1 * sizes) == pytest.approx(2 / 3)  # limits 3, 2, 10
    assert pck(ERRORS, 3.0) == pytest.approx(2 / 3)


def test_nothing_measured_is_nan():
    for figure in (rmse_px, mean_px, median_px, lambda e: pck(e, 5)):
        assert np.isnan(figure(np.array([])))
        assert np.isnan(figure(np.array([np.nan])))


def test_calibration_of_an_honest_and_of_a_boasting_model():
    confidence = np.full(10, 0.8)
    assert expected_calibration_error(confidence, np.arange(10) < 8) == pytest.approx(0)
    assert expected_calibration_error(confidence, np.arange(10) < 3) == pytest.approx(0.5)
    assert np.isnan(expected_calibration_error(np.array([]), np.array([])))


def test_calibration_weighs_bins_by_their_size():
    confidence, correct = np.array([0.05, 0.95, 0.95, 0.95]), np.array([1, 1, 1, 1])
    assert expected_calibration_error(confidence, correct) == pytest.approx((0.95 + 3 * 0.05) / 4)
    assert expected_calibration_error(confidence, correct, np.array([0, 1, 1, 1])) == pytest.approx(0.05)


def test_calibration_table_has_fifteen_bins_with_closed_upper_edge():
    table = calibration_table(np.array([0.0, 1 / N_BINS, 1.0]), np.array([0, 1, 1]))
    assert len(table) == 15
    assert list(table["n"].iloc[[0, 1, 14]]) == [2, 0, 1]
    assert table["correct"].iloc[0] == 0.5
    assert np.isnan(table["correct"].iloc[1])


def test_bootstrap_recomputes_the_statistic_on_drawn_videos():
    # the mean over frames, not the mean over the videos' means: with (1 frame of 0, 9 frames of 1) only 0, .9 and 1 can come out
    videos = [[0.0], [1.0] * 9]
    seen = set()

    def mean_of_frames(drawn):
        value = float(np.mean([x for video in drawn for x in video]))
        seen.add(round(value, 6))
        return value

    low, high = bootstrap.bootstrap(videos, mean_of_frames, n=200, seed=0)
    assert seen == {0.0, 0.9, 1.0}
    assert (low, high) == (0, 1)


def test_bootstrap_agrees_with_the_normal_interval_for_a_mean():
    values = list(np.random.default_rng(0).normal(10, 2, 100))
    low, high = bootstrap.bootstrap(values, lambda drawn: float(np.mean(drawn)), seed=1)
    half = 1.96 * np.std(values) / 10
    assert (low, high) == pytest.approx((np.mean(values) - half, np.mean(values) + half), abs=0.05)


def test_bootstrap_is_seeded_and_needs_two_videos():
    values = [1.0, 2.0, 5.0]

    def mean(drawn):
        return float(np.mean(drawn))

    assert bootstrap.bootstrap(values, mean, n=50, seed=3) == bootstrap.bootstrap(values, mean, n=50, seed=3)
    assert bootstrap.bootstrap([1.0, 2.0, 3.5, 5.0, 9.0], mean, 50, 3) != bootstrap.bootstrap([1.0, 2.0, 3.5, 5.0, 9.0], mean, 50, 4)
    assert np.isnan(bootstrap.bootstrap([1.0], mean)).all()


def test_resamples_without_the_figure_are_left_out():
    interval = bootstrap.intervals(3, lambda counts: {"x": 7.0 if counts[0] else np.nan}, n=200)["x"]
    assert interval == (7, 7)


def test_reliable_from_ten_videos():
    assert not bootstrap.reliable(9)
    assert bootstrap.reliable(10)
    assert bootstrap.UNRELIABLE == "CI not reliable: n videos < 10"


def test_two_thousand_resamples_are_quick():
    start = time.process_time()
    bootstrap.intervals(50, lambda counts: {"x": float(counts[0])})
    assert time.process_time() - start < 5
