"""Quarter turns for cameras from above.

Turning by any angle (``degrees``) makes every box the box around a turned box, which is too large; a network trained on such
boxes never gets them tight. Quarter turns, with the two flips, give all eight views without touching a box's tightness.
"""

import random
from typing import Any

import numpy as np


class QuarterTurn:
    """Turns a share of the training images by 90° counter-clockwise; images that are not square are left as they are."""

    def __init__(self, share: float):
        self.share = share

    def __call__(self, labels: dict[str, Any]) -> dict[str, Any]:
        image = labels["img"]
        if image.shape[0] != image.shape[1] or random.random() >= self.share:
            return labels
        instances = labels["instances"]
        side = 1 if instances.normalized else image.shape[0]
        instances.convert_bbox("xyxy")
        keypoints = instances.keypoints
        turned = None if keypoints is None else turn_points(keypoints, side)
        instances.update(turn_boxes(instances.bboxes, side), keypoints=turned)
        labels["img"] = np.ascontiguousarray(np.rot90(image))
        return labels


def turn_boxes(boxes: np.ndarray, side: float) -> np.ndarray:
    """(n, 4) xyxy boxes after ``np.rot90`` of a square image: x becomes y, y becomes side - x."""
    return np.stack([boxes[:, 1], side - boxes[:, 2], boxes[:, 3], side - boxes[:, 0]], axis=1)


def turn_points(points: np.ndarray, side: float) -> np.ndarray:
    """(n, K, 2 or 3) points after ``np.rot90``; visibility is kept."""
    turned = points.copy()
    turned[..., 0], turned[..., 1] = points[..., 1], side - points[..., 0]
    return turned
