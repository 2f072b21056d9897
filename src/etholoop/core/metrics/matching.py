"""Which prediction stands for which labelled animal: box overlap and COCO's greedy matching."""

import numpy as np


def box_iou(boxes_a: np.ndarray, boxes_b: np.ndarray) -> np.ndarray:
    """Intersection over union of every pair: (n, 4) and (m, 4) xyxy give (n, m); boxes without area overlap with nothing."""
    boxes_a, boxes_b = np.asarray(boxes_a, float).reshape(-1, 4), np.asarray(boxes_b, float).reshape(-1, 4)
    low = np.maximum(boxes_a[:, None, :2], boxes_b[None, :, :2])
    high = np.minimum(boxes_a[:, None, 2:], boxes_b[None, :, 2:])
    overlap = np.clip(high - low, 0, None).prod(axis=2)
    union = box_areas(boxes_a)[:, None] + box_areas(boxes_b)[None, :] - overlap
    return np.divide(overlap, union, out=np.zeros_like(overlap), where=union > 0)


def box_areas(boxes: np.ndarray) -> np.ndarray:
    """Areas (n,) of xyxy boxes (n, 4); inverted boxes have area 0."""
    boxes = np.asarray(boxes, float).reshape(-1, 4)
    return np.clip(boxes[:, 2] - boxes[:, 0], 0, None) * np.clip(boxes[:, 3] - boxes[:, 1], 0, None)


def by_falling_confidence(confidence: np.ndarray) -> np.ndarray:
    """Order of predictions, most confident first; equal ones keep their order, as in COCO."""
    return np.argsort(-np.asarray(confidence, float), kind="stable")


def match_greedy(similarity: np.ndarray, threshold: float, ignored: np.ndarray | None = None) -> np.ndarray:
    """Labelled animal of each prediction, -1 for none: COCO's rule for one image and one class.

    Args:
        similarity: (n_predicted, n_true) IoU or OKS; rows by falling confidence, because the confident choose first.
        threshold: least similarity of a match; the most similar free animal at or above it is taken, the later one among equals.
        ignored: (n_true,) animals that count neither as found nor as missed; taken only where no counting animal fits.
    """
    n_predicted, n_true = similarity.shape
    ignored = np.zeros(n_true, bool) if ignored is None else np.asarray(ignored, bool)
    match = np.full(n_predicted, -1)
    free = np.ones(n_true, bool)
    for row in range(n_predicted):
        fits = free & (similarity[row] >= min(threshold, 1 - 1e-10))
        fits = fits & ~ignored if (fits & ~ignored).any() else fits
        if not fits.any():
            continue
        candidates = np.flatnonzero(fits)
        best = candidates[similarity[row, candidates] == similarity[row, candidates].max()][-1]
        match[row], free[best] = best, False
    return match
