"""One classifier for each group of behaviours that exclude each other, and one for each behaviour that may overlap with all others.

Within a group exactly one of its behaviours, or none of them, is shown: saying so is worth more than one yes or no for each.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from etholoop.core.bouts import MULTICLASS, MULTILABEL
from etholoop.modeling.behaviour._boosted_model import Boosted
from etholoop.modeling.behaviour._motion_classifier import Classifier, Examples, Make, choose
from etholoop.modeling.behaviour._shared import Task


@dataclass(frozen=True)
class Part:
    """``columns``: the behaviours of a group; ``none``: the last class of its classifier is none of them."""

    columns: tuple[int, ...]
    none: bool
    classifier: Classifier


@dataclass(frozen=True)
class Grouped:
    """Classifiers whose behaviours together are all K of a task."""

    parts: tuple[Part, ...]

    @property
    def head(self) -> str:
        return MULTICLASS if len(self.parts) == 1 and self.parts[0].classifier.head == MULTICLASS else MULTILABEL

    def probabilities(self, rows: np.ndarray) -> np.ndarray:
        """Probabilities (n, K) float32 of rows (n, F)."""
        found = np.zeros((len(rows), sum(len(part.columns) for part in self.parts)), np.float32)
        for part in self.parts:
            found[:, part.columns] = part.classifier.probabilities(rows)[:, : len(part.columns)]
        return found


def groups_of(task: Task, labels: np.ndarray) -> list[tuple[int, ...]]:
    """Columns that exclude each other together, the others alone; a group whose labels (n, K) overlap is taken apart."""
    groups: dict[Any, list[int]] = {}
    for column, name in enumerate(task.exclusive):
        groups.setdefault(column if name is None else ("group", name), []).append(column)
    found: list[tuple[int, ...]] = []
    for columns in groups.values():
        overlap = ((labels[:, columns] == 1).sum(axis=1) > 1).any()
        found += [(column,) for column in columns] if overlap else [tuple(columns)]
    return found


def fit_grouped(
    rows: np.ndarray, labels: np.ndarray, groups: np.ndarray, task: Task, make: Callable[[str], dict[str, Make]], *, n_folds: int
) -> tuple[Grouped, dict[str, float]]:
    """Classifiers of rows (n, F) with labels (n, K), and the cross-validated loss of each, by its behaviours.

    Args:
        groups: (n,) what is held out together.
        make: candidates for a head, multiclass or multilabel; without cross-validation one of them.
        n_folds: of the cross-validation that chooses among candidates and says how sure they may be; 0 = none.
    """
    parts, losses = [], {}
    for columns in groups_of(task, labels):
        own = labels[:, columns]
        known = (own >= 0).all(axis=1)
        several = len(columns) > 1
        none = several and bool((own[known] == 0).all(axis=1).any())
        targets = np.column_stack([own, (own == 0).all(axis=1)]).astype(np.int8) if none else own
        head = MULTICLASS if several else MULTILABEL
        name = " or ".join(task.behaviours[column] for column in columns)
        if n_folds > 1:
            chosen = choose(Examples(rows[known], targets[known], groups[known]), head, make(head), n_folds=n_folds)
            classifier, losses[name] = chosen.classifier, chosen.losses[chosen.name]
        else:
            (fit,) = make(head).values()
            classifier = Classifier(fit(rows[known], targets[known]), 1.0, head)
        parts.append(Part(columns, none, classifier))
    return Grouped(tuple(parts)), losses


def arrays_of(grouped: Grouped) -> tuple[list[dict[str, Any]], dict[str, np.ndarray]]:
    """What is stored: plain values of each part, and arrays by ``part.name``. Parts are boosted trees."""
    about: list[dict[str, Any]] = []
    arrays: dict[str, np.ndarray] = {}
    for number, part in enumerate(grouped.parts):
        classifier = part.classifier
        about.append({"columns": list(part.columns), "none": part.none, "head": classifier.head, "temperature": classifier.temperature})
        arrays |= {f"{number}/{name}": array for name, array in classifier.model.arrays().items()}
    return about, arrays


def from_arrays(about: Sequence[dict[str, Any]], arrays: dict[str, np.ndarray]) -> Grouped:
    """From what :func:`arrays_of` gave."""
    parts = []
    for number, part in enumerate(about):
        start = f"{number}/"
        own = {name.removeprefix(start): array for name, array in arrays.items() if name.startswith(start)}
        classifier = Classifier(Boosted.of_arrays(own, part["head"]), part["temperature"], part["head"])
        parts.append(Part(tuple(part["columns"]), part["none"], classifier))
    return Grouped(tuple(parts))
