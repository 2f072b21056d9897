"""Other colours as a step of Ultralytics' augmentations."""

import random
from typing import Any

import numpy as np

from etholoop.modeling.recolour import recoloured


class Recolour:
    """Recolours a share of the training images; labels stay as they are."""

    def __init__(self, share: float):
        self.share = share

    def __call__(self, labels: dict[str, Any]) -> dict[str, Any]:
        if self.share and random.random() < self.share:
            labels["img"] = recoloured(labels["img"], np.random.default_rng(random.getrandbits(32)))
        return labels
