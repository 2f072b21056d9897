"""Gradient-boosted trees (Friedman 2001, on histograms of the values) as plain arrays: trained by scikit-learn, used and stored without it.

Each tree mends what those before it left wrong. With a few thousand examples they know more than trees that are grown each by itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from etholoop.core.bouts import MULTICLASS
from etholoop.modeling.behaviour._trees_model import Forest, arrays_of_forests, forests_of_arrays

CANDIDATES = 0.1
"""Share of the values that each split may choose from: many of them say nearly the same."""

PULL = 5.0
"""L2 penalty of the leaves."""


@dataclass(frozen=True)
class Boosting:
    """``rounds`` trees one after the other, each with at most ``leaves`` leaves and ``rate`` of what it would like to change."""

    rounds: int
    rate: float
    leaves: int
    smallest: int


@dataclass(frozen=True)
class Boosted:
    """One sum of trees for each class, None where there is nothing to tell: ``fixed`` (C,) logits then, NaN else. ``base`` (C,): what the
    trees start from."""

    forests: tuple[Forest | None, ...]
    base: np.ndarray
    fixed: np.ndarray
    head: str

    @property
    def known(self) -> np.ndarray:
        """Classes (C,) that training saw."""
        return np.asarray(~(self.fixed < 0))

    def logits(self, rows: np.ndarray) -> np.ndarray:
        """Logits (n, C) of rows (n, F), before any temperature."""
        columns = []
        for forest, base, fixed in zip(self.forests, self.base, self.fixed, strict=True):
            if forest is None:
                columns.append(np.full(len(rows), fixed))
            else:
                columns.append(base + forest.shares(rows)[:, 0] * len(forest.roots))
        return np.column_stack(columns)

    def arrays(self) -> dict[str, np.ndarray]:
        """What is stored; sums by their number."""
        return {**arrays_of_forests(self.forests), "base": self.base, "fixed": self.fixed}

    @classmethod
    def of_arrays(cls, arrays: dict[str, np.ndarray], head: str) -> "Boosted":
        """From what :meth:`arrays` gave."""
        return cls(forests_of_arrays(arrays, len(arrays["fixed"])), arrays["base"], arrays["fixed"], head)


def fit_boosted(rows: np.ndarray, targets: np.ndarray, head: str, *, boosting: Boosting, seed: int, never: float) -> Boosted:
    """Trees for targets (n, C) of 1, 0 and −1 = not known.

    Args:
        never: logit of a class that does not occur; with the opposite sign of one that always does.
    """
    n_classes = targets.shape[1]
    forests: list[Forest | None] = [None] * n_classes
    base, fixed = np.zeros(n_classes), np.full(n_classes, np.nan)
    if head == MULTICLASS:
        which = np.flatnonzero((targets == 1).any(axis=1))
        classes = targets[which].argmax(axis=1)
        seen = np.unique(classes)
        fixed[np.setdiff1d(np.arange(n_classes), seen)] = never
        if len(seen) == 1:
            fixed[seen] = 0.0
        else:
            for k, (forest, start) in zip(seen, _sums(rows[which], classes, boosting, seed), strict=True):
                forests[k], base[k] = forest, start
        return Boosted(tuple(forests), base, fixed, head)
    for k in range(n_classes):
        known = targets[:, k] >= 0
        happens = targets[known, k] == 1
        if not happens.any() or happens.all():
            fixed[k] = -never if happens.any() else never
        else:
            _, (forests[k], base[k]) = _sums(rows[known], happens.astype(int), boosting, seed + k)
    return Boosted(tuple(forests), base, fixed, head)


def _sums(rows: np.ndarray, classes: np.ndarray, boosting: Boosting, seed: int) -> list[tuple[Forest, float]]:
    """The sum of trees and its start for each class that occurs, ascending; of two classes the first has none, its logit is 0."""
    # imported here: in use no scikit-learn is needed
    from sklearn.ensemble import HistGradientBoostingClassifier

    # no weights: how rare a behaviour is belongs to its probability, and thresholds are the business of stage bouts
    model = HistGradientBoostingClassifier(
        max_iter=boosting.rounds,
        learning_rate=boosting.rate,
        max_leaf_nodes=boosting.leaves,
        min_samples_leaf=boosting.smallest,
        l2_regularization=PULL,
        max_features=CANDIDATES,
        early_stopping=False,
        random_state=seed,
    )
    model.fit(np.asarray(rows, np.float32), classes)
    starts = np.asarray(model._baseline_prediction, float).ravel()
    found = [(_forest([trees[k] for trees in model._predictors]), float(starts[k])) for k in range(len(starts))]
    return [(_nothing(), 0.0), *found] if len(np.unique(classes)) == 2 else found


def _forest(trees: Sequence[Any]) -> Forest:
    """Trees of scikit-learn one after the other; what they add to the logit stands where a forest has shares."""
    return Forest.joined(_nodes(tree.nodes) for tree in trees)


def _nodes(nodes: np.ndarray) -> tuple[np.ndarray, ...]:
    leaf = nodes["is_leaf"].astype(bool)
    adds = np.where(leaf, nodes["value"], 0.0)[:, None]
    return leaf, nodes["feature_idx"], nodes["num_threshold"], nodes["left"], nodes["right"], adds


def _nothing() -> Forest:
    """One leaf that adds nothing."""
    zero = np.zeros(1, np.int32)
    return Forest(np.full(1, -1, np.int32), np.zeros(1), zero, zero, np.zeros((1, 1)), zero)
