"""Which classifier of rows, and how sure it may be: both are decided by examples of groups that it did not learn from."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_softmax, softmax
from threadpoolctl import threadpool_limits

from etholoop.core.bouts import MULTICLASS
from etholoop.modeling.behaviour._boosted_model import Boosted
from etholoop.modeling.behaviour._linear_model import NEVER, Linear, fit_linear
from etholoop.modeling.behaviour._trees_model import Trees, fit_trees

Model = Linear | Trees | Boosted
Make = Callable[[np.ndarray, np.ndarray], Model]
"""From rows (n, F) and targets (n, C) to a classifier."""


@dataclass(frozen=True)
class Examples:
    """Rows (n, F) with targets (n, C) of 1, 0 and −1 = not known, and the group (n,) that each belongs to."""

    rows: np.ndarray
    targets: np.ndarray
    groups: np.ndarray


@dataclass(frozen=True)
class Classifier:
    """A model and the temperature that its logits are divided by."""

    model: Model
    temperature: float
    head: str

    def probabilities(self, rows: np.ndarray) -> np.ndarray:
        """Probabilities (n, C) float32 of rows (n, F)."""
        logits = self.model.logits(rows) / self.temperature
        return np.asarray(softmax(logits, axis=1) if self.head == MULTICLASS else expit(logits), np.float32)


@dataclass(frozen=True)
class Chosen:
    """The classifier, its name, and the loss in cross-validation of each that was tried (NaN where none could be)."""

    classifier: Classifier
    name: str
    losses: dict[str, float]


def candidates(head: str, strengths: Sequence[float], n_trees: int, *, balance: float, seed: int) -> dict[str, Make]:
    """What is tried, by name."""
    found: dict[str, Make] = {f"logistic {c:g}": partial(fit_linear, head=head, balance=balance, strength=c) for c in strengths}
    if n_trees:
        found["trees"] = partial(fit_trees, head=head, balance=balance, n_trees=n_trees, seed=seed, never=NEVER)
    return found


def choose(examples: Examples, head: str, tried: dict[str, Make], *, n_folds: int) -> Chosen:
    """Take the candidate under which examples of unseen groups are most probable, each at its best temperature; fit it to all examples."""
    with threadpool_limits(1):  # sums in another order would give other last bits
        losses, temperatures = {}, {}
        for name, make in tried.items():
            logits, targets = _held_out(examples, head, make, n_folds)
            temperatures[name] = _temperature(logits, targets, head) if len(logits) else 1.0
            losses[name] = _loss(logits / temperatures[name], targets, head) if len(logits) else float("nan")
        known = [name for name in tried if np.isfinite(losses[name])]
        # with one group there is nothing to choose by: the candidate in the middle of the list
        best = min(known, key=lambda name: losses[name]) if known else list(tried)[(len(tried) - 1) // 2]
        model = tried[best](examples.rows, examples.targets)
    return Chosen(Classifier(model, temperatures[best], head), best, losses)


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


def _held_out(examples: Examples, head: str, make: Make, n_folds: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits and targets of examples that the model had not seen; of classes that the rest of the data knows."""
    found = []
    for out in folds(examples.groups, n_folds):
        rows, targets = examples.rows[~out], examples.targets[~out]
        if (targets == 1).any():
            model = make(rows, targets)
            own = examples.targets[out]
            if head == MULTICLASS:
                judged = (own == 1)[:, model.known].any(axis=1)
            else:
                own = np.where(model.known, own, -1)
                judged = (own >= 0).any(axis=1)
            found.append((model.logits(examples.rows[out])[judged], own[judged]))
    n_classes = examples.targets.shape[1]
    if not found:
        return np.zeros((0, n_classes)), np.zeros((0, n_classes))
    return np.concatenate([logits for logits, _ in found]), np.concatenate([targets for _, targets in found])


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
