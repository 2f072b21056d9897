"""A linear classifier of rows: logistic regression (scikit-learn, L2), in use a matrix and a few vectors. For few labels."""

from dataclasses import dataclass

import numpy as np

from etholoop.core.bouts import MULTICLASS

CLIP = 5.0
"""Standardised values are cut here: one odd picture must not decide."""

NEVER = -30.0
"""Logit of a class that training never saw."""


@dataclass(frozen=True)
class Linear:
    """``mean``, ``scale`` (F,), ``weights`` (F, C), ``bias`` (C,)."""

    mean: np.ndarray
    scale: np.ndarray
    weights: np.ndarray
    bias: np.ndarray

    @property
    def known(self) -> np.ndarray:
        """Classes (C,) that training saw."""
        return np.asarray(self.bias > NEVER)

    def logits(self, rows: np.ndarray) -> np.ndarray:
        """Logits (n, C) of rows (n, F), before any temperature."""
        return np.asarray(_standard(rows, self.mean, self.scale) @ self.weights + self.bias)

    def arrays(self) -> dict[str, np.ndarray]:
        """What is stored."""
        return {name: getattr(self, name) for name in ("mean", "scale", "weights", "bias")}


def fit_linear(rows: np.ndarray, targets: np.ndarray, head: str, *, balance: float, strength: float) -> Linear:
    """Weights for targets (n, C) of 1, 0 and −1 = not known.

    Args:
        balance: 1 = every class weighs the same, 0 = as often as it occurs.
        strength: scikit-learn's C, the inverse of the penalty.
    """
    rows = rows.astype(np.float64)
    mean, scale = rows.mean(axis=0), rows.std(axis=0) + 1e-6
    standard = _standard(rows, mean, scale)
    weights = np.zeros((rows.shape[1], targets.shape[1]))
    bias = np.full(targets.shape[1], NEVER)
    if head == MULTICLASS:
        which = np.flatnonzero((targets == 1).any(axis=1))
        classes = targets[which].argmax(axis=1)
        seen = np.unique(classes)
        if len(seen) == 1:
            bias[seen] = 0.0
        else:
            weights[:, seen], bias[seen] = _logistic(standard[which], classes, strength, balance)
    else:
        for k in range(targets.shape[1]):
            known = targets[:, k] >= 0
            if not (targets[:, k] == 1).any():
                continue
            if not (targets[known, k] == 0).any():
                bias[k] = -NEVER
                continue
            own, offset = _logistic(standard[known], targets[known, k].astype(int), strength, balance)
            weights[:, k], bias[k] = own[:, 1] - own[:, 0], offset[1] - offset[0]
    arrays = [values.astype(np.float32) for values in (mean, scale, weights, bias)]
    return Linear(arrays[0], arrays[1], arrays[2], arrays[3])


def _logistic(rows: np.ndarray, classes: np.ndarray, strength: float, balance: float) -> tuple[np.ndarray, np.ndarray]:
    """Weights (F, C) and biases (C,) of the classes that occur, ascending."""
    # imported here: in use no scikit-learn is needed
    from sklearn.linear_model import LogisticRegression

    _, place, counts = np.unique(classes, return_inverse=True, return_counts=True)
    each = counts[place] ** -float(balance)
    each *= len(rows) / each.sum()
    model = LogisticRegression(C=strength, max_iter=500, tol=1e-5).fit(rows, classes, sample_weight=each)
    weights, bias = model.coef_.T, model.intercept_
    if len(counts) == 2:  # one column for both classes
        weights, bias = np.column_stack([-weights, weights]) / 2, np.array([-bias[0], bias[0]]) / 2
    return weights, bias


def _standard(rows: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    return np.clip((rows - mean) / scale, -CLIP, CLIP)
