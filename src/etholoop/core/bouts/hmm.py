"""Smoothing by a hidden Markov model whose transitions are learnt from labels.

The states are those of one group of behaviours; what is observed are the scores of a model. As a network gives p(state | frame) and a
Markov model wants p(frame | state), scores are divided by the share of each state (Bourlard and Morgan 1994, Connectionist Speech
Recognition: scaled likelihoods). The most probable path is Viterbi's (1967), probabilities of each frame come from the forward-backward
recursion (Rabiner 1989, A Tutorial on Hidden Markov Models).
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

TINY = 1e-12


@dataclass(frozen=True)
class Chain:
    """``share`` (S,) of each state and ``transition`` (S, S): row = from, column = to, one frame later. Rows sum to 1.

    ``unseen`` (S,): states that no label ever showed, while others were shown.
    """

    share: np.ndarray
    transition: np.ndarray
    unseen: np.ndarray | None = None


def learn(sequences: Iterable[np.ndarray], n_states: int, pseudo: float = 1.0) -> Chain:
    """Count transitions of state sequences; -1 = not known, over which nothing is counted.

    Args:
        pseudo: a priori counts (Laplace): of leaving to each other state, and of each state's share. They keep what was never
            seen possible.
    """
    counts = np.full((n_states, n_states), pseudo)
    seen = np.full(n_states, pseudo)
    for states in map(np.asarray, sequences):
        pairs = (states[:-1] >= 0) & (states[1:] >= 0)
        np.add.at(counts, (states[:-1][pairs], states[1:][pairs]), 1)
        seen += np.bincount(states[states >= 0], minlength=n_states)
    unseen = (seen == pseudo) & (seen > pseudo).any()
    return Chain(seen / seen.sum(), counts / counts.sum(axis=1, keepdims=True), unseen)


def emissions(probabilities: np.ndarray, chain: Chain, weight: float = 1.0) -> np.ndarray:
    """log p(frame | state) up to a constant, (n, S). ``weight`` below 1 trusts single frames less: neighbours tell nearly the same.

    Scores of states that no label showed are not divided by their share, which is near 0 and would make them win everywhere.
    """
    share = chain.share if chain.unseen is None else np.where(chain.unseen, 1.0, chain.share)
    return weight * (np.log(np.maximum(probabilities, TINY)) - np.log(share)[None, :])


def viterbi(log_emission: np.ndarray, chain: Chain) -> np.ndarray:
    """The most probable states (n,); of equally probable paths the one with the lower state numbers."""
    n, n_states = log_emission.shape
    if n == 0:
        return np.zeros(0, np.int64)
    log_transition = np.log(np.maximum(chain.transition, TINY))
    best = np.log(chain.share) + log_emission[0]
    came_from = np.zeros((n, n_states), np.int64)
    for t in range(1, n):
        ways = best[:, None] + log_transition
        came_from[t] = ways.argmax(axis=0)
        best = ways[came_from[t], np.arange(n_states)] + log_emission[t]
    path = np.zeros(n, np.int64)
    path[-1] = int(best.argmax())
    for t in range(n - 1, 0, -1):
        path[t - 1] = came_from[t, path[t]]
    return path


def posterior(log_emission: np.ndarray, chain: Chain) -> np.ndarray:
    """Probability of each state in each frame given the whole line, (n, S); rows sum to 1."""
    n = len(log_emission)
    log_transition = np.log(np.maximum(chain.transition, TINY))
    forward, backward = np.zeros_like(log_emission), np.zeros_like(log_emission)
    for t in range(n):
        before = np.log(chain.share) if t == 0 else logsumexp(forward[t - 1][:, None] + log_transition, axis=0)
        forward[t] = before + log_emission[t]
        forward[t] -= logsumexp(forward[t])
    for t in range(n - 2, -1, -1):
        backward[t] = logsumexp(log_transition + (log_emission[t + 1] + backward[t + 1])[None, :], axis=1)
        backward[t] -= logsumexp(backward[t])
    together = forward + backward
    return np.exp(together - logsumexp(together, axis=1, keepdims=True)) if n else together
