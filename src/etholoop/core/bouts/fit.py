"""A rule fitted to labels: calibration and thresholds on validation frames, transitions and lengths on labels of train and val.

Nothing of the test split may come in here; the caller gives what may be used.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from etholoop.core.bouts import MULTICLASS, calibration, hmm, lengths, thresholds
from etholoop.core.bouts.decide import Rule, decide, smoothed
from etholoop.core.bouts.intervals import intervals_of
from etholoop.core.bouts.states import states_of

WEIGHTS = (1.0, 0.5, 0.25, 0.12, 0.06)
"""How far single frames may be trusted, see :func:`trusting`."""


@dataclass(frozen=True)
class Wish:
    """How a rule is to be made; lengths in frames, ``None`` = learnt from labels."""

    method: str = "hmm"
    calibration: str = "temperature"
    objective: str = "f1"
    threshold: float | None = None
    smooth_frames: int = 1
    min_frames: int | None = None
    min_percentile: float = 1.0
    min_share: float = 1.0
    """The learnt shortest bout is this share of the percentile: a bout whose edges are off by a frame must not be lost as a whole."""
    max_gap: int = 0
    deepethogram_lengths: bool = False
    unsure_below: float = 0.0
    emission_weight: float | None = None
    """How far the Markov model trusts single frames."""
    pseudo: float = 1.0


@dataclass(frozen=True)
class Fitted:
    """A rule and what is to be said about how it came about."""

    rule: Rule
    notes: tuple[str, ...]
    reached: tuple[float, ...]
    """What each threshold reached on the validation frames; NaN where there was nothing to choose on."""


def fit(
    wish: Wish,
    behaviours: Sequence[str],
    groups: Sequence[Sequence[int]],
    head: str,
    *,
    val: Sequence[tuple[np.ndarray, np.ndarray]],
    labels: Sequence[np.ndarray],
) -> Fitted:
    """Fit a rule.

    Args:
        groups: columns that exclude each other; each behaviour in exactly one group.
        val: scores (n, K) and truth (n, K) of each animal of the validation split.
        labels: truth (n, K) of each animal of train and val, frames in their order.
    """
    n_behaviours = len(behaviours)
    scores = np.concatenate([one for one, _ in val]) if val else np.zeros((0, n_behaviours))
    truth = np.concatenate([one for _, one in val]) if val else np.zeros((0, n_behaviours), np.int8)
    fitted = calibration.fit(wish.calibration, scores, truth, head)
    choices = _thresholds(wish, fitted, val, truth)
    rule = Rule(
        behaviours=tuple(behaviours),
        groups=tuple(tuple(group) for group in groups),
        head=head,
        method=wish.method,
        calibration=fitted,
        smooth_frames=wish.smooth_frames,
        thresholds=tuple(choice.threshold for choice in choices),
        chains=_chains(wish, groups, labels) if wish.method == "hmm" else (),
        min_frames=tuple(_min_frames(wish, labels, k) for k in range(n_behaviours)),
        max_gaps=(wish.max_gap,) * n_behaviours,
        deepethogram_lengths=wish.deepethogram_lengths,
        unsure_below=wish.unsure_below,
    )
    rule = trusting(rule, wish.emission_weight, val) if wish.method == "hmm" else rule
    return Fitted(rule, _notes(wish, rule, val, labels), tuple(choice.value for choice in choices))


def trusting(rule: Rule, weight: float | None, val: Sequence[tuple[np.ndarray, np.ndarray]]) -> Rule:
    """The rule with the weight of single frames of each group: the given one, or that with the best mean F1 on validation frames.

    Neighbouring frames show nearly the same, so what they say together is less than the sum of it: how much less depends on the model and
    the behaviours, and is seen on frames that it did not learn from. Of equal weights the largest is taken; without labels it is 1.
    """
    n = len(rule.groups)
    if weight is not None or not any((truth >= 0).any() for _, truth in val):
        return replace(rule, emission_weights=(1.0 if weight is None else weight,) * n)
    tried = [replace(rule, emission_weights=(one,) * n) for one in WEIGHTS]
    reached = np.array([_f1([(decide(scores, one).happens, truth) for scores, truth in val]) for one in tried])
    of_group = [np.nan_to_num(np.array([_mean(row[list(group)]) for row in reached])) for group in rule.groups]
    return replace(rule, emission_weights=tuple(WEIGHTS[int(values.argmax())] for values in of_group))


def _f1(judged: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """F1 (K,) over all animals; NaN for a behaviour that never happens."""
    said, true = (np.concatenate([pair[place] for pair in judged]) for place in (0, 1))
    known = true >= 0
    hits, wrong = (said & (true == 1)).sum(axis=0), (said & (true == 0) & known).sum(axis=0)
    n = (true == 1).sum(axis=0)
    return np.where(n > 0, 2 * hits / np.maximum(hits + wrong + n, 1), np.nan)


def _mean(values: np.ndarray) -> float:
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")


def groups_of(exclusive: Sequence[str | None], head: str) -> tuple[tuple[int, ...], ...]:
    """Groups of columns from the ethogram's ``exclusive_group`` of each behaviour; a multi-class head makes one group of all."""
    if head == MULTICLASS:
        return (tuple(range(len(exclusive))),)
    named: dict[str, list[int]] = {}
    for k, name in enumerate(exclusive):
        named.setdefault(f"group {name}" if name else f"alone {k}", []).append(k)
    return tuple(tuple(group) for group in named.values())


def _thresholds(
    wish: Wish, fitted: calibration.Calibration, val: Sequence[tuple[np.ndarray, np.ndarray]], truth: np.ndarray
) -> list[thresholds.Choice]:
    n_behaviours = truth.shape[1]
    if wish.threshold is not None:
        return [thresholds.Choice(wish.threshold, float("nan"))] * n_behaviours
    ready = [smoothed(fitted(scores), wish.smooth_frames) for scores, _ in val]
    scores = np.concatenate(ready) if ready else np.zeros((0, n_behaviours))
    return [thresholds.choose(scores[:, k], truth[:, k], wish.objective) for k in range(n_behaviours)]


def _chains(wish: Wish, groups: Sequence[Sequence[int]], labels: Sequence[np.ndarray]) -> tuple[hmm.Chain, ...]:
    return tuple(hmm.learn([states_of(truth[:, list(group)]) for truth in labels], 1 + len(group), wish.pseudo) for group in groups)


def _min_frames(wish: Wish, labels: Sequence[np.ndarray], k: int) -> int:
    if wish.min_frames is not None:
        return wish.min_frames
    found = [int(stop - start) for truth in labels for start, stop in whole_bouts(truth[:, k])]
    return max(1, round(wish.min_share * lengths.learnt_min_frames(found, wish.min_percentile)))


def whole_bouts(truth: np.ndarray) -> np.ndarray:
    """Bouts (m, 2) of one behaviour whose both ends were seen: a bout cut by the end of what was looked at may be longer."""
    bouts = intervals_of(truth == 1)
    inside = [start > 0 and stop < len(truth) and truth[start - 1] == 0 and truth[stop] == 0 for start, stop in bouts]
    return bouts[np.array(inside, bool)]


def _notes(wish: Wish, rule: Rule, val: Sequence[tuple[np.ndarray, np.ndarray]], labels: Sequence[np.ndarray]) -> tuple[str, ...]:
    notes = [_named(note, rule.behaviours) for note in rule.calibration.notes]
    if not any((truth >= 0).any() for _, truth in val):
        notes.append("no labelled validation frames: nothing could be calibrated and no threshold chosen")
    if wish.method == "hmm" and not any((truth >= 0).any() for truth in labels):
        notes.append("no labelled frames: the transitions are a priori ones")
    return tuple(notes)


def _named(note: str, behaviours: tuple[str, ...]) -> str:
    """A note with the behaviour's name in place of its number."""
    for k, name in enumerate(behaviours):
        if note.startswith(f"behaviour {k}:"):
            return f"{name}:{note.split(':', 1)[1]}"
    return note
