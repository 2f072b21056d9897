"""How far predicted keypoints lie from labelled ones, in pixels.

Only points that both sides gave are measured; the others are counted, not guessed. Weights (one per error) let a bootstrap
count whole videos several times.
"""

import numpy as np


def distances_px(predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Distance of each keypoint: (…, K, ≥2) x, y and (…, K, 3) x, y, visibility give (…, K).

    NaN where the label has visibility 0 or the model gave no point.
    """
    distance = np.hypot(predicted[..., 0] - true[..., 0], predicted[..., 1] - true[..., 1])
    return np.where(true[..., 2] > 0, distance, np.nan)


def box_sizes(boxes: np.ndarray) -> np.ndarray:
    """Longer side (n,) of xyxy boxes (n, 4): the yardstick of PCK (Yang and Ramanan 2013)."""
    return np.maximum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1])


def rmse_px(errors: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Root of the mean squared error; NaN values are left out, NaN if none is left."""
    errors, weights = _measured(errors, weights)
    return float(np.sqrt((weights * errors**2).sum() / weights.sum())) if weights.sum() else float("nan")


def mean_px(errors: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Mean error; NaN values are left out, NaN if none is left."""
    errors, weights = _measured(errors, weights)
    return float((weights * errors).sum() / weights.sum()) if weights.sum() else float("nan")


def median_px(errors: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Median error, whole-number weights counting an error so many times; NaN if none is left."""
    errors, weights = _measured(errors, weights)
    repeated = np.repeat(errors, weights.astype(int))
    return float(np.median(repeated)) if len(repeated) else float("nan")


def pck(errors: np.ndarray, limits: np.ndarray | float, weights: np.ndarray | None = None) -> float:
    """Percentage of correct keypoints as a share between 0 and 1: errors of at most ``limits``.

    ``limits`` is alpha times the box size of each error's animal, or a number of pixels (PCK@px).
    """
    limits = np.broadcast_to(limits, np.shape(errors))
    errors, weights = np.asarray(errors, float), np.ones(len(errors)) if weights is None else np.asarray(weights, float)
    weights = weights * ~np.isnan(errors)
    return float((weights * (errors <= limits)).sum() / weights.sum()) if weights.sum() else float("nan")


def _measured(errors: np.ndarray, weights: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    errors = np.asarray(errors, float)
    weights = np.ones(len(errors)) if weights is None else np.asarray(weights, float)
    present = ~np.isnan(errors)
    return errors[present], weights[present]
