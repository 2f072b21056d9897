"""IDF1: the share of boxes that are right when each animal gets the one track that suits it best over the whole video.

Source: Ristani et al. 2016, Performance Measures and a Data Set for Multi-Target, Multi-Camera Tracking, https://arxiv.org/abs/1609.01775.
"""

import numpy as np
from scipy.optimize import linear_sum_assignment

from etholoop.core.metrics._tracking_frames import Frames

IOU = 0.5
NEVER = 1e10


def identity_sums(frames: Frames) -> dict[str, float]:
    """Boxes right (``idtp``), missed (``idfn``) and false (``idfp``) of a video; those of several videos add up."""
    n_true, n_found = frames.shape
    together = np.zeros((n_true, n_found))
    for frame in frames:
        together[np.ix_(frame.true, frame.found)] += frame.iou >= IOU
    cost = np.zeros((n_true + n_found, n_true + n_found))  # each animal may also have no track, each track no animal
    cost[:n_true, :n_found] = frames.true_lengths[:, None] + frames.found_lengths[None, :] - 2 * together
    cost[:n_true, n_found:] = np.where(np.eye(n_true, dtype=bool), frames.true_lengths[:, None], NEVER)
    cost[n_true:, :n_found] = np.where(np.eye(n_found, dtype=bool), frames.found_lengths[None, :], NEVER)
    rows, columns = linear_sum_assignment(cost)
    paired = (rows < n_true) & (columns < n_found)
    right = float(together[rows[paired], columns[paired]].sum())
    return {"idtp": right, "idfn": float(frames.true_lengths.sum()) - right, "idfp": float(frames.found_lengths.sum()) - right}


def identity_figures(sums: dict[str, float]) -> dict[str, float]:
    """The figures of one or several videos; NaN where there is nothing to divide by."""
    right, missed, false = sums["idtp"], sums["idfn"], sums["idfp"]
    return {
        "IDF1": _share(2 * right, 2 * right + missed + false),
        "IDP": _share(right, right + false),
        "IDR": _share(right, right + missed),
    }


def _share(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")
