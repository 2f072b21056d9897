"""Calibration: of the detections said with confidence .8, are 80 % right?

Expected calibration error (Guo et al. 2017, On Calibration of Modern Neural Networks): bins of equal width, the distance
between mean confidence and share of correct detections, weighted by the number of detections.
"""

import numpy as np
import pandas as pd

N_BINS = 15


def calibration_table(confidence: np.ndarray, correct: np.ndarray) -> pd.DataFrame:
    """One row per bin: low, high, n, mean confidence and share correct (NaN where the bin is empty)."""
    n, confident, right = _bin_sums(confidence, correct, None)
    edges = np.linspace(0, 1, N_BINS + 1)
    with np.errstate(invalid="ignore"):
        return pd.DataFrame({"low": edges[:-1], "high": edges[1:], "n": n.astype(int), "confidence": confident / n, "correct": right / n})


def expected_calibration_error(confidence: np.ndarray, correct: np.ndarray, weights: np.ndarray | None = None) -> float:
    """ECE between 0 and 1; NaN without detections. ``weights`` (n,) count detections more than once."""
    n, confident, right = _bin_sums(confidence, correct, weights)
    return float(np.abs(confident - right).sum() / n.sum()) if n.sum() else float("nan")


def _bin_sums(confidence: np.ndarray, correct: np.ndarray, weights: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Number, summed confidence and number correct of each bin; bins are ``(low, high]``, a confidence of 0 falls into the first."""
    confidence, correct = np.asarray(confidence, float), np.asarray(correct, float)
    weights = np.ones(len(confidence)) if weights is None else np.asarray(weights, float)
    bins = np.clip(np.searchsorted(np.linspace(0, 1, N_BINS + 1), confidence, side="left") - 1, 0, N_BINS - 1)
    n, confident, right = (np.bincount(bins, weights * values, N_BINS) for values in (np.ones(len(bins)), confidence, correct))
    return n, confident, right
