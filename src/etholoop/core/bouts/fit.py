"""A rule fitted to labels: calibration and thresholds on validation frames, transitions and lengths on labels of train and val.

Nothing of the test split may come in here; the caller gives what may be used.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from etholoop.core.bouts import MULTICLASS, calibration, hmm, lengths, thresholds
from etholoop.core.bouts.decide import Rule, smoothed
from etholoop.core.bouts.intervals import intervals_of
from etholoop.core.bouts.states import states_of


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
    emission_weight: float = 1.0
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
        emission_weight=wish.emission_weight,
        min_frames=tuple(_min_frames(wish, labels, k) for k in range(n_behaviours)),
        max_gaps=(wish.max_gap,) * n_behaviours,
        deepethogram_lengths=wish.deepethogram_lengths,
        unsure_below=wish.unsure_below,
    )
    return Fitted(rule, _notes(wish, rule, val, labels), tuple(choice.value for choice in choices))


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
