"""The threshold of each behaviour, chosen on validation frames."""

from dataclasses import dataclass

import numpy as np

from etholoop.errors import EthoLoopError

GRID = np.linspace(1e-4, 1.0, 200)
"""The thresholds that DeepEthogram tries (docs: 200 from 1e-4 to 1)."""

LOWEST, UNKNOWN, WORTHLESS_F1 = 0.01, 0.5, 0.05
"""DeepEthogram's care: never below .01, and .5 where even the best F1 is below .05."""

OBJECTIVES = ("f1", "informedness")


@dataclass(frozen=True)
class Choice:
    """A threshold and what it reached on the validation frames; NaN where there was nothing to choose on."""

    threshold: float
    value: float


def choose(scores: np.ndarray, truth: np.ndarray, objective: str = "f1", grid: np.ndarray = GRID) -> Choice:
    """Best threshold t of one behaviour; ``score > t`` says that it happens. Of equal ones the lowest is taken.

    Args:
        scores: (n,), NaN = no score.
        truth: (n,) 1, 0, or -1 = not known.
        objective: ``f1``, or ``informedness`` = true positive rate + true negative rate - 1 (Youden 1950).

    Raises:
        EthoLoopError: no such objective.
    """
    if objective not in OBJECTIVES:
        raise EthoLoopError(f"unknown objective '{objective}'; known: {', '.join(OBJECTIVES)}")
    known = (truth >= 0) & np.isfinite(scores)
    happens = truth[known] == 1
    if not happens.any() or happens.all():
        return Choice(UNKNOWN, float("nan"))
    hits, false = (_above(scores[known][side], grid) for side in (happens, ~happens))
    n_pos, n_neg = int(happens.sum()), int((~happens).sum())
    f1 = 2 * hits / (hits + false + n_pos)
    values = f1 if objective == "f1" else hits / n_pos + 1 - false / n_neg - 1
    best = int(np.argmax(values))
    if objective == "f1" and f1[best] < WORTHLESS_F1:
        return Choice(UNKNOWN, float(f1[best]))
    return Choice(float(max(grid[best], LOWEST)), float(values[best]))


def _above(scores: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """How many scores are above each threshold."""
    return len(scores) - np.searchsorted(np.sort(scores), grid, side="right")
