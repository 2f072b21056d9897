"""States of a group of behaviours that exclude each other: none of them, or one of them."""

import numpy as np

from etholoop.core.bouts import MULTICLASS

EPS = 1e-6


def state_probabilities(scores: np.ndarray, head: str) -> np.ndarray:
    """Probabilities (n, 1 + G) of 'none' and of each of the G behaviours of one group; rows sum to 1, NaN rows stay NaN.

    ``multiclass``: none is what is missing to 1. ``multilabel``: independent probabilities under the condition that at most one is true:
    the odds of behaviour g against none are p_g / (1 - p_g).
    """
    scores = np.asarray(scores, np.float64)
    if head == MULTICLASS:
        rest = np.clip(1 - scores.sum(axis=1, keepdims=True), 0, None)
        together = np.concatenate([rest, np.clip(scores, 0, None)], axis=1)
    else:
        kept = np.clip(scores, EPS, 1 - EPS)
        together = np.concatenate([np.ones((len(kept), 1)), kept / (1 - kept)], axis=1)
    return together / together.sum(axis=1, keepdims=True)


def states_of(truth: np.ndarray) -> np.ndarray:
    """State numbers (n,) of a group from truth (n, G): 0 none, 1 + g behaviour g, -1 where that is not known.

    Where two of one group are marked at the same time, which a person should not do, the first of the ethogram counts.
    """
    happens = truth == 1
    any_, first = happens.any(axis=1), happens.argmax(axis=1)
    whole = (truth >= 0).all(axis=1)
    return np.where(any_, 1 + first, np.where(whole, 0, -1)).astype(np.int64)


def flags_of_states(states: np.ndarray, n_behaviours: int) -> np.ndarray:
    """Inverse of :func:`states_of` for known states: (n, G) bool."""
    return np.asarray(states)[:, None] == 1 + np.arange(n_behaviours)[None, :]
