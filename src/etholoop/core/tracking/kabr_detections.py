"""Which detections kabr-tools keeps, and in which form: whole pixels, two decimals, its own labels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from etholoop.core.metrics.matching import box_iou, by_falling_confidence

TARGET_LABELS = ("zebra", "horse", "giraffe")
LABEL_MAP = {"horse": "zebra"}
"""COCO knows no other animals of KABR, and its zebras are often horses from above."""


@dataclass(frozen=True)
class Kept:
    """The detections of one frame that count.

    ``row``: which they were; ``box``: (k, 4) xyxy, cut to whole pixels; ``label``: as written.
    """

    row: NDArray[np.int64]
    box: NDArray[np.int64]
    confidence: NDArray[np.float64]
    label: list[str]


def kept(
    box: NDArray[np.floating],
    confidence: NDArray[np.floating],
    labels: Sequence[str],
    *,
    target_labels: Sequence[str] = TARGET_LABELS,
    label_map: Mapping[str, str] = LABEL_MAP,
    above: float = 0.5,
) -> Kept:
    """Detections of wanted labels with a confidence above ``above``, in their order.

    Args:
        box: (n, 4) xyxy in pixels.
        labels: (n,) as the detector calls them; ``label_map`` renames, and a capital letter comes first.
    """
    wanted = [row for row, label in enumerate(labels) if confidence[row] > above and label in target_labels]
    rows = np.array(wanted, np.int64)
    return Kept(
        row=rows,
        box=np.asarray(box)[rows].reshape(-1, 4).astype(np.int64),
        confidence=np.array([round(float(confidence[row]), 2) for row in wanted], float),
        label=[label_map.get(labels[row], labels[row]).capitalize() for row in wanted],
    )


def without_doubles(box: NDArray[np.floating], confidence: NDArray[np.floating], iou: float) -> NDArray[np.int64]:
    """Rows left by non-maximum suppression over all classes together, by falling confidence.

    Of two boxes that overlap more than ``iou`` the less confident goes.
    """
    order = by_falling_confidence(confidence)
    overlap = box_iou(box[order], box[order])
    left: list[int] = []
    for place in range(len(order)):
        if not (overlap[place, left] > iou).any():
            left.append(place)
    return order[np.array(left, np.int64)]
