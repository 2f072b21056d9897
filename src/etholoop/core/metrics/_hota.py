"""HOTA: how well animals are found and how well their identity is kept, in one figure.

Source: Luiten et al. 2020, HOTA: A Higher Order Metric for Evaluating Multi-Object Tracking, https://arxiv.org/abs/2009.07736. At each
of 19 thresholds of overlap, HOTA = sqrt(DetA · AssA); the figure is the mean over the thresholds.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from etholoop.core.metrics._tracking_frames import Frame, Frames

THRESHOLDS = np.arange(1, 20) * 0.05
TINY = float(np.finfo("float").eps)
Sums = dict[str, NDArray[np.float64]]


def hota_sums(frames: Frames) -> Sums:
    """Sums over a video, each (19,), one value for each threshold; those of several videos add up.

    ``tp``, ``fn``, ``fp``: boxes found, missed, false. ``iou``: overlap of the found. ``association``, ``association_recall`` and
    ``association_precision``: summed over the found.
    """
    alignment = _alignment(frames)
    matches = np.zeros((len(THRESHOLDS), *frames.shape))
    overlap, n_found = np.zeros(len(THRESHOLDS)), np.zeros(len(THRESHOLDS))
    for frame in frames:
        score = alignment[np.ix_(frame.true, frame.found)] * frame.iou
        rows, columns = linear_sum_assignment(score, maximize=True)
        iou = frame.iou[rows, columns]
        good = iou[None, :] >= THRESHOLDS[:, None] - TINY  # (threshold, pair)
        matches[:, frame.true[rows], frame.found[columns]] += good
        overlap += (good * iou).sum(axis=1)
        n_found += good.sum(axis=1)
    either = frames.true_lengths[:, None] + frames.found_lengths[None, :] - matches
    return {
        "tp": n_found,
        "fn": frames.true_lengths.sum() - n_found,
        "fp": frames.found_lengths.sum() - n_found,
        "iou": overlap,
        "association": _mean_over_matches(matches, either),
        "association_recall": _mean_over_matches(matches, np.broadcast_to(frames.true_lengths[:, None], matches.shape)),
        "association_precision": _mean_over_matches(matches, np.broadcast_to(frames.found_lengths[None, :], matches.shape)),
    }


def hota_figures(sums: Sums) -> dict[str, float]:
    """The figures of one or several videos; NaN where there are neither animals nor tracks.

    LocA at a threshold that nothing reaches counts as 1, as in TrackEval.
    """
    tp, fn, fp = sums["tp"], sums["fn"], sums["fp"]
    if not (tp + fn + fp).any():
        return dict.fromkeys(("HOTA", "DetA", "AssA", "DetRe", "DetPr", "AssRe", "AssPr", "LocA"), float("nan"))
    some = np.maximum(tp, 1)
    found, kept = tp / np.maximum(tp + fn + fp, 1), sums["association"] / some
    by_threshold = {
        "HOTA": np.sqrt(found * kept),
        "DetA": found,
        "AssA": kept,
        "DetRe": tp / np.maximum(tp + fn, 1),
        "DetPr": tp / np.maximum(tp + fp, 1),
        "AssRe": sums["association_recall"] / some,
        "AssPr": sums["association_precision"] / some,
        "LocA": np.where(tp > 0, sums["iou"] / some, 1.0),
    }
    return {name: float(values.mean()) for name, values in by_threshold.items()}


def _alignment(frames: Frames) -> NDArray[np.float64]:
    """How far each animal and each track belong together over the whole video, (n_true, n_found), 0 to 1."""
    shared = np.zeros(frames.shape)
    for frame in frames:
        shared[np.ix_(frame.true, frame.found)] += _shares(frame)
    either = frames.true_lengths[:, None] + frames.found_lengths[None, :] - shared
    return np.divide(shared, either, out=np.zeros_like(shared), where=either > 0)


def _shares(frame: Frame) -> NDArray[np.float64]:
    """The part of each pair in all the overlap that either of the two has in this frame."""
    either = frame.iou.sum(axis=0)[None, :] + frame.iou.sum(axis=1)[:, None] - frame.iou
    return np.divide(frame.iou, either, out=np.zeros_like(frame.iou), where=either > TINY)


def _mean_over_matches(matches: NDArray[np.float64], total: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum over all matches of the share that their pair of animal and track has, (19,)."""
    return (matches * matches / np.maximum(total, 1)).sum(axis=(1, 2))
