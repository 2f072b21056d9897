"""What goes into and comes out of every pose model, whatever the library behind it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

Progress = Callable[[int, int, dict[str, float]], None]
"""Called after each epoch with (epoch from 1, number of epochs, figures of that epoch)."""


@dataclass(frozen=True)
class LabelledImage:
    """One labelled image.

    ``boxes`` (n, 4) xyxy and ``keypoints`` (n, K, 3) x, y, visibility are pixels of the image file;
    a missing keypoint has NaN coordinates and visibility 0. ``classes`` (n,) index the skeleton's species.
    """

    path: Path
    boxes: np.ndarray
    classes: np.ndarray
    keypoints: np.ndarray


@dataclass(frozen=True)
class Prediction:
    """Animals found in one image, by falling confidence.

    ``boxes`` (n, 4) xyxy pixels; ``probabilities`` (n, C) of every class, not only the winner;
    ``keypoints`` (n, K, 3) x, y pixels and confidence; ``embedding`` (D,) pooled backbone features of the whole image.
    """

    boxes: np.ndarray
    probabilities: np.ndarray
    keypoints: np.ndarray
    embedding: np.ndarray


@dataclass(frozen=True)
class TrainResult:
    """Outcome of a training: figures for the metrics file and one dictionary per epoch for the curves."""

    metrics: dict[str, float]
    curves: list[dict[str, float]]
    notes: list[str] = field(default_factory=list)
    """Sentences people should read, for example which pretrained layers were and were not loaded."""
