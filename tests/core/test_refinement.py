"""Which moments are judged and which are filled in, on curves whose every value is known."""

import numpy as np
import pytest

from etholoop.core.refinement import Check, Refinement, Wish
from etholoop.errors import EthoLoopError


def softmax(logits: np.ndarray) -> np.ndarray:
    values = np.exp(logits - logits.max(1, keepdims=True))
    return (values / values.sum(1, keepdims=True)).astype(np.float32)


def slow(n: int, seed: int, period: float, n_classes: int = 4) -> np.ndarray:
    """Probabilities that wander with about this period."""
    rng = np.random.default_rng(seed)
    t = np.arange(n)[:, None]
    waves = sum(
        rng.normal(size=n_classes) * np.sin(2 * np.pi * t / (period * rng.uniform(0.7, 1.5)) + rng.uniform(0, 6.28, n_classes))
        for _ in range(3)
    )
    return softmax(waves)


def refine(truth: np.ndarray, lengths: list[int], rate: int = 5, seed: int = 0, wish: Wish | None = None) -> Refinement:
    refinement = Refinement(lengths, rate, wish or Wish(), seed=seed)
    asked: set[int] = set()
    while len(moments := refinement.ask()):
        assert (np.diff(moments) > 0).all() and asked.isdisjoint(moments.tolist()), "each moment is asked for once"
        asked.update(moments.tolist())
        refinement.tell(truth[moments])
    assert asked == set(np.flatnonzero(refinement.judged).tolist())
    return refinement


def agreement(refinement: Refinement, truth: np.ndarray) -> float:
    return float((refinement.probabilities.argmax(1) == truth.argmax(1)).mean())


@pytest.mark.parametrize("seed", range(5))
def test_slow_changes_need_few_moments_and_labels_agree(seed):
    truth = slow(600, seed, 150.0)
    found = refine(truth, [350, 250], seed=seed)
    assert found.judged.mean() < 0.35 and agreement(found, truth) >= 0.98
    assert (found.probabilities[found.judged] == truth[found.judged]).all()
    assert np.abs(found.probabilities.sum(1) - 1).max() < 1e-5
    low, high = found.check.interval
    assert low <= agreement(found, truth) <= high
    assert found.check.n == 600 and found.check.judged == found.judged.sum() and found.check.tried >= 8


def test_what_changes_faster_is_looked_at_more():
    shares = [refine(slow(500, 3, period), [500]).judged.mean() for period in (400.0, 80.0, 25.0)]
    assert shares[0] < shares[1] < shares[2]


def test_noise_cannot_be_filled_in():
    """Where neighbours tell nothing nearly every moment is judged, and labels agree all the same."""
    truth = softmax(np.random.default_rng(1).normal(size=(300, 4)))
    found = refine(truth, [300])
    assert found.judged.mean() > 0.9 and agreement(found, truth) >= 0.97


def test_a_check_that_fails_goes_on():
    """Short events between the first moments, which curves cannot foresee: chance finds some of them and the rest is looked for."""
    truth = np.tile(np.float32([0.97, 0.02, 0.01]), (480, 1))
    truth[np.arange(480) % 12 == 6] = [0.02, 0.97, 0.01]  # one twelfth, always midway between the first moments
    found = refine(truth, [480], rate=5, wish=Wish(check=0.2))
    assert found.check.agreement >= 0.98 and agreement(found, truth) > 0.975
    assert refine(truth[:1].repeat(480, 0), [480], wish=Wish(check=0.2)).judged.sum() < found.judged.sum() / 2


def test_moments_that_see_the_same_pictures_are_like_each_other():
    """Values jump from frame to frame and are smooth every fifth frame, as with clips of every fifth picture."""
    rng = np.random.default_rng(2)
    smooth = 1.2 * np.sin(np.arange(500)[:, None] / 60 + np.array([0.0, 2.0, 4.0]))
    truth = softmax(smooth + 0.4 * rng.normal(size=(5, 3))[np.arange(500) % 5])
    known, unknown = refine(truth, [500], rate=5), refine(truth, [500], rate=7)
    assert known.judged.sum() < 0.7 * unknown.judged.sum() and agreement(known, truth) >= 0.98


def test_stretches_know_nothing_of_each_other():
    truth = np.concatenate([slow(120, 1, 100.0), slow(120, 2, 100.0)[::-1]])
    found = refine(truth, [120, 120])
    assert found.judged[[0, 119, 120, 239]].all() and agreement(found, truth) >= 0.98


@pytest.mark.parametrize("lengths", [[1], [2, 1], [5], [13]])
def test_short_stretches(lengths):
    truth = slow(sum(lengths), 0, 20.0)
    found = refine(truth, lengths)
    assert found.judged.all() and (found.probabilities == truth).all() and found.check.interval == (1.0, 1.0)


def test_nothing_and_one_class():
    assert len(Refinement([], 5, Wish(), seed=0).ask()) == 0
    found = refine(np.ones((200, 1), np.float32), [200])
    assert (found.probabilities == 1).all() and found.judged.mean() < 0.2


def test_the_same_seed_asks_the_same():
    truth = slow(400, 5, 60.0)
    first, again, other = (refine(truth, [400], seed=seed).judged for seed in (1, 1, 2))
    assert (first == again).all() and (first != other).any()


def test_independent_probabilities_need_not_add_up():
    truth = np.column_stack([slow(300, 0, 200.0, 2)[:, 0], slow(300, 1, 200.0, 2)[:, 0]])
    refinement = Refinement([300], 5, Wish(), seed=0, exclusive=False)
    while len(moments := refinement.ask()):
        refinement.tell(truth[moments])
    assert np.abs(refinement.probabilities - truth).max() < 0.05


def test_the_interval():
    check = Check(n=1000, judged=300, tried=50, same=49)
    assert check.agreement == pytest.approx(0.3 + 0.7 * 0.98)
    # Clopper and Pearson for 49 of 50: .8935 to .9995
    assert check.interval == pytest.approx((0.3 + 0.7 * 0.8935, 0.3 + 0.7 * 0.9995), abs=1e-4)
    assert (check + Check(10, 10)).n == 1010 and (check + Check(10, 10)).judged == 310
    assert Check(10, 4).interval == (0.4, 1.0) and Check().agreement == 1.0


def test_impossible_wishes():
    for settings in ({"agreement": 1.0}, {"agreement": 0.2}, {"first": 0}, {"check": 0.0}, {"check_least": 0}):
        with pytest.raises(EthoLoopError, match="expected"):
            Wish(**settings)
    with pytest.raises(EthoLoopError, match="expected 1 or more"):
        Refinement([3, 0], 5, Wish(), seed=0)
