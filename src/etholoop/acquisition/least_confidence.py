"""How far the model is from being sure, box by box."""

import numpy as np

from etholoop.acquisition._shared import Evidence, best_probabilities, per_frame

MEANING = "how unsure the model is whether its boxes hold an animal (0 = sure, 1 = as likely as not)"


def score(evidence: Evidence, rng: np.random.Generator) -> np.ndarray:
    """(n,) mean over the k most doubtful boxes of ``2 min(p, 1 - p)``, p = probability of the best class.

    ``1 - max p`` in its usual form asks for boxes with p near 0, which a detector means as "nothing here"; with sigmoid outputs the
    surest of the two statements "an animal" and "nothing" is the confidence.
    """
    best = best_probabilities(evidence)
    return per_frame(2 * np.minimum(best, 1 - best), evidence)
