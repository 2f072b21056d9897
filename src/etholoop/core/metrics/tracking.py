"""Tracks judged against known ones: HOTA, IDF1, MOTA and their parts, for each video and for all, with confidence intervals.

Equal to TrackEval (`tests/core/metrics/test_tracking_metrics.py`), but for what has no value: that is NaN here. MOTP is the mean overlap
of matched boxes (TrackEval's), not a distance. Over several videos the sums are added before the figures are made, as TrackEval does, so
long videos count more.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from etholoop.core.metrics._clear_mot import clear_figures, clear_sums
from etholoop.core.metrics._hota import hota_figures, hota_sums
from etholoop.core.metrics._identity import identity_figures, identity_sums
from etholoop.core.metrics._tracking_frames import side_by_side
from etholoop.core.metrics.bootstrap import Interval, intervals

Figures = dict[str, float]
Value = TypeVar("Value", float, NDArray[np.float64])


@dataclass(frozen=True)
class Evidence:
    """What was counted in one video; :func:`figures` makes figures of one or of many."""

    hota: dict[str, NDArray[np.float64]]
    clear: dict[str, float]
    identity: dict[str, float]
    n_animals: int
    n_tracks: int


def gather(truth: pd.DataFrame, found: pd.DataFrame) -> Evidence:
    """Compare the tracks of one video with the true ones.

    Args:
        truth, found: columns track, frame, x_min, y_min, x_max, y_max and any others; track numbers need not agree.

    Raises:
        FaultsError: a track with two boxes in one frame.
    """
    frames = side_by_side(truth, found)
    return Evidence(hota_sums(frames), clear_sums(frames), identity_sums(frames), *frames.shape)


def figures(evidence: Sequence[Evidence], weights: Sequence[float] | NDArray[np.float64] | None = None) -> Figures:
    """All figures of the videos together, every video counted ``weights`` times (once without them).

    HOTA, DetA, AssA, DetRe, DetPr, AssRe, AssPr, LocA; IDF1, IDP, IDR; MOTA, MOTP, recall, precision; switches, fragmentations,
    mostly_tracked, partially_tracked, mostly_lost, fp, fn; n_animals, n_tracks. NaN where there is nothing to divide by.
    """
    times = [1.0] * len(evidence) if weights is None else list(weights)
    return {
        **hota_figures(_added([one.hota for one in evidence], times)),
        **identity_figures(_added([one.identity for one in evidence], times)),
        **clear_figures(_added([one.clear for one in evidence], times)),
        **_added([{"n_animals": float(one.n_animals), "n_tracks": float(one.n_tracks)} for one in evidence], times),
    }


def figure_intervals(evidence: Sequence[Evidence], n: int = 2000, seed: int = 0, level: float = 0.95) -> dict[str, Interval]:
    """Interval (low, high) of every figure by resampling whole videos; NaN with one video, see :mod:`etholoop.core.metrics.bootstrap`."""
    return intervals(len(evidence), lambda counts: figures(evidence, counts), n, seed, level)


def report(pairs: Mapping[str, tuple[pd.DataFrame, pd.DataFrame]], n: int = 2000, seed: int = 0) -> dict[str, dict[str, object]]:
    """Figures of each video by its id, of ``all`` together, and the ``interval`` of each of those as [low, high]."""
    evidence = {video: gather(truth, found) for video, (truth, found) in sorted(pairs.items())}
    everything = list(evidence.values())
    return {
        "videos": {video: figures([one]) for video, one in evidence.items()},
        "all": dict(figures(everything)) if everything else {},
        "interval": {name: list(ends) for name, ends in figure_intervals(everything, n, seed).items()} if everything else {},
    }


def _added(sums: Sequence[dict[str, Value]], times: Sequence[float]) -> dict[str, Value]:
    """Sums over videos, name by name."""
    total = {name: times[0] * value for name, value in sums[0].items()}
    for count, one in zip(times[1:], sums[1:], strict=True):
        total = {name: total[name] + count * value for name, value in one.items()}
    return total
