"""How well behaviours were recognised, from sums by video, so that whole videos can be drawn again for intervals.

Only time that people looked at counts; unlabelled time is neither right nor wrong. Time of which the model said nothing (unsure, or no
score) counts as 'none of the behaviours', and ``coverage`` says how much of the known time was decided.

* accuracy_micro: share of frames with the right state, over all groups of exclusive behaviours (a state is one of the group or none).
* accuracy_macro: mean over behaviours that occur of the share of their frames that was found (per-class accuracy, mean recall).
* ap, map: sum over thresholds of (R_n - R_{n-1}) P_n, and its mean over behaviours that occur. Scores are compared to four decimals.
* f1, precision, recall of frames; f1_macro is the mean over behaviours that occur.
* kappa: (p_o - p_e) / (1 - p_e) (Cohen 1960), of states and of each behaviour.
* bout_f1: 2 hits / (labelled + predicted bouts); bouts are matched one to one by the intersection over union of their times.
* budget_error: mean over animals of |predicted - labelled share of the known time|.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from etholoop.core.bouts.intervals import intervals_of
from etholoop.core.bouts.states import states_of

Figures = dict[str, float]
NAN = float("nan")
DECIMALS = 4


@dataclass(frozen=True)
class Judged:
    """One animal of one video: ``truth`` (n, K) 1, 0, -1; ``scores`` (n, K), NaN = none; ``happens`` (n, K); ``unsure`` (n,)."""

    video_id: str
    truth: np.ndarray
    scores: np.ndarray
    happens: np.ndarray
    unsure: np.ndarray


@dataclass(frozen=True)
class Sums:
    """Sums by video (V first). ``confusion`` has one (V, S, S) for each group, rows = truth, 0 = none.

    ``binary`` (V, K, 4): both, only truth, only prediction, neither. ``ranked``: for each behaviour (V, U) positives and frames by falling
    score. ``bouts`` (V, K, 3): hits, labelled, predicted. ``budget`` (V, K): sum of errors. ``time`` (V, 2): known frames, decided ones.
    """

    videos: tuple[str, ...]
    behaviours: tuple[str, ...]
    confusion: tuple[np.ndarray, ...]
    binary: np.ndarray
    ranked: tuple[tuple[np.ndarray, np.ndarray], ...]
    bouts: np.ndarray
    budget: np.ndarray
    animals: np.ndarray
    time: np.ndarray


def gather(animals: Sequence[Judged], behaviours: Sequence[str], groups: Sequence[Sequence[int]], iou: float = 0.5) -> Sums:
    """Sums of all animals; those without known time are left out.

    Args:
        groups: columns that exclude each other, each behaviour in exactly one group.
        iou: from this overlap in time two bouts are the same.
    """
    animals = [animal for animal in animals if (animal.truth >= 0).any()]
    videos = tuple(sorted({animal.video_id for animal in animals}))
    number = {video_id: place for place, video_id in enumerate(videos)}
    n, k = len(videos), len(behaviours)
    sums = Sums(
        videos,
        tuple(behaviours),
        tuple(np.zeros((n, 1 + len(group), 1 + len(group))) for group in groups),
        np.zeros((n, k, 4)),
        tuple(_ranked(animals, number, column) for column in range(k)),
        np.zeros((n, k, 3)),
        np.zeros((n, k)),
        np.zeros(n),
        np.zeros((n, 2)),
    )
    for animal in animals:
        _add(sums, number[animal.video_id], animal, groups, iou)
    return sums


def _add(sums: Sums, video: int, animal: Judged, groups: Sequence[Sequence[int]], iou: float) -> None:
    known = (animal.truth >= 0).any(axis=1)
    decided = np.isfinite(animal.scores).all(axis=1) & ~animal.unsure
    for confusion, group in zip(sums.confusion, groups, strict=True):
        columns = list(group)
        true, said = states_of(animal.truth[:, columns]), states_of(animal.happens[:, columns].astype(np.int8))
        np.add.at(confusion[video], (true[true >= 0], said[true >= 0]), 1)
    for column in range(len(sums.behaviours)):
        seen = animal.truth[:, column] >= 0
        true, said = animal.truth[seen, column] == 1, animal.happens[seen, column]
        sums.binary[video, column] += [(true & said).sum(), (true & ~said).sum(), (~true & said).sum(), (~true & ~said).sum()]
        sums.bouts[video, column] += bout_counts(animal.truth[:, column], animal.happens[:, column], iou)
        if seen.any():
            sums.budget[video, column] += abs(float(said.mean()) - float(true.mean()))
    sums.animals[video] += 1
    sums.time[video] += [known.sum(), (known & decided).sum()]


def bout_counts(truth: np.ndarray, happens: np.ndarray, iou: float) -> tuple[int, int, int]:
    """Hits, labelled bouts, predicted bouts of one behaviour (n,); what was predicted for unknown time is cut off."""
    true, said = intervals_of(truth == 1), intervals_of(happens & (truth >= 0))
    if not len(true) or not len(said):
        return 0, len(true), len(said)
    shared = np.minimum(true[:, None, 1], said[None, :, 1]) - np.maximum(true[:, None, 0], said[None, :, 0])
    shared = np.clip(shared, 0, None)
    both = (true[:, 1] - true[:, 0])[:, None] + (said[:, 1] - said[:, 0])[None, :] - shared
    # overlaps below the limit must not push out ones above it
    overlap = np.where(shared / both >= iou, shared / both, 0.0)
    rows, columns = linear_sum_assignment(-overlap)
    return int((overlap[rows, columns] > 0).sum()), len(true), len(said)


def _ranked(animals: Sequence[Judged], number: dict[str, int], column: int) -> tuple[np.ndarray, np.ndarray]:
    parts = []
    for animal in animals:
        seen = (animal.truth[:, column] >= 0) & np.isfinite(animal.scores[:, column])
        rows = np.column_stack([animal.scores[seen, column], animal.truth[seen, column], np.full(seen.sum(), number[animal.video_id])])
        parts.append(rows)
    together = np.concatenate(parts) if parts else np.zeros((0, 3))
    levels, place = np.unique(-np.round(together[:, 0], DECIMALS), return_inverse=True)
    positive, frames = np.zeros((len(number), len(levels))), np.zeros((len(number), len(levels)))
    video = together[:, 2].astype(int)
    np.add.at(positive, (video, place), together[:, 1])
    np.add.at(frames, (video, place), 1)
    return positive, frames


def figures_by_weight(sums: Sums) -> Callable[[np.ndarray], Figures]:
    """A function of how often each video counts (V,) → all figures; those of one behaviour are called ``<figure>/<behaviour>``."""

    def figures(weights: np.ndarray) -> Figures:
        own = _of_behaviours(sums, weights)
        return _together(sums, weights, own) | {f"{name}/{b}": row[name] for b, row in own.items() for name in row if name != "occurs"}

    return figures


def _of_behaviours(sums: Sums, weights: np.ndarray) -> dict[str, Figures]:
    binary, bouts = np.tensordot(weights, sums.binary, 1), np.tensordot(weights, sums.bouts, 1)
    budget, n_animals = weights @ sums.budget, float(weights @ sums.animals)
    result = {}
    for k, name in enumerate(sums.behaviours):
        both, missed, false, neither = binary[k]
        result[name] = {
            "occurs": both + missed,
            "f1": _share(2 * both, 2 * both + missed + false),
            "precision": _share(both, both + false),
            "recall": _share(both, both + missed),
            "ap": _average_precision(weights, *sums.ranked[k]),
            "kappa": kappa(np.array([[neither, false], [missed, both]])),
            "bout_f1": _share(2 * bouts[k, 0], bouts[k, 1] + bouts[k, 2]),
            "budget_error": _share(budget[k], n_animals),
        }
    return result


def _together(sums: Sums, weights: np.ndarray, own: dict[str, Figures]) -> Figures:
    confusion = [np.tensordot(weights, part, 1) for part in sums.confusion]
    occurring = [row for row in own.values() if row["occurs"] > 0]
    known, decided = weights @ sums.time
    kappas = [value for value in map(kappa, confusion) if not np.isnan(value)]
    return {
        "accuracy_micro": _share(sum(float(np.trace(part)) for part in confusion), sum(float(part.sum()) for part in confusion)),
        "accuracy_macro": _mean(row["recall"] for row in occurring),
        "f1_macro": _mean(row["f1"] for row in occurring),
        "map": _mean(row["ap"] for row in occurring),
        "kappa": _mean(kappas),
        "bout_f1_macro": _mean(row["bout_f1"] for row in occurring),
        "budget_error": _mean(row["budget_error"] for row in own.values()),
        "coverage": _share(decided, known),
    }


def kappa(confusion: np.ndarray) -> float:
    """Cohen's kappa of a confusion matrix; NaN where both always say the same one thing."""
    n = float(confusion.sum())
    if n == 0:
        return NAN
    observed = float(np.trace(confusion)) / n
    expected = float(confusion.sum(axis=1) @ confusion.sum(axis=0)) / n**2
    return (observed - expected) / (1 - expected) if expected < 1 else NAN


def _average_precision(weights: np.ndarray, positive: np.ndarray, frames: np.ndarray) -> float:
    hits, seen = np.cumsum(weights @ positive), np.cumsum(weights @ frames)
    if not len(hits) or hits[-1] == 0:
        return NAN
    precision = np.divide(hits, seen, out=np.zeros_like(hits), where=seen > 0)
    return float(np.diff(hits, prepend=0) @ precision / hits[-1])


def confusion_rows(sums: Sums, groups: Sequence[Sequence[int]]) -> list[dict[str, object]]:
    """``truth, said, n`` for each pair of states of each group, over all videos; none is called '(none)'."""
    rows: list[dict[str, object]] = []
    for part, group in zip(sums.confusion, groups, strict=True):
        names = ["(none)", *(sums.behaviours[k] for k in group)]
        total = part.sum(axis=0)
        rows += [{"truth": a, "said": b, "n": int(total[i, j])} for i, a in enumerate(names) for j, b in enumerate(names)]
    return rows


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole else NAN


def _mean(values: object) -> float:
    found = [value for value in values if not np.isnan(value)]  # type: ignore[attr-defined]
    return float(np.mean(found)) if found else NAN
