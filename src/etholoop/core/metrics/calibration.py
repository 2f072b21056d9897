"""Calibration: of the detections said with confidence .8, are 80 % right?

Expected calibration error (Guo et al. 2017, On Calibration of Modern Neural Networks): bins of equal width, the distance
between mean confidence and share of correct detections, weighted by the number of detections.
"""

import numpy as np
import pandas as pd

N_BINS = 15


def calibration_table(confidence: np.ndarray, correct: np.ndarray, weights: np.ndarray | None = None) -> pd.DataFrame:
    """One row per bin: low, high, n, mean confidence and share correct (NaN where the bin is empty).

    Bins are ``(low, high]``; a confidence of 0 falls into the first. ``weights`` (n,) count detections more than once.
    """
    weights = np.ones(len(confidence)) if weights is None else np.asarray(weights, float)
    edges = np.linspace(0, 1, N_BINS + 1)
    bins = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, N_BINS - 1)
    n = np.bincount(bins, weights, N_BINS)
    with np.errstate(invalid="ignore"):
        return pd.DataFrame(
            {
                "low": edges[:-1],
                "high": edges[1:],
                "n": n,
                "confidence": np.bincount(bins, weights * np.asarray(confidence, float), N_BINS) / n,
                "correct": np.bincount(bins, weights * np.asarray(correct, float), N_BINS) / n,
            }
        )


def expected_calibration_error(confidence: np.ndarray, correct: np.ndarray, weights: np.ndarray | None = None) -> float:
    """ECE between 0 and 1; NaN without detections."""
    table = calibration_table(confidence, correct, weights)
    filled = table[table["n"] > 0]
    if filled.empty:
        return float("nan")
    return float((filled["n"] * (filled["confidence"] - filled["correct"]).abs()).sum() / filled["n"].sum())
