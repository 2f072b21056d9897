"""A linear classifier of rows, multiclass or one answer for each behaviour, that knows how sure it may be.

Logistic regression (scikit-learn, L2), its strength and one temperature chosen by cross-validation over whole groups of rows; in use it is
a matrix and a few vectors.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_softmax, softmax
from threadpoolctl import threadpool_limits

from etholoop.core.bouts import MULTICLASS

CLIP = 5.0
"""Standardised values are cut here: one odd picture must not decide."""

NEVER = -30.0
"""Logit of a class that training never saw."""


@dataclass(frozen=True)
class Linear:
    """``mean``, ``scale`` (F,), ``weights`` (F, C), ``bias`` (C,), and what logits are divided by."""

    mean: np.ndarray
    scale: np.ndarray
    weights: np.ndarray
    bias: np.ndarray
    temperature: float
    head: str

    def logits(self, rows: np.ndarray) -> np.ndarray:
        """Logits (n, C) of rows (n, F), before the temperature."""
        return np.asarray(_standard(rows, self.mean, self.scale) @ self.weights + self.bias)

    def probabilities(self, rows: np.ndarray) -> np.ndarray:
        """Probabilities (n, C) float32."""
        logits = self.logits(rows) / self.temperature
        return np.asarray(softmax(logits, axis=1) if self.head == MULTICLASS else expit(logits), np.float32)


@dataclass(frozen=True)
class Examples:
    """Rows (n, F) with targets (n, C) of 1, 0 and -1 = not known, and the group (n,) that each belongs to."""

    rows: np.ndarray
    targets: np.ndarray
    groups: np.ndarray

    def some(self, which: np.ndarray) -> "Examples":
        return Examples(self.rows[which], self.targets[which], self.groups[which])


@dataclass(frozen=True)
class Chosen:
    """The classifier, the strength that was chosen and the loss in cross-validation of each that was tried (NaN where none could be)."""

    model: Linear
    strength: float
    losses: tuple[float, ...]


def fit(examples: Examples, head: str, strengths: Sequence[float], *, balance: float, n_folds: int) -> Chosen:
    """Choose a strength, fit with it to all examples, and find the temperature at which unseen groups are most probable."""
    with threadpool_limits(1):  # sums in another order would give other last bits
        held_out = [_held_out(examples, head, strength, balance, n_folds) for strength in strengths]
        losses = [_loss(logits, targets, head) if len(logits) else np.nan for logits, targets in held_out]
        best = int(np.nanargmin(losses)) if np.isfinite(losses).any() else len(strengths) // 2
        logits, targets = held_out[best]
        temperature = _temperature(logits, targets, head) if len(logits) else 1.0
        model = _fitted(examples, head, strengths[best], balance, temperature)
    return Chosen(model, strengths[best], tuple(losses))


def folds(groups: np.ndarray, n_folds: int) -> Iterator[np.ndarray]:
    """Masks (n,) of what is held out: groups dealt out by size, largest first, each to the fold that has least."""
    names, sizes = np.unique(groups, return_counts=True)
    n_folds = min(n_folds, len(names))
    load, fold_of = np.zeros(n_folds, int), np.zeros(len(names), int)
    for k in np.argsort(-sizes, kind="stable"):
        fold_of[k] = int(load.argmin())
        load[fold_of[k]] += sizes[k]
    own = fold_of[np.searchsorted(names, groups)]
    for fold in range(n_folds if n_folds > 1 else 0):
        yield own == fold


def _held_out(examples: Examples, head: str, strength: float, balance: float, n_folds: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits and targets of examples that the model had not seen; of classes that the rest of the data knows."""
    found = []
    for out in folds(examples.groups, n_folds):
        rest, own = examples.some(~out), examples.some(out)
        if (rest.targets == 1).any():
            model = _fitted(rest, head, strength, balance, 1.0)
            known = model.bias > NEVER
            targets = np.where(known, own.targets, -1 if head != MULTICLASS else own.targets)
            judged = (targets == 1)[:, known].any(axis=1) if head == MULTICLASS else (targets >= 0).any(axis=1)
            found.append((model.logits(own.rows)[judged], targets[judged]))
    n_classes = examples.targets.shape[1]
    if not found:
        return np.zeros((0, n_classes)), np.zeros((0, n_classes))
    return np.concatenate([logits for logits, _ in found]), np.concatenate([targets for _, targets in found])


def _fitted(examples: Examples, head: str, strength: float, balance: float, temperature: float) -> Linear:
    rows, targets = examples.rows.astype(np.float64), examples.targets
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
    return Linear(arrays[0], arrays[1], arrays[2], arrays[3], temperature, head)


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


def _temperature(logits: np.ndarray, targets: np.ndarray, head: str) -> float:
    found = minimize_scalar(lambda power: _loss(logits / np.exp(power), targets, head), bounds=(-2.0, 3.0), method="bounded")
    return float(np.exp(round(float(found.x), 3)))


def _loss(logits: np.ndarray, targets: np.ndarray, head: str) -> float:
    """Mean over the classes of the mean negative log-likelihood of their examples."""
    if head == MULTICLASS:
        classes = targets.argmax(axis=1)
        own = -log_softmax(logits, axis=1)[np.arange(len(classes)), classes]
        return float(np.mean([own[classes == k].mean() for k in np.unique(classes)]))
    signed = np.where(targets == 1, -logits, logits)
    own = np.logaddexp(0, signed)
    parts = [own[targets[:, k] == value, k].mean() for k in range(targets.shape[1]) for value in (0, 1) if (targets[:, k] == value).any()]
    return float(np.mean(parts)) if parts else np.nan
