"""Average precision as COCO computes it: IoU or OKS thresholds .50:.05:.95, precision read at 101 recalls.

Source: https://cocodataset.org/#detection-eval. Weights per video let a bootstrap recount whole videos without matching again.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from etholoop.core.metrics.matching import by_falling_confidence, match_greedy

THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0.0, 1.0, 101)
MAX_BOXES = 100
"""Most confident boxes of one image and class that count (COCO's maxDets for boxes)."""
MAX_POSES = 20
"""Most confident poses of one image and class that count (COCO's maxDets for keypoints)."""


@dataclass(frozen=True)
class Scored:
    """Predictions of one class, judged at each of T thresholds.

    ``confidence`` (n,); ``hit`` and ``ignored`` (T, n); ``video`` (n,) number of the video each prediction belongs to;
    ``n_true`` (V,) animals to find in each video.
    """

    confidence: np.ndarray
    hit: np.ndarray
    ignored: np.ndarray
    video: np.ndarray
    n_true: np.ndarray


def judge_frame(
    similarity: np.ndarray, confidence: np.ndarray, ignored: np.ndarray, max_predictions: int, *, video: int = 0, n_videos: int = 1
) -> Scored:
    """Judge the predictions of one image and class.

    Args:
        similarity: (n_predicted, n_true) IoU or OKS, in any order of predictions.
        confidence: (n_predicted,).
        ignored: (n_true,) animals that count neither way, for example without labelled keypoints.
        max_predictions: only so many of the most confident count.
        video: number of the image's video among ``n_videos``.
    """
    ignored = np.asarray(ignored, bool)
    order = by_falling_confidence(confidence)[:max_predictions]
    matches = np.stack([match_greedy(similarity[order], threshold, ignored) for threshold in THRESHOLDS])  # (T, n)
    matched_ignored = np.zeros(matches.shape, bool)
    matched_ignored[matches >= 0] = ignored[matches[matches >= 0]]
    n_true = np.zeros(n_videos)
    n_true[video] = (~ignored).sum()
    return Scored(np.asarray(confidence, float)[order], matches >= 0, matched_ignored, np.full(len(order), video), n_true)


def join(parts: Iterable[Scored], n_videos: int) -> Scored:
    """Predictions of many frames as one, by falling confidence; equal ones keep the order of the frames."""
    parts = list(parts)
    if not parts:
        nothing = np.zeros((len(THRESHOLDS), 0), bool)
        return Scored(np.zeros(0), nothing, nothing, np.zeros(0, int), np.zeros(n_videos))
    confidence = np.concatenate([part.confidence for part in parts])
    order = by_falling_confidence(confidence)
    return Scored(
        confidence[order],
        np.concatenate([part.hit for part in parts], axis=1)[:, order],
        np.concatenate([part.ignored for part in parts], axis=1)[:, order],
        np.concatenate([part.video for part in parts])[order],
        np.sum([part.n_true for part in parts], axis=0),
    )


def precision_at_recalls(scored: Scored, weights: np.ndarray | None = None) -> np.ndarray:
    """Interpolated precision (T, 101) at recalls 0, .01, …, 1; NaN when there is no animal to find.

    Args:
        scored: predictions by falling confidence, as :func:`join` gives them.
        weights: (V,) how many times each video counts, default once.
    """
    weights = np.ones(len(scored.n_true)) if weights is None else np.asarray(weights, float)
    n_true = float(scored.n_true @ weights)
    curve = np.full((len(scored.hit), len(RECALLS)), np.nan)
    if n_true == 0:
        return curve
    weight = weights[scored.video]
    hits = np.cumsum(scored.hit * weight, axis=1)
    false = np.cumsum(weight) - hits
    found = np.cumsum((scored.hit & ~scored.ignored) * weight, axis=1) if scored.ignored.any() else hits
    precision = found / (false + found + np.spacing(1))
    # the best precision at this recall or any higher one
    envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    padded = np.concatenate([envelope, np.zeros((len(envelope), 1))], axis=1)  # recalls never reached have precision 0
    for row, recall in enumerate(found / n_true):
        curve[row] = padded[row, np.searchsorted(recall, RECALLS, side="left")]
    return curve


def average_precision(classes: Iterable[Scored], weights: np.ndarray | None = None) -> tuple[float, float]:
    """(AP at threshold .50, AP averaged over .50:.05:.95), mean over the classes that have animals; NaN if none has."""
    curves = [precision_at_recalls(scored, weights) for scored in classes]
    per_threshold = [curve.mean(axis=1) for curve in curves if not np.isnan(curve).any()]  # each (T,)
    if not per_threshold:
        return float("nan"), float("nan")
    means = np.mean(per_threshold, axis=0)
    return float(means[0]), float(means.mean())
