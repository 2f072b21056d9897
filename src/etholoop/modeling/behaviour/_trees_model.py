"""Extremely randomised trees (Geurts, Ernst & Wehenkel 2006) as plain arrays: trained by scikit-learn, used and stored without it.

Trees need more labels than a linear classifier, and then know what it cannot: that a bend to either side is a bend, and that a value far
from all that training saw is no reason for anything.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from etholoop.core.bouts import MULTICLASS

NODES = ("feature", "threshold", "left", "right", "share", "roots")

SURE = 0.002
"""Shares of leaves are kept this far from 0 and 1: some hundred examples never make a thing impossible."""


@dataclass(frozen=True)
class Forest:
    """All trees one after the other: ``feature`` (m,) −1 in a leaf, ``threshold`` (m,), ``left`` and ``right`` (m,) numbers of nodes,
    ``share`` (m, C) of each class in a node, ``roots`` (trees,)."""

    feature: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    share: np.ndarray
    roots: np.ndarray

    def shares(self, rows: np.ndarray) -> np.ndarray:
        """Mean over the trees of the shares (n, C) in the leaves that rows (n, F) fall into."""
        rows = np.asarray(rows, np.float32)
        node = np.broadcast_to(self.roots, (len(rows), len(self.roots))).copy()
        number = np.arange(len(rows))[:, None]
        while True:
            feature = self.feature[node]
            inside = feature >= 0
            if not inside.any():
                return np.asarray(self.share[node].mean(axis=1))
            goes_left = rows[number, np.maximum(feature, 0)] <= self.threshold[node]
            node = np.where(inside, np.where(goes_left, self.left[node], self.right[node]), node)

    @classmethod
    def joined(cls, trees: Iterable[tuple[np.ndarray, ...]]) -> "Forest":
        """Trees one after the other, each ``(leaf, feature, threshold, left, right, share)`` with nodes numbered from 0."""
        parts, roots, start = [], [], 0
        for leaf, feature, threshold, left, right, share in trees:
            children = [np.where(leaf, 0, side.astype(np.int64) + start).astype(np.int32) for side in (left, right)]
            parts.append((np.where(leaf, -1, feature).astype(np.int32), np.where(leaf, 0.0, threshold), *children, share))
            roots.append(start)
            start += len(leaf)
        joined = [np.concatenate(part) for part in zip(*parts, strict=True)]
        return cls(**dict(zip(NODES, [*joined, np.array(roots, np.int32)], strict=True)))


def arrays_of_forests(forests: Sequence[Forest | None]) -> dict[str, np.ndarray]:
    """What is stored of forests, by their number."""
    return {f"{k}.{name}": getattr(forest, name) for k, forest in enumerate(forests) if forest for name in NODES}


def forests_of_arrays(arrays: dict[str, np.ndarray], n: int) -> tuple[Forest | None, ...]:
    """From what :func:`arrays_of_forests` gave of ``n`` forests."""
    return tuple(Forest(**{name: arrays[f"{k}.{name}"] for name in NODES}) if f"{k}.roots" in arrays else None for k in range(n))


@dataclass(frozen=True)
class Trees:
    """One forest for all classes (multiclass), or one for each behaviour; None where it was never or always seen: ``fixed`` (C,) logits."""

    forests: tuple[Forest | None, ...]
    fixed: np.ndarray
    head: str

    @property
    def known(self) -> np.ndarray:
        """Classes (C,) that training saw."""
        return np.asarray(~(self.fixed < 0))

    def arrays(self) -> dict[str, np.ndarray]:
        """What is stored; forests by their number."""
        return {**arrays_of_forests(self.forests), "fixed": self.fixed}

    @classmethod
    def of_arrays(cls, arrays: dict[str, np.ndarray], head: str) -> "Trees":
        """From what :meth:`arrays` gave."""
        n_forests = 1 if head == MULTICLASS else len(arrays["fixed"])
        return cls(forests_of_arrays(arrays, n_forests), arrays["fixed"], head)

    def logits(self, rows: np.ndarray) -> np.ndarray:
        """Logits (n, C) of rows (n, F), before any temperature."""
        if self.head == MULTICLASS:
            (forest,) = self.forests
            if forest is None:
                return np.tile(self.fixed, (len(rows), 1))
            shares = np.log(np.clip(forest.shares(rows), SURE, 1))
            return np.asarray(np.where(np.isfinite(self.fixed), self.fixed, shares))
        columns = []
        for k, forest in enumerate(self.forests):
            share = None if forest is None else np.clip(forest.shares(rows)[:, 1], SURE, 1 - SURE)
            columns.append(np.full(len(rows), self.fixed[k]) if share is None else np.log(share / (1 - share)))
        return np.column_stack(columns)


def fit_trees(rows: np.ndarray, targets: np.ndarray, head: str, *, balance: float, n_trees: int, seed: int, never: float) -> Trees:
    """Trees for targets (n, C) of 1, 0 and −1 = not known.

    Args:
        balance: exponent of class weights, as in the linear classifier.
        never: logit of a class that does not occur; with the opposite sign of one that always does.
    """
    n_classes = targets.shape[1]
    fixed = np.full(n_classes, np.nan)
    if head == MULTICLASS:
        which = np.flatnonzero((targets == 1).any(axis=1))
        classes = targets[which].argmax(axis=1)
        seen = np.unique(classes)
        fixed[np.setdiff1d(np.arange(n_classes), seen)] = never
        if len(seen) == 1:
            fixed[seen] = 0.0
            return Trees((None,), fixed, head)
        return Trees((_forest(rows[which], classes, n_classes, balance=balance, n_trees=n_trees, seed=seed),), fixed, head)
    forests: list[Forest | None] = []
    for k in range(n_classes):
        known = targets[:, k] >= 0
        happens = targets[known, k] == 1
        if not happens.any() or happens.all():
            fixed[k] = -never if happens.any() else never
            forests.append(None)
        else:
            forests.append(_forest(rows[known], happens.astype(int), 2, balance=balance, n_trees=n_trees, seed=seed + k))
    return Trees(tuple(forests), fixed, head)


def _forest(rows: np.ndarray, classes: np.ndarray, n_classes: int, *, balance: float, n_trees: int, seed: int) -> Forest:
    # imported here: in use no scikit-learn is needed
    from sklearn.ensemble import ExtraTreesClassifier

    names, place, counts = np.unique(classes, return_inverse=True, return_counts=True)
    each = counts[place] ** -float(balance)
    smallest = max(4, len(rows) // 500)
    model = ExtraTreesClassifier(n_trees, min_samples_leaf=smallest, random_state=seed, n_jobs=1)
    model.fit(np.asarray(rows, np.float32), classes, sample_weight=each * len(rows) / each.sum())
    trees = [estimator.tree_ for estimator in model.estimators_]
    return Forest.joined(
        (tree.children_left < 0, tree.feature, tree.threshold, tree.children_left, tree.children_right, _shares(tree, names, n_classes))
        for tree in trees
    )


def _shares(tree: Any, names: np.ndarray, n_classes: int) -> np.ndarray:
    """Share (m, C) of each class in the nodes of a tree of scikit-learn that knows the classes ``names``."""
    share = np.zeros((tree.node_count, n_classes), np.float32)
    share[:, names] = tree.value[:, 0] / tree.value[:, 0].sum(axis=1, keepdims=True)
    return share
