"""Confidence intervals by resampling whole videos.

Frames of one video resemble each other, so frames are not independent and resampling them would give intervals that are far
too narrow. Each resample draws as many videos as there are, with replacement, and every figure is computed anew from all
frames of the drawn videos (percentile interval; Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapter 13).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import numpy as np

RELIABLE_FROM = 10
"""With fewer videos the percentile interval is known to be too narrow."""
UNRELIABLE = f"CI not reliable: n videos < {RELIABLE_FROM}"

Video = TypeVar("Video")
Interval = tuple[float, float]


def reliable(n_videos: int) -> bool:
    return n_videos >= RELIABLE_FROM


def bootstrap(
    videos: Sequence[Video], statistic: Callable[[list[Video]], float], n: int = 2000, seed: int = 0, level: float = 0.95
) -> Interval:
    """Interval of ``statistic(list of videos)``; a video drawn twice is in the list twice. See :func:`intervals`."""

    def figure(counts: np.ndarray) -> dict[str, float]:
        return {"": statistic([video for video, count in zip(videos, counts, strict=True) for _ in range(int(count))])}

    return intervals(len(videos), figure, n, seed, level)[""]


def intervals(
    n_videos: int, figures: Callable[[np.ndarray], Mapping[str, float]], n: int = 2000, seed: int = 0, level: float = 0.95
) -> dict[str, Interval]:
    """Percentile interval (low, high) of each figure.

    Args:
        n_videos: number of videos; with one video nothing can be resampled and the interval is NaN.
        figures: given how many times each video counts (n_videos,), returns named figures; NaN where a resample has none
            (for example no animal in it), such resamples are left out of that figure.
        n: number of resamples.
        seed: same seed, same interval.
        level: .95 gives the 2.5 % and 97.5 % quantiles.
    """
    if n_videos < 2:
        return {name: (float("nan"), float("nan")) for name in figures(np.ones(n_videos))}
    rows = [figures(counts) for counts in resamples(n_videos, n, seed)]
    tails = [(1 - level) / 2, (1 + level) / 2]
    return {name: _quantiles(np.array([row[name] for row in rows], float), tails) for name in rows[0]}


def resamples(n_videos: int, n: int, seed: int) -> np.ndarray:
    """How many times each video was drawn, (n, n_videos) whole numbers whose rows sum to ``n_videos``."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(n_videos, np.full(n_videos, 1 / n_videos), size=n)


def _quantiles(values: np.ndarray, tails: list[float]) -> Interval:
    values = values[~np.isnan(values)]
    if not len(values):
        return float("nan"), float("nan")
    low, high = np.quantile(values, tails)
    return float(low), float(high)
