"""Scores of one animal → which behaviours it shows in which frame, by a rule that was fitted before."""

from dataclasses import dataclass, field

import numpy as np

from etholoop.core.bouts import MULTICLASS, lengths
from etholoop.core.bouts.calibration import Calibration
from etholoop.core.bouts.hmm import Chain, emissions, posterior, viterbi
from etholoop.core.bouts.intervals import intervals_of
from etholoop.core.bouts.states import flags_of_states, state_probabilities

METHODS = ("threshold", "argmax", "hmm")


@dataclass(frozen=True)
class Rule:
    """All that turns scores into bouts.

    ``groups``: columns that exclude each other, each behaviour in exactly one group. ``thresholds``, ``min_frames`` and ``max_gaps`` have
    one value for each behaviour, ``chains`` and ``emission_weights`` one for each group (only for method ``hmm``).
    """

    behaviours: tuple[str, ...]
    groups: tuple[tuple[int, ...], ...]
    head: str = MULTICLASS
    method: str = "argmax"
    calibration: Calibration = field(default_factory=Calibration)
    smooth_frames: int = 1
    thresholds: tuple[float, ...] = ()
    chains: tuple[Chain, ...] = ()
    emission_weights: tuple[float, ...] = ()
    min_frames: tuple[int, ...] = ()
    max_gaps: tuple[int, ...] = ()
    deepethogram_lengths: bool = False
    unsure_below: float = 0.0


@dataclass(frozen=True)
class Decision:
    """``happens`` (n, K), ``unsure`` (n,) frames of which nothing is said, ``scores`` (n, K) as calibrated and smoothed."""

    happens: np.ndarray
    unsure: np.ndarray
    scores: np.ndarray


def decide(scores: np.ndarray, rule: Rule) -> Decision:
    """Apply the rule to one animal's neighbouring frames (n, K).

    Stretches between frames without scores are decided each by itself: an animal that was lost may have done anything meanwhile.
    Frames without scores are unsure.
    """
    n, n_behaviours = scores.shape
    happens, unsure, calibrated = np.zeros((n, n_behaviours), bool), np.ones(n, bool), np.full((n, n_behaviours), np.nan)
    for start, stop in intervals_of(np.isfinite(scores).all(axis=1)):
        part = _stretch(scores[start:stop], rule)
        happens[start:stop], unsure[start:stop], calibrated[start:stop] = part.happens, part.unsure, part.scores
    return Decision(happens, unsure, calibrated)


def _stretch(scores: np.ndarray, rule: Rule) -> Decision:
    calibrated = smoothed(rule.calibration(scores), rule.smooth_frames)
    happens, sure = np.zeros(scores.shape, bool), np.ones(len(scores), bool)
    for number, group in enumerate(rule.groups):
        columns = list(group)
        own, surety = _group(calibrated[:, columns], rule, number, columns)
        doubtful = surety < rule.unsure_below
        own[doubtful] = False
        own = _cleaned(own, rule, columns)
        # a doubtful gap that was closed is no longer in doubt
        happens[:, columns], sure = own, sure & (~doubtful | own.any(axis=1))
    return Decision(happens, ~sure, calibrated)


def _group(scores: np.ndarray, rule: Rule, number: int, columns: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Flags (n, G) of one group, and how probable (n,) what they say is."""
    probabilities = state_probabilities(scores, rule.head)
    if rule.method == "hmm":
        log_emission = emissions(probabilities, rule.chains[number], rule.emission_weights[number] if rule.emission_weights else 1.0)
        states = viterbi(log_emission, rule.chains[number])
        if rule.unsure_below:
            probabilities = posterior(log_emission, rule.chains[number])
    elif rule.method == "argmax":
        states = probabilities.argmax(axis=1)
    else:
        above = scores > np.array([rule.thresholds[k] for k in columns])
        states = np.where(above.any(axis=1), 1 + np.where(above, scores, -1.0).argmax(axis=1), 0)
    return flags_of_states(states, len(columns)), probabilities[np.arange(len(states)), states]


def _cleaned(flags: np.ndarray, rule: Rule, columns: list[int]) -> np.ndarray:
    """Short bouts removed, then short gaps closed where no other behaviour of the group goes on."""
    if not rule.min_frames and not rule.max_gaps:
        return flags
    flags = flags.copy()
    for place, k in enumerate(columns):
        if rule.deepethogram_lengths:
            flags[:, place] = lengths.deepethogram_cleaned(flags[:, place], rule.min_frames[k])
        elif rule.min_frames:
            flags[:, place] = lengths.without_short(flags[:, place], rule.min_frames[k])
    if rule.max_gaps and not rule.deepethogram_lengths:
        for place, k in enumerate(columns):
            others = np.asarray(np.delete(flags, place, axis=1).any(axis=1))
            flags[:, place] = lengths.without_gaps(flags[:, place], rule.max_gaps[k], ~others)
    return flags


def smoothed(scores: np.ndarray, n_frames: int) -> np.ndarray:
    """Centred moving mean over ``n_frames`` (odd) frames; at the ends over those that exist."""
    if n_frames <= 1:
        return scores
    sums = np.concatenate([np.zeros((1, scores.shape[1])), np.cumsum(scores, axis=0)])
    place, half = np.arange(len(scores)), n_frames // 2
    low, high = np.maximum(place - half, 0), np.minimum(place + half + 1, len(scores))
    return np.asarray((sums[high] - sums[low]) / (high - low)[:, None])
