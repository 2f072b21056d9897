"""The refiner that refines nothing: keypoints stay where the detector put them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from etholoop.modeling.records import LabelledImage, Progress, TrainResult
from etholoop.modeling.refiners._identity_settings import Params
from etholoop.schema.skeleton import Skeleton

__all__ = ["VERSION", "Params", "Refiner", "train"]

VERSION = 1


def train(
    images: Sequence[LabelledImage],
    validation: Sequence[LabelledImage],
    skeleton: Skeleton,
    params: Params,
    *,
    seed: int,
    out: Path,
    scratch: Path,
    init_weights: Path | None = None,
    progress: Progress | None = None,
) -> TrainResult:
    """Nothing is learnt and no weights are written; ``out`` will not exist."""
    return TrainResult({}, [], ["The refiner 'identity' has nothing to learn."])


class Refiner:
    """Gives every keypoint back as it came."""

    @classmethod
    def load(cls, path: Path, device: str = "cpu") -> "Refiner":
        """``path`` is not read: there are no weights."""
        return cls()

    def refine(self, image: np.ndarray, boxes: np.ndarray, keypoints: np.ndarray) -> np.ndarray:
        """A copy of ``keypoints``."""
        return keypoints.copy()
