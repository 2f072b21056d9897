"""Object keypoint similarity (OKS), as COCO defines it.

Source: the COCO keypoint evaluation, https://cocodataset.org/#keypoints-eval. For a labelled animal of area ``s²`` and a
keypoint at distance ``d`` with constant ``kappa = 2 sigma`` the similarity is ``exp(-d² / (2 s² kappa²))``; OKS is its mean
over the labelled keypoints (visibility 1 or 2).
"""

import numpy as np

from etholoop.core.metrics.matching import box_areas

BOX_TO_SEGMENT_AREA = 0.53
"""COCO's area is that of the animal's outline. Where only boxes are labelled, the box area times .53 stands for it, the usual
practice (Ultralytics does the same)."""


def outline_areas(boxes: np.ndarray) -> np.ndarray:
    """Areas (n,) that stand for the animals' outlines, from their boxes (n, 4) xyxy."""
    return box_areas(boxes) * BOX_TO_SEGMENT_AREA


def oks(predicted: np.ndarray, true: np.ndarray, boxes: np.ndarray, areas: np.ndarray, sigmas: np.ndarray) -> np.ndarray:
    """OKS of every pair, (n_predicted, n_true).

    Args:
        predicted: (n_predicted, K, ≥2) x, y; a point the model did not give is NaN and adds 0 to the mean.
        true: (n_true, K, 3) x, y, visibility; visibility 0 is left out of the mean.
        boxes: (n_true, 4) xyxy; an animal without any labelled keypoint is compared by how far the predicted points lie outside
            its box, doubled in size (COCO's rule for regions to ignore).
        areas: (n_true,) square pixels, see :func:`outline_areas`.
        sigmas: (K,) constants of the skeleton.
    """
    n_keypoints = len(sigmas)
    predicted = np.asarray(predicted, float).reshape(-1, n_keypoints, np.shape(predicted)[-1])[:, :, :2]
    true = np.asarray(true, float).reshape(-1, n_keypoints, 3)
    similarity = np.zeros((len(predicted), len(true)))
    variances = (np.asarray(sigmas, float) * 2) ** 2
    for column, (points, box, area) in enumerate(zip(true, np.asarray(boxes, float), np.asarray(areas, float), strict=True)):
        labelled = points[:, 2] > 0
        if labelled.any():
            offsets = predicted[:, labelled] - points[labelled, :2]  # (n_predicted, k, 2)
            spread = variances[labelled]
        else:
            offsets, spread = _outside(predicted, box), variances
        exponent = (offsets**2).sum(axis=2) / spread / (area + np.spacing(1)) / 2
        similarity[:, column] = np.nan_to_num(np.exp(-exponent), nan=0.0).mean(axis=1)
    return similarity


def _outside(points: np.ndarray, box: np.ndarray) -> np.ndarray:
    """How far points (n, K, 2) lie outside a box grown by its own size to each side; 0 inside."""
    low, size = box[:2], box[2:] - box[:2]
    return np.maximum(0, (low - size) - points) + np.maximum(0, points - (low + 2 * size))
