"""Sudden moves: now and then an animal jumps, turns or is detected badly, and place, extent and pose leap together.

Taken one by one the three would be three rare events, and the animal would seem to be another one. So the residuals of a link come either
from calm motion or, for a share of the links, from a sudden move in which all of them are wide at once. Share and widths are learnt from
the video's own links by expectation maximisation.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from etholoop.core.tracking.motion import LAGS, by_lag, surprise

Floats = NDArray[np.float64]

TAIL = 2.0
"""Degrees of freedom of a sudden move: its size is hardly known."""

MIDDLE = float(np.sqrt(TAIL * (2 ** (2 / TAIL) - 1)))
"""Median of a residual of two dimensions with that tail, in units of its spread."""

USUAL_SHARE, USUAL_WIDTH = 0.01, (8.0, 3.0, 3.0)
"""Share of sudden moves and widths (place, extent, pose; in spreads of calm motion) where too few were seen to learn them."""

BELIEVED = 100.0
"""The usual share counts as much as so many links of the video."""

LEAST_WIDTH = 2.0
"""A move is not sudden if it is hardly wider than a calm one."""

ENOUGH = 5.0
"""Fewer sudden moves say nothing about their width."""

ROUNDS = 12


@dataclass(frozen=True)
class Sudden:
    """``share`` (L,) of links, ``width`` (L, 3) of place, extent and pose in spreads of calm motion; one row for each of ``LAGS``."""

    share: Floats
    width: Floats

    def at(self, lag: Floats) -> tuple[Floats, Floats]:
        """Share (m,) and width (3, m) at any lag (looks)."""
        share, width = by_lag(self._at, lag)
        return share, width

    def _at(self, lag: Floats) -> tuple[Floats, Floats]:
        place, steps = np.log2(np.clip(lag, LAGS[0], LAGS[-1])), np.log2(LAGS)
        return np.interp(place, steps, self.share), np.array([np.interp(place, steps, width) for width in self.width.T])


USUAL = Sudden(np.full(len(LAGS), USUAL_SHARE), np.tile(np.array(USUAL_WIDTH), (len(LAGS), 1)))


def together(calm: Floats, residual: Floats, share: Floats, width: Floats) -> Floats:
    """Nats against links (m,), the most likely calm motion costs 0.

    Args:
        calm: (m,) nats against them as calm motion. ``residual``: (3, m) in spreads of calm motion, NaN = not told. ``share`` (m,) and
            ``width`` (3, m): of sudden moves.
    """
    return -np.logaddexp(np.log1p(-share) - calm, np.log(share) - _leap(residual, width))


def fitted(calm: list[Floats], residual: list[Floats]) -> Sudden:
    """Learnt from links at each of ``LAGS``: nats (m,) as calm motion and residuals (3, m); lags without links keep their neighbour's."""
    share, width = USUAL_SHARE, np.array(USUAL_WIDTH)
    rows = []
    for nats, beside in zip(calm, residual, strict=True):
        share, width = _fit(nats, beside, share, width)
        rows.append((share, width))
    return Sudden(np.array([row[0] for row in rows]), np.array([row[1] for row in rows]))


def _fit(calm: Floats, residual: Floats, share: float, width: Floats) -> tuple[float, Floats]:
    prior = share
    for _ in range(ROUNDS if len(calm) else 0):
        odds = np.log(share) - _leap(residual, width[:, None]) - np.log1p(-share) + calm
        leaps = 1 / (1 + np.exp(-np.clip(odds, -30, 30)))
        share = float((leaps.sum() + BELIEVED * prior) / (len(calm) + BELIEVED))
        if leaps.sum() >= ENOUGH:
            found = np.array([_weighted_median(kind, leaps) / MIDDLE for kind in residual])
            width = np.where(np.isfinite(found), np.maximum(found, LEAST_WIDTH), width)
    return share, width


def _leap(residual: Floats, width: Floats) -> Floats:
    """Nats against residuals (3, m) as a sudden move, compared with the most likely calm one."""
    nats = 2 * np.log(width) + surprise(residual, width, TAIL)
    return np.where(np.isfinite(residual), nats, 0).sum(axis=0)


def _weighted_median(value: Floats, weight: Floats) -> float:
    told = np.isfinite(value)
    if not told.any():
        return float("nan")
    order = np.argsort(value[told], kind="stable")
    total = np.cumsum(weight[told][order])
    return float(value[told][order][np.searchsorted(total, total[-1] / 2)])
