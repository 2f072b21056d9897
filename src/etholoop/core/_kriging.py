"""Curves of scores through the moments that are known, with how sure they are (kriging; Rasmussen and Williams 2006, chapters 2 and 5).

Prior: the logarithm of each class's probability is a constant, plus something that all moments share and that changes smoothly, plus
something that is common to moments a multiple of ``rate`` frames apart, because their clips see the same pictures. Both parts have
Matérn covariance 5/2. The reaches and weights of the parts are those that make what is known most likely.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular

NOISE = 1e-4
"""Variance, as a share of the shared part's, that no smooth curve explains."""

GRIDS = ((8.0, 14.0, 25.0, 45.0, 80.0), (14.0, 25.0, 45.0, 80.0, 160.0), (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0))
"""What is tried: reach of the shared part and of that by pictures, in frames, and the latter's variance as a share of the former's."""

START = (2, 1, 4)
"""Places in the grids where the search begins."""

LEAST = 1e-12


@dataclass
class Curves:
    """Stretches of moments one frame apart, which know nothing of each other but have the same kind of curves.

    ``lengths``: moments of each; a row number counts through all of them. ``rate``: frames after which clips see the same pictures.
    """

    lengths: Sequence[int]
    rate: int
    choice: tuple[int, ...] = START
    starts: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.starts = [sum(self.lengths[:place]) for place in range(len(self.lengths))]

    def tune(self, logs: np.ndarray, known: np.ndarray) -> None:
        """Choose reaches and variance by what is known: steps to neighbours on the grids while they make it more likely.

        Args:
            logs: (n, K) logarithms; rows that are not ``known`` (n,) are not looked at.
        """
        best = self._likelihood(self.choice, logs, known)
        tried = {self.choice}
        better = True
        while better:
            better = False
            for axis, grid in enumerate(GRIDS):
                for step in (-1, 1):
                    choice = tuple(place + step * (number == axis) for number, place in enumerate(self.choice))
                    if choice in tried or not 0 <= choice[axis] < len(grid):
                        continue
                    tried.add(choice)
                    likelihood = self._likelihood(choice, logs, known)
                    if likelihood > best:
                        best, self.choice, better = likelihood, choice, True

    def drawn(self, logs: np.ndarray, known: np.ndarray) -> "Drawn":
        """Curves through the rows that are known; each stretch has one at least."""
        mean, inner, n_known = np.array(logs, np.float64), np.zeros((logs.shape[1],) * 2), 0
        left = []
        for start, length in zip(self.starts, self.lengths, strict=True):
            own = np.flatnonzero(known[start : start + length])
            prior = self._covariance(length, self.choice)
            factor = cho_factor(_noisy(prior[np.ix_(own, own)]), lower=True)
            values = logs[start + own]
            solved = cho_solve(factor, np.column_stack([np.ones(len(own)), values]))
            level = solved[:, 1:].sum(0) / solved[:, 0].sum()
            weights = solved[:, 1:] - solved[:, :1] * level
            mean[start : start + length] = level + prior[:, own] @ weights
            inner += (values - level).T @ weights
            n_known += len(own)
            left.append(prior - prior[:, own] @ cho_solve(factor, prior[own]))
        mean[known] = logs[known]
        return Drawn(mean, left, inner / n_known, self.starts)

    def _covariance(self, length: int, choice: tuple[int, ...]) -> np.ndarray:
        reach, picture_reach, share = (grid[place] for grid, place in zip(GRIDS, choice, strict=True))
        apart = np.arange(length)
        line = _matern(apart, reach) + share * (apart % self.rate == 0) * _matern(apart, picture_reach)
        return np.asarray(line[np.abs(apart[:, None] - apart)])

    def _likelihood(self, choice: tuple[int, ...], logs: np.ndarray, known: np.ndarray) -> float:
        """Logarithm of the likelihood, but for a constant, with the best level of each stretch and the best variance of each class."""
        volume, squares, n_known = 0.0, np.zeros(logs.shape[1]), 0
        for start, length in zip(self.starts, self.lengths, strict=True):
            own = np.flatnonzero(known[start : start + length])
            lower = np.linalg.cholesky(_noisy(self._covariance(length, choice)[np.ix_(own, own)]))
            solved = solve_triangular(lower, np.column_stack([np.ones(len(own)), logs[start + own]]), lower=True, check_finite=False)
            level = solved[:, 0] @ solved[:, 1:] / (solved[:, 0] @ solved[:, 0])
            squares += ((solved[:, 1:] - solved[:, :1] * level) ** 2).sum(0)
            volume += 2 * float(np.log(np.diag(lower)).sum())
            n_known += len(own)
        return -0.5 * (logs.shape[1] * volume + n_known * float(np.log(np.maximum(squares / n_known, LEAST)).sum()))


@dataclass
class Drawn:
    """``mean`` (n, K): the curves. ``left``: for each stretch the covariance (m, m) that what is known leaves. ``inner`` (K, K): covariance
    of the classes that multiplies it."""

    mean: np.ndarray
    left: list[np.ndarray]
    inner: np.ndarray
    starts: list[int]

    def best_two(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The two most probable classes (n, 2), by how much the first leads (n,), and the variance (n,) of that per unit of covariance."""
        two = np.argsort(-self.mean, axis=1, kind="stable")[:, :2]
        rows = np.arange(len(two))
        first, second = two[:, 0], two[:, -1]
        lead = self.mean[rows, first] - self.mean[rows, second]
        own = np.diag(self.inner)
        return two, lead, np.maximum(own[first] + own[second] - 2 * self.inner[first, second], LEAST)

    def variance(self, stretch: int | None = None) -> np.ndarray:
        """What is left (n,) of all stretches, or of one."""
        parts = self.left if stretch is None else [self.left[stretch]]
        return np.maximum(np.concatenate([np.diag(part) for part in parts]), 1e-9)

    def know(self, row: int) -> int:
        """Go on as if this row were known too, as the curves say; returns its stretch."""
        stretch = int(np.searchsorted(self.starts, row, "right")) - 1
        left = self.left[stretch]
        column = left[:, row - self.starts[stretch]].copy()
        left -= np.outer(column, column / (column[row - self.starts[stretch]] + NOISE))
        return stretch


def _matern(apart: np.ndarray, reach: float) -> np.ndarray:
    scaled = np.sqrt(5) * apart / reach
    return np.asarray((1 + scaled + scaled**2 / 3) * np.exp(-scaled))


def _noisy(covariance: np.ndarray) -> np.ndarray:
    covariance[np.diag_indices(len(covariance))] += NOISE
    return covariance
