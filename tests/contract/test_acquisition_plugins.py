"""Promises every acquisition function keeps, whoever wrote it."""

import numpy as np
import pytest

from etholoop import registry
from etholoop.acquisition._shared import Evidence

NAMES = registry.names("etholoop.acquisition")
UNCERTAINTY = ["count_mismatch", "entropy", "least_confidence", "margin"]


def evidence_of(n_frames=12, n_boxes=40, n_classes=3, n_keypoints=4, seed=0):
    rng = np.random.default_rng(seed)
    return Evidence(
        video_ids=np.array([f"cage{i % 3}" for i in range(n_frames)]),
        frames=np.arange(n_frames) * 10,
        frame_of=rng.integers(0, n_frames, n_boxes),
        probabilities=rng.random((n_boxes, n_classes)),
        keypoint_confidences=np.where(rng.random((n_boxes, n_keypoints)) < 0.1, np.nan, rng.random((n_boxes, n_keypoints))),
        boxes=rng.random((n_boxes, 4)) * 100,
        embeddings=rng.normal(size=(n_frames, 6)),
        labelled_embeddings=rng.normal(size=(2, 6)),
        n_animals=3,
    )


def shuffled(evidence, seed):
    """The same frames and boxes in another order, and where each frame went."""
    rng = np.random.default_rng(seed)
    frames, boxes = rng.permutation(evidence.n_frames), rng.permutation(len(evidence.frame_of))
    new_place = np.argsort(frames)
    return frames, Evidence(
        evidence.video_ids[frames],
        evidence.frames[frames],
        new_place[evidence.frame_of][boxes],
        evidence.probabilities[boxes],
        evidence.keypoint_confidences[boxes],
        evidence.boxes[boxes],
        evidence.embeddings[frames],
        evidence.labelled_embeddings,
        evidence.n_animals,
    )


def score(name, evidence, seed=1):
    return registry.load("etholoop.acquisition", name).score(evidence, np.random.default_rng(seed))


def test_the_seven_functions_are_there():
    assert {"random", "coverage", "keypoint_confidence", *UNCERTAINTY} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
class TestEveryFunction:
    def test_gives_one_finite_number_per_frame(self, name):
        priority = score(name, evidence_of())
        assert priority.shape == (12,)
        assert np.isfinite(priority).all()

    def test_gives_different_frames_different_numbers(self, name):
        assert len(np.unique(score(name, evidence_of()))) > 6

    def test_same_seed_same_numbers(self, name):
        assert np.array_equal(score(name, evidence_of(), seed=5), score(name, evidence_of(), seed=5))

    @pytest.mark.parametrize("seed", range(3))
    def test_order_of_rows_does_not_matter(self, name, seed):
        evidence = evidence_of()
        frames, mixed = shuffled(evidence, seed)
        np.testing.assert_allclose(score(name, mixed), score(name, evidence)[frames], rtol=1e-12)

    def test_no_frames(self, name):
        empty = Evidence(np.zeros(0, dtype=str), np.zeros(0, dtype=int))
        assert score(name, empty).shape == (0,)

    def test_frames_without_animals(self, name):
        quiet = Evidence(np.array(["a", "a"]), np.array([0, 1]), embeddings=np.eye(2), n_animals=2)
        assert np.isfinite(score(name, quiet)).all()

    def test_unknown_number_of_animals(self, name):
        evidence = evidence_of()
        unknown = Evidence(**{**evidence.__dict__, "n_animals": None})
        assert np.isfinite(score(name, unknown)).all()

    def test_says_what_it_means(self, name):
        assert len(registry.load("etholoop.acquisition", name).MEANING) > 20


@pytest.mark.parametrize("name", UNCERTAINTY)
@pytest.mark.parametrize("n_classes", [2, 3, 10])
def test_an_undecided_box_comes_before_a_sure_one(name, n_classes):
    sure, undecided = np.eye(n_classes)[0], np.full(n_classes, 1 / n_classes)
    evidence = Evidence(np.array(["a", "a"]), np.array([0, 1]), np.array([0, 1]), np.stack([sure, undecided]), n_animals=1)
    priority = score(name, evidence)
    assert priority[1] > priority[0]
    assert priority[0] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("name", ["entropy", "least_confidence", "margin"])
def test_a_box_that_means_nothing_here_is_not_a_hard_question(name):
    probabilities = np.array([[0.03, 0.02], [0.5, 0.1]])
    evidence = Evidence(np.array(["a", "a"]), np.array([0, 1]), np.array([0, 1]), probabilities, n_animals=1)
    weak, open_question = score(name, evidence)
    assert weak < open_question / 2
