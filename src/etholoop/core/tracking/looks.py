"""What each animal looks like: size, proportions, appearance; and how much that changes within one and the same track.

Two animals that look alike give no evidence, whatever their number: differences count in units of what one animal changes by itself.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from etholoop.core.tracking.detections import DetectionFrames

Index = NDArray[np.int64]
Floats = NDArray[np.float64]
Spans = dict[int, list[tuple[float, float]]]
Stretches = tuple[Index, Index, Floats, Floats]
"""Encounters: track, other track, first and last look of each."""

WINDOW = 50
"""Detections before and after an encounter that are looked at; fewer where the next encounter is nearer."""

LEAST = 3
"""Fewer detections are no evidence."""

N_DISTANCES, N_APPEARANCE = 6, 8
"""Most features of each kind: beyond them the little data that one video has says less, not more."""


@dataclass(frozen=True)
class Looks:
    """``feature`` (n, d) of each detection, NaN = not seen."""

    feature: Floats

    def calm(self, stretches: Stretches, look: Floats, number: Index) -> "Calm":
        """The stretches of each track between its encounters."""
        rows: dict[int, Index] = {}
        order = np.argsort(number, kind="stable")
        cuts = np.flatnonzero(np.diff(number[order])) + 1
        for own in np.split(order, cuts):
            if len(own) and number[own[0]] >= 0:
                rows[int(number[own[0]])] = own
        busy: dict[int, list[tuple[float, float]]] = {track: [] for track in rows}
        for one, two, low, high in zip(*(column.tolist() for column in stretches), strict=True):
            for track in (one, two):
                busy[track].append((low, high))
        spans = {track: _merged(stretches) for track, stretches in busy.items()}
        white, differ = _differences(self.feature, look, rows, spans)
        return Calm(self.feature, look, rows, spans, white, differ)


@dataclass(frozen=True)
class Calm:
    """Tracks outside their encounters.

    ``white`` (d, d) turns differences between windows of two tracks into features in which each changes by 1 within the same two animals;
    ``differ`` (d,) is by how much, squared, animals of this video differ in them. Where that is 0 they are look-alikes.
    """

    feature: Floats
    look: Floats
    rows: dict[int, Index]
    spans: dict[int, list[tuple[float, float]]]
    white: Floats
    differ: Floats

    def keep(self, stretches: Stretches) -> Floats:
        """Nats for no exchange at each encounter; 0 where there is nothing to compare."""
        found = np.zeros(len(stretches[0]))
        for row, (one, two, low, high) in enumerate(zip(*(column.tolist() for column in stretches), strict=True)):
            windows = [self._window(track, edge, side) for track in (one, two) for edge, side in ((low, -1), (high, 1))]
            means = [_mean(self.feature[window]) for window in windows]
            old, new = means[0] - means[2], means[1] - means[3]
            # the mean of a short window is less certain
            share = min(map(len, windows)) / WINDOW
            known = np.isfinite(old) & np.isfinite(new)
            if known.any():
                old, new = (self.white @ np.where(known, side, 0) for side in (old, new))
                noise = 1 / max(share, 1e-6)
                found[row] = 2 * float((old * new * self.differ / (noise * (noise + 2 * self.differ))).sum())
        return found

    def _window(self, track: int, edge: float, side: int) -> Index:
        """Detections of a track just before (side -1) or after an encounter's edge, up to the next encounter."""
        own, spans = self.rows[track], self.spans[track]
        if side < 0:
            since = max((high for _, high in spans if high <= edge), default=-np.inf)
            first, last = np.searchsorted(self.look[own], [since, edge + 1e-9])
            return own[max(first, last - WINDOW) : last]
        until = min((low for low, _ in spans if low >= edge), default=np.inf)
        first, last = np.searchsorted(self.look[own], [edge, until + 1e-9])
        return own[first : min(last, first + WINDOW)]


def looks_of(frames: DetectionFrames) -> Looks:
    """Features of each detection: logarithms of steady distances between keypoints or else of the size, main parts of its appearance."""
    if frames.keypoints is not None and frames.keypoints.shape[1] >= 2 and frames.n:
        # a box grows and shrinks as its animal turns; distances within the body do not
        parts = [_distances(frames.keypoints[:, :, :2])]
    else:
        parts = [np.log(np.maximum(frames.box[:, 2:] - frames.box[:, :2], 1)).mean(1, keepdims=True)]
    if frames.embedding is not None and frames.n:
        parts.append(_main_parts(frames.embedding))
    return Looks(np.concatenate(parts, axis=1))


def _distances(points: Floats) -> Floats:
    one, two = np.triu_indices(points.shape[1], 1)
    some = points[:: max(1, len(points) // 2000)]
    with np.errstate(all="ignore"):
        sample = np.log(np.maximum(np.hypot(*np.moveaxis(some[:, one] - some[:, two], 2, 0)), 1))
        known = np.isfinite(sample).mean(0) if len(sample) else np.zeros(len(one))
        middle = np.nan_to_num(np.nanmedian(np.where(known > 0, sample, 0), axis=0)) if len(sample) else np.zeros(len(one))
        spread = np.nanmedian(np.abs(np.where(known > 0, sample, np.inf) - middle), axis=0) if len(sample) else np.zeros(len(one))
    # long distances that hardly change; what is often missing or hardly longer than its own jitter tells nothing
    order = np.lexsort((np.nan_to_num(spread, nan=np.inf), known < 0.5))[:N_DISTANCES]
    away = points[:, one[order]] - points[:, two[order]]
    return np.log(np.maximum(np.hypot(away[:, :, 0], away[:, :, 1]), 1))


def _main_parts(embedding: NDArray[np.float32]) -> Floats:
    known = np.flatnonzero(np.isfinite(embedding).all(1))
    if len(known) < 2:
        return np.full((len(embedding), 0), np.nan)
    some = embedding[known[:: max(1, len(known) // 2000)]].astype(np.float64)
    middle = some.mean(0)
    _, _, axes = np.linalg.svd(some - middle, full_matrices=False)
    axes = axes[:N_APPEARANCE]
    # the sign of an axis is arbitrary: fixed, so that the same input gives the same numbers
    axes = axes * np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(1)])[:, None]
    return (embedding.astype(np.float64) - middle) @ axes.T


def _mean(values: Floats) -> Floats:
    known = np.isfinite(values)
    n = known.sum(0)
    return np.where(n >= LEAST, np.where(known, values, 0).sum(0) / np.maximum(n, 1), np.nan)


def _differences(feature: Floats, look: Floats, rows: dict[int, Index], spans: Spans) -> tuple[Floats, Floats]:
    """``white`` and ``differ`` of :class:`Calm` from windows of the tracks with no encounter between them."""
    changes, middles, counts = [], [], []
    for track, own in rows.items():
        edges = [-np.inf, *(edge for span in spans[track] for edge in span), np.inf]
        every = []
        for low, high in zip(edges[::2], edges[1::2], strict=True):
            first, last = np.searchsorted(look[own], [low, high + 1e-9])
            starts = np.arange(first, last - WINDOW + 1, WINDOW)
            means = np.array([_mean(feature[own[start : start + WINDOW]]) for start in starts[:200]]).reshape(-1, feature.shape[1])
            # near and far in time: an encounter changes posture as much as a long while does
            changes += [means[lag:] - means[:-lag] for lag in (1, 2, 4, 8, 16) if len(means) > lag]
            every.append(means)
        told = np.nan_to_num(np.concatenate(every))
        if len(told) > 1:
            middles.append(told.mean(0))
            counts.append(len(told))
    d = feature.shape[1]
    change = np.nan_to_num(np.concatenate(changes)) if changes else np.zeros((0, d))
    if len(change) < 2 * d or len(middles) < 2:
        return np.eye(d), np.zeros(d)
    # about zero: a steady drift is change too; shrunk to its diagonal, which keeps few samples honest
    covariance = change.T @ change / len(change)
    share = min(1.0, 5 * d / len(change))
    covariance = (1 - share) * covariance + share * np.diag(np.diag(covariance)) + 1e-6 * np.eye(d)
    values, axes = np.linalg.eigh(2 * covariance)
    white = (axes / np.sqrt(values)).T
    between = 2 * np.var(np.array(middles) @ white.T, axis=0, ddof=1)
    by_chance = float(np.mean(1 / np.array(counts)))
    # three times what chance gives, so that few windows of look-alikes do not pass for a difference
    return white, np.where(between > 3 * by_chance, between - by_chance, 0.0)


def _merged(stretches: list[tuple[float, float]]) -> list[tuple[float, float]]:
    merged: list[tuple[float, float]] = []
    for low, high in sorted(stretches):
        if merged and low <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], high))
        else:
            merged.append((low, high))
    return merged
