"""How animals of one video move, learnt from the video: where one will be after a while, and how sure that is.

Nothing is set for one set-up: reach, damping and spread come from the links that are beyond doubt, at each lag.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LAGS = (1, 2, 4, 8, 16, 32, 64)
"""Lags, in looks, at which the spread is measured; between them it is interpolated on logarithmic scales."""

TABLE = 5000
"""Values at whole lags up to here are looked up."""

SAMPLE = 1500
"""So many links, evenly spaced over the video, are measured at each lag."""

FEW = 24
"""With fewer links at a lag nothing is learnt there."""

DAMPINGS = (0.0, 0.25, 0.5, 0.75, 1.0)
SPEED_SHARES = (0.0, 0.3, 1.0)
TAILS = (1.0, 2.0, 4.0, 8.0, 30.0)


@dataclass(frozen=True)
class Spread:
    """Residuals of one kind as a Student t of two dimensions with a spread that grows with the way predicted.

    ``scale`` (L,) px, ``tail`` (L,) degrees of freedom, ``speed_share`` (L,) px of spread for each px of predicted way, ``damping`` (L,)
    share of the constant-velocity way that animals really go; one value for each of ``LAGS``.
    """

    scale: NDArray[np.float64]
    tail: NDArray[np.float64]
    speed_share: NDArray[np.float64]
    damping: NDArray[np.float64]

    def at(self, lag: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
        """Scale, tail, speed share and damping at any lag (looks)."""
        return by_lag(self._at, lag)

    def _at(self, lag: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
        place = np.log2(np.clip(lag, LAGS[0], LAGS[-1]))
        steps = np.log2(LAGS)
        scale = np.exp(np.interp(place, steps, np.log(self.scale)))
        # beyond the last lag animals wander: the spread grows with the root of time
        scale = scale * np.sqrt(np.maximum(lag / LAGS[-1], 1.0))
        return scale, *(np.interp(place, steps, values) for values in (self.tail, self.speed_share, self.damping))


def by_lag(
    values: Callable[[NDArray[np.float64]], tuple[NDArray[np.float64], ...]], lag: NDArray[np.float64]
) -> tuple[NDArray[np.float64], ...]:
    """``values(lag)`` from a table where lags are whole and short, as they nearly always are: much faster, the same numbers."""
    whole = lag.astype(np.int64)
    top = int(whole.max()) if len(lag) else 0
    if top >= TABLE or top >= len(lag) or not np.array_equal(whole, lag) or whole.min() < 0:
        return values(lag)
    return tuple(column[..., whole] for column in values(np.arange(top + 1, dtype=np.float64)))


def surprise(residual: NDArray[np.float64], scale: NDArray[np.float64] | float, tail: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Negative log likelihood (nats) of a residual (px) against the most likely one, Student t of two dimensions."""
    return (tail + 2) / 2 * np.log1p((residual / scale) ** 2 / tail)


def fit(way: NDArray[np.float64], step: NDArray[np.float64], floor: float) -> tuple[float, float, float, float]:
    """Spread, tail, speed share and damping that make displacements most likely.

    Args:
        way: (n, 2) px, where constant velocity leads. ``step``: (n, 2) px, where they went. ``floor``: least spread, px.
    """
    speed = np.hypot(way[:, 0], way[:, 1])
    moving = bool(speed.any())
    misses = [float(np.median(np.hypot(*(step - damping * way).T))) for damping in DAMPINGS] if moving else [0.0]
    damping = DAMPINGS[int(np.argmin(misses))]
    residual = np.hypot(*(step - damping * way).T)
    fits = [(*_fit_tail(residual, share * speed, floor), share) for share in (SPEED_SHARES if moving else (0.0,))]
    _, scale, tail, share = min(fits)
    return scale, tail, share, damping


def _fit_tail(residual: NDArray[np.float64], extra: NDArray[np.float64], floor: float) -> tuple[float, float, float]:
    best: tuple[float, float, float] = (np.inf, floor, 2.0)
    base = max(float(np.median(np.maximum(residual - extra, 0))), float(np.median(residual)) / 4, floor)
    for tail in TAILS:
        middle = np.sqrt(tail * (2 ** (2 / tail) - 1))
        for factor in (0.6, 1.0, 1.4):
            scale = max(factor * base / middle, floor)
            spread = np.hypot(scale, extra)
            loss = float(np.mean(2 * np.log(spread) + surprise(residual, spread, np.full_like(residual, tail))))
            if loss < best[0]:
                best = (loss, scale, tail)
    return best
