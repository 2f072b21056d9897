"""Calibration, thresholds: known answers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit

from etholoop.core.bouts import MULTICLASS, MULTILABEL, calibration, thresholds
from etholoop.errors import EthoLoopError


def frames(p: list[float], n: int = 1000) -> tuple[np.ndarray, np.ndarray]:
    """Scores that are each right exactly as often as they say, for one behaviour."""
    scores = np.repeat(p, n)
    truth = np.concatenate([np.arange(n) < round(q * n) for q in p]).astype(np.int8)
    return scores[:, None], truth[:, None]


def test_good_probabilities_are_left_alone() -> None:
    scores, truth = frames([0.1, 0.3, 0.7, 0.9])
    for kind in ("temperature", "platt", "isotonic"):
        fitted = calibration.fit(kind, scores, truth, MULTILABEL)
        assert np.abs(fitted(scores) - scores).max() < 0.01, kind


def test_overconfidence_is_undone_by_its_temperature() -> None:
    scores, truth = frames([0.1, 0.3, 0.7, 0.9])
    boastful = expit(3 * logit(scores))  # logits three times too large
    fitted = calibration.fit("temperature", boastful, truth, MULTILABEL)
    assert fitted.numbers["temperature"] == pytest.approx(3, abs=0.05)
    assert np.abs(fitted(boastful) - scores).max() < 0.01


def test_multiclass_temperature_keeps_the_order_and_none_is_a_class() -> None:
    rng = np.random.default_rng(0)
    honest = rng.dirichlet([1, 1, 1], 4000)
    drawn = np.array([rng.choice(3, p=row) for row in honest])
    truth = (drawn[:, None] == np.arange(2)).astype(np.int8)  # the third class is 'none'
    cold = honest**2 / (honest**2).sum(axis=1, keepdims=True)
    fitted = calibration.fit("temperature", cold[:, :2], truth, MULTICLASS)
    assert fitted.numbers["temperature"] == pytest.approx(2, abs=0.2)
    after = fitted(cold[:, :2])
    rest = 1 - after.sum(axis=1, keepdims=True)
    assert (np.concatenate([after, rest], axis=1).argmax(axis=1) == cold.argmax(axis=1)).all()


def test_platt_moves_a_shifted_score_back() -> None:
    scores, truth = frames([0.2, 0.5, 0.8], 3000)
    shifted = expit(logit(scores) + 2)
    fitted = calibration.fit("platt", shifted, truth, MULTILABEL)
    a, b = fitted.numbers["behaviours"][0]
    assert (a, b) == (pytest.approx(1, abs=0.01), pytest.approx(-2, abs=0.02))


def test_isotonic_is_the_share_of_hits_at_each_score() -> None:
    fitted = calibration.fit("isotonic", np.array([[0.1], [0.1], [0.9], [0.9]]), np.array([[0], [0], [0], [1]], np.int8), MULTILABEL)
    assert fitted(np.array([[0.1], [0.9], [np.nan]]))[:, 0].tolist()[:2] == [0, 0.5]
    assert np.isnan(fitted(np.array([[np.nan]]))).all()


def test_multiclass_rows_never_sum_to_more_than_one() -> None:
    scores = np.array([[0.5, 0.5], [0.5, 0.4], [0.1, 0.2], [0.1, 0.3]])
    truth = np.array([[1, 0], [1, 0], [0, 1], [0, 0]], np.int8)
    for kind in ("platt", "isotonic"):
        assert (calibration.fit(kind, scores, truth, MULTICLASS)(scores).sum(axis=1) <= 1 + 1e-12).all()


def test_unknown_frames_teach_nothing() -> None:
    scores, truth = frames([0.2, 0.8])
    more = np.concatenate([scores, np.full((500, 1), 0.99)]), np.concatenate([truth, np.full((500, 1), -1, np.int8)])
    for kind in ("temperature", "platt", "isotonic"):
        assert calibration.fit(kind, *more, MULTILABEL).numbers == calibration.fit(kind, scores, truth, MULTILABEL).numbers


def test_a_behaviour_never_seen_keeps_its_scores_and_a_note_says_so() -> None:
    scores, truth = frames([0.2, 0.8])
    both = np.column_stack([scores, scores]), np.column_stack([truth, np.zeros_like(truth)])
    fitted = calibration.fit("platt", *both, MULTILABEL)
    assert fitted(both[0])[:, 1].tolist() == scores[:, 0].tolist()
    assert fitted.notes == ("behaviour 1: never seen in the validation frames, not calibrated",)


def test_no_frames_is_no_calibration_and_an_unknown_kind_an_error() -> None:
    assert calibration.fit("platt", np.zeros((0, 2)), np.zeros((0, 2), np.int8), MULTILABEL).kind == "none"
    with pytest.raises(EthoLoopError, match="unknown calibration 'plat'"):
        calibration.fit("plat", np.zeros((0, 2)), np.zeros((0, 2), np.int8), MULTILABEL)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.floats(0.1, 10))
@settings(deadline=None)
def test_temperature_is_rising(values: list[float], temperature: float) -> None:
    fitted = calibration.Calibration("temperature", MULTILABEL, {"temperature": temperature})
    after = fitted(np.sort(values)[:, None])[:, 0]
    assert (np.diff(after) >= 0).all() and ((after >= 0) & (after <= 1)).all()


# --- thresholds --------------------------------------------------------------------------------------------------------------------


def test_the_threshold_parts_what_can_be_parted() -> None:
    scores, truth = np.array([0.1, 0.2, 0.3, 0.6, 0.7]), np.array([0, 0, 0, 1, 1])
    choice = thresholds.choose(scores, truth)
    assert 0.3 <= choice.threshold < 0.6 and choice.value == 1
    # the lowest grid point from .3 on: 1e-4 + k * (1 - 1e-4) / 199
    assert choice.threshold == thresholds.GRID[thresholds.GRID >= 0.3][0]


def test_informedness_and_f1_may_differ() -> None:
    # 1 positive at .5; of 10 negatives 1 at .6: informedness of t < .5 is 1 - .1, its F1 2 / 3
    scores, truth = np.array([0.5, 0.6, *[0.1] * 9]), np.array([1, 0, *[0] * 9])
    assert thresholds.choose(scores, truth, "informedness").value == pytest.approx(0.9)
    assert thresholds.choose(scores, truth, "f1").value == pytest.approx(2 / 3)


def test_deepethograms_care() -> None:
    low = thresholds.choose(np.array([0.004, 0.001]), np.array([1, 0]))
    assert low.threshold == thresholds.LOWEST
    # F1 of saying yes everywhere is 2 / 101: below .05
    hopeless = thresholds.choose(np.r_[0.0, np.full(99, 0.9)], np.r_[1, np.zeros(99)])
    assert hopeless.threshold == thresholds.UNKNOWN


def test_unknown_and_missing_frames_do_not_count_and_nothing_to_choose_is_half() -> None:
    scores, truth = np.array([0.1, 0.2, 0.6, 0.7, np.nan, 0.15]), np.array([0, 0, 1, 1, 1, -1])
    assert thresholds.choose(scores, truth) == thresholds.choose(scores[:4], truth[:4])
    assert thresholds.choose(np.array([0.3]), np.array([1])).threshold == 0.5
    with pytest.raises(EthoLoopError, match="unknown objective"):
        thresholds.choose(scores, truth, "f2")
