"""Probabilities that mean what they say, learnt on validation frames.

* temperature: one number T > 0 for all behaviours, logits are divided by it (Guo et al. 2017, On Calibration of Modern Neural Networks).
  It changes no order, so no argmax.
* platt: sigmoid(a * logit + b) for each behaviour, fitted to Platt's softened targets (N+ + 1) / (N+ + 2) and 1 / (N- + 2)
  (Platt 1999, Probabilistic Outputs for Support Vector Machines).
* isotonic: a rising staircase for each behaviour (Zadrozny and Elkan 2002, Transforming Classifier Scores into Accurate Multiclass
  Probability Estimates).
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit, logit, softmax
from sklearn.isotonic import IsotonicRegression

from etholoop.core.bouts import MULTICLASS
from etholoop.errors import EthoLoopError

KINDS = ("none", "temperature", "platt", "isotonic")
EPS = 1e-6
"""Probabilities are kept this far from 0 and 1 before logarithms are taken."""

COLDEST, HOTTEST = 0.05, 20.0
"""Temperatures outside of these say that there was nothing to learn from."""


@dataclass(frozen=True)
class Calibration:
    """A fitted calibration of K behaviours. ``numbers`` are plain values, so that they can be kept as JSON."""

    kind: str = "none"
    head: str = MULTICLASS
    numbers: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        """Calibrated scores (n, K) float64; NaN stays NaN."""
        scores = np.asarray(scores, np.float64)
        if self.kind == "none":
            return scores
        if self.kind == "temperature":
            return _tempered(scores, self.numbers["temperature"], self.head)
        columns = [self._column(scores[:, k], k) for k in range(scores.shape[1])]
        return _at_most_one(np.column_stack(columns)) if self.head == MULTICLASS else np.column_stack(columns)

    def _column(self, scores: np.ndarray, k: int) -> np.ndarray:
        own = self.numbers["behaviours"][k]
        if own is None:
            return scores
        if self.kind == "platt":
            return np.asarray(expit(own[0] * _logits(scores) + own[1]))
        return np.where(np.isnan(scores), np.nan, np.interp(scores, own[0], own[1]))


def fit(kind: str, scores: np.ndarray, truth: np.ndarray, head: str) -> Calibration:
    """Learn from frames (n, K) and their truth (n, K), of which -1 is not known.

    A behaviour that never, or always, happens in these frames keeps its scores, and a note says so.

    Raises:
        EthoLoopError: no such kind.
    """
    if kind not in KINDS:
        raise EthoLoopError(f"unknown calibration '{kind}'; known: {', '.join(KINDS)}")
    if kind == "none":
        return Calibration("none", head)
    usable = np.isfinite(scores).all(axis=1) & (truth >= 0).any(axis=1)
    scores, truth = np.asarray(scores, np.float64)[usable], truth[usable]
    if not len(scores):
        return Calibration("none", head, notes=("nothing to calibrate on: scores are used as they are",))
    if kind == "temperature":
        return _fit_temperature(scores, truth, head)
    return _fit_columns(kind, scores, truth, head)


def _fit_temperature(scores: np.ndarray, truth: np.ndarray, head: str) -> Calibration:
    known = truth >= 0

    def loss(log_temperature: float) -> float:
        warm = np.clip(_tempered(scores, float(np.exp(log_temperature)), head), EPS, 1 - EPS)
        if head == MULTICLASS:
            return _multiclass_loss(warm, truth)
        terms = np.where(truth == 1, -np.log(warm), -np.log1p(-warm))
        return float(terms[known].mean())

    found = minimize_scalar(loss, bounds=(np.log(COLDEST), np.log(HOTTEST)), method="bounded", options={"xatol": 1e-4})
    return Calibration("temperature", head, {"temperature": round(float(np.exp(found.x)), 6)})


def _multiclass_loss(scores: np.ndarray, truth: np.ndarray) -> float:
    """Mean of -log of the probability of what was true; none of the behaviours counts as one more class. Half-known frames are left out."""
    whole = (truth >= 0).all(axis=1) & ((truth == 1).sum(axis=1) <= 1)
    rest = 1 - scores.sum(axis=1)
    own = np.where((truth == 1).any(axis=1), (scores * (truth == 1)).sum(axis=1), rest)
    return float(-np.log(np.clip(own[whole], EPS, 1)).mean()) if whole.any() else 0.0


def _fit_columns(kind: str, scores: np.ndarray, truth: np.ndarray, head: str) -> Calibration:
    columns: list[Any] = []
    notes = []
    for k in range(scores.shape[1]):
        known = truth[:, k] >= 0
        own, happens = scores[known, k], truth[known, k] == 1
        if not happens.any() or happens.all():
            notes.append(f"behaviour {k}: {'always' if happens.any() else 'never'} seen in the validation frames, not calibrated")
            columns.append(None)
        else:
            columns.append(_fit_platt(own, happens) if kind == "platt" else _fit_isotonic(own, happens))
    return Calibration(kind, head, {"behaviours": columns}, tuple(notes))


def _fit_platt(scores: np.ndarray, happens: np.ndarray) -> list[float]:
    n_pos, n_neg = int(happens.sum()), int((~happens).sum())
    target = np.where(happens, (n_pos + 1) / (n_pos + 2), 1 / (n_neg + 2))
    x = _logits(scores)

    def loss(ab: np.ndarray) -> float:
        z = ab[0] * x + ab[1]
        return float(np.mean(np.logaddexp(0, z) - target * z))

    found = minimize(loss, np.array([1.0, 0.0]), method="Nelder-Mead", options={"xatol": 1e-5, "fatol": 1e-10, "maxiter": 2000})
    return [round(float(value), 6) for value in found.x]


def _fit_isotonic(scores: np.ndarray, happens: np.ndarray) -> list[list[float]]:
    found = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(scores, happens.astype(float))
    return [[round(float(v), 8) for v in found.X_thresholds_], [round(float(v), 8) for v in found.y_thresholds_]]


def _logits(scores: np.ndarray) -> np.ndarray:
    return np.asarray(logit(np.clip(scores, EPS, 1 - EPS)))


def _tempered(scores: np.ndarray, temperature: float, head: str) -> np.ndarray:
    if head != MULTICLASS:
        return np.asarray(expit(_logits(scores) / temperature))
    rest = np.clip(1 - scores.sum(axis=1, keepdims=True), 0, 1)
    logs = np.log(np.clip(np.concatenate([scores, rest], axis=1), EPS, 1))
    return np.asarray(softmax(logs / temperature, axis=1))[:, :-1]


def _at_most_one(scores: np.ndarray) -> np.ndarray:
    """Rows that sum to more than 1 are divided by their sum."""
    return scores / np.maximum(scores.sum(axis=1, keepdims=True), 1.0)
