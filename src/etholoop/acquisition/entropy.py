"""How many yes-or-no questions about the classes of a box are open."""

import numpy as np

from etholoop.acquisition._shared import Evidence, per_frame

MEANING = "open yes-or-no questions about the class of each animal, in bits (0 = none)"


def score(evidence: Evidence, rng: np.random.Generator) -> np.ndarray:
    """(n,) mean over the k most doubtful boxes of the binary entropies of all classes, summed, in bits.

    Detectors give one sigmoid per class, so each class is its own question; the entropy of a softmax does not apply.
    """
    p = np.clip(evidence.probabilities.astype(float), 1e-12, 1 - 1e-12)
    bits = -(p * np.log2(p) + (1 - p) * np.log2(1 - p))
    return per_frame(bits.sum(axis=1), evidence)
