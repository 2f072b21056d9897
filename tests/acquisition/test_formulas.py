"""Known answers of each acquisition function, checkable in the head."""

import numpy as np
import pytest

from etholoop.acquisition import _shared, count_mismatch, coverage, entropy, keypoint_confidence, least_confidence, margin, uniform
from etholoop.acquisition._shared import Evidence, per_frame
from etholoop.errors import EthoLoopError

RNG = np.random.default_rng(0)


def one_frame(probabilities, n_animals=1, **more):
    probabilities = np.atleast_2d(probabilities)
    return Evidence(np.array(["a"]), np.array([7]), np.zeros(len(probabilities), dtype=int), probabilities, n_animals=n_animals, **more)


def test_least_confidence_is_highest_at_one_half():
    assert least_confidence.score(one_frame([[0.5]]), RNG) == pytest.approx(1.0)
    assert least_confidence.score(one_frame([[0.9]]), RNG) == pytest.approx(0.2)
    assert least_confidence.score(one_frame([[0.1]]), RNG) == pytest.approx(0.2)


def test_margin_compares_the_two_best_answers():
    assert margin.score(one_frame([[0.9, 0.85]]), RNG) == pytest.approx(0.95)
    assert margin.score(one_frame([[0.9, 0.1]]), RNG) == pytest.approx(0.2)


def test_entropy_counts_open_questions_in_bits():
    assert entropy.score(one_frame([[0.5, 0.0]]), RNG) == pytest.approx(1.0)
    assert entropy.score(one_frame([[0.5, 0.5]]), RNG) == pytest.approx(2.0)


def test_keypoint_confidence_knows_a_missing_point_as_unsure():
    evidence = one_frame([[1.0]], keypoint_confidences=np.array([[1.0, 0.5, np.nan, 1.0]]))
    assert keypoint_confidence.score(evidence, RNG) == pytest.approx(1.5 / 4)


def test_keypoint_confidence_refuses_a_model_without_keypoints():
    with pytest.raises(EthoLoopError, match="needs keypoints"):
        keypoint_confidence.score(one_frame([[0.7]]), RNG)


@pytest.mark.parametrize(
    ("probabilities", "n_animals", "expected"),
    [([1.0, 1.0], 2, 0), ([1.0, 1.0], 5, 3), ([0.5, 0.5], 1, 0.5), ([1.0, 0.5], None, 0.5), ([], 4, 4), ([], None, 0)],
)
def test_count_mismatch(probabilities, n_animals, expected):
    assert count_mismatch.expected_mismatch(np.array(probabilities), n_animals) == pytest.approx(expected)


def test_count_chances_are_a_distribution():
    assert count_mismatch.count_chances(np.array([0.5, 0.5])) == pytest.approx([0.25, 0.5, 0.25])
    assert count_mismatch.count_chances(RNG.random(50)).sum() == pytest.approx(1)


def test_coverage_chooses_far_points_first():
    line = np.array([[0.0], [1.0], [9.0], [10.0]])
    evidence = Evidence(np.array(list("aaaa")), np.arange(4), embeddings=line, labelled_embeddings=np.array([[0.0]]))
    # 10 is farthest from 0; then 1 and 9 are both one away; 0 is known already
    assert coverage.score(evidence, RNG) == pytest.approx([0, 1, 1, 10])


def test_coverage_begins_with_the_most_ordinary_frame_when_nothing_is_labelled():
    evidence = Evidence(np.array(list("aaa")), np.arange(3), embeddings=np.array([[0.0], [5.0], [11.0]]))
    assert coverage.score(evidence, RNG).argmax() == 1


def test_coverage_keeps_its_order_past_the_last_pick(monkeypatch):
    points = RNG.random((30, 2))
    evidence = Evidence(np.array(["a"] * 30), np.arange(30), embeddings=points)
    whole = coverage.score(evidence, RNG)
    monkeypatch.setattr(_shared, "MAX_PICKS", 5)
    short = coverage.score(evidence, RNG)
    assert list(np.argsort(-short)[:6]) == list(np.argsort(-whole)[:6])
    assert np.sort(short)[::-1][6] <= np.sort(short)[::-1][5]


def test_uniform_visits_every_recording_before_it_returns():
    evidence = Evidence(np.array(list("aaaabbbb")), np.array([0, 10, 20, 30, 0, 10, 20, 30]))
    order = np.argsort(-uniform.score(evidence, RNG))
    assert set(evidence.video_ids[order[:2]]) == {"a", "b"}
    # after one frame of each recording the two far ends of both come next
    assert set(evidence.frames[order[2:4]]) <= {0, 30}


def test_coverage_says_that_embeddings_are_missing():
    with pytest.raises(EthoLoopError, match="embedding"):
        coverage.score(Evidence(np.array(["a"]), np.array([0])), RNG)


def test_a_frame_is_the_mean_of_its_most_doubtful_animals():
    evidence = Evidence(np.array(["a", "a"]), np.array([0, 1]), np.array([0, 1, 0, 0]), n_animals=2)
    # frame 0 has doubts .2, .8, .6 of which the two largest count; frame 1 has one animal and an empty place
    assert per_frame(np.array([0.2, 0.4, 0.8, 0.6]), evidence) == pytest.approx([0.7, 0.2])


def test_evidence_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="probabilities has 3 rows"):
        Evidence(np.array(["a"]), np.array([0]), np.array([0]), np.ones((3, 1)))
    with pytest.raises(ValueError, match="outside"):
        Evidence(np.array(["a"]), np.array([0]), np.array([1]))
