"""Frames in which the model finds too many or too few animals."""

from itertools import pairwise

import numpy as np

from etholoop.acquisition._shared import Evidence, best_probabilities

MEANING = "by how many animals the model's count is expected to be wrong"


def score(evidence: Evidence, rng: np.random.Generator) -> np.ndarray:
    """(n,) expected value of ``|count - expected animals|``, in animals, each box being one with its own probability.

    The soft count makes two boxes of .5 a doubtful animal and not exactly one. Where the expected number is unknown the frame's own most
    probable count takes its place, so that only the doubt about the count is left.
    """
    best = best_probabilities(evidence)
    order = np.argsort(evidence.frame_of, kind="stable")
    starts = np.searchsorted(evidence.frame_of[order], np.arange(evidence.n_frames + 1))
    rows = [order[start:stop] for start, stop in pairwise(starts)]
    return np.array([expected_mismatch(best[row], evidence.n_animals) for row in rows], dtype=float)


def expected_mismatch(probabilities: np.ndarray, n_animals: int | None) -> float:
    """Expected ``|count - n_animals|`` for independent boxes."""
    chances = count_chances(probabilities)
    expected = int(chances.argmax()) if n_animals is None else n_animals
    return float(chances @ np.abs(np.arange(len(chances)) - expected))


def count_chances(probabilities: np.ndarray) -> np.ndarray:
    """(m + 1,) chance of each count from 0 to m (Poisson-binomial). Sorted first: the same boxes give the same bits in any order."""
    chances = np.zeros(len(probabilities) + 1)
    chances[0] = 1.0
    for p in np.sort(probabilities.astype(float)):
        chances[1:] = chances[1:] * (1 - p) + chances[:-1] * p
        chances[0] *= 1 - p
    return chances
