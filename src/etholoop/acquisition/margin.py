"""How close the model's second answer is to its first, box by box."""

import numpy as np

from etholoop.acquisition._shared import Evidence, best_probabilities, per_frame

MEANING = "how close the model's second answer is to its first (0 = far, 1 = a tie)"


def score(evidence: Evidence, rng: np.random.Generator) -> np.ndarray:
    """(n,) mean over the k most doubtful boxes of ``1 - (p_first - p_second)``.

    The answers are the classes and "nothing here", whose probability is ``1 - max p``: detectors give sigmoids, and without that answer
    a box of .05 against .03 would look like the hardest question of all. Margin on boxes: Brust, Käding & Denzler (2019).
    """
    if not len(evidence.probabilities):
        return np.zeros(evidence.n_frames)
    nothing = 1 - best_probabilities(evidence)
    answers = np.sort(np.column_stack([evidence.probabilities, nothing]), axis=1)
    return per_frame(1 - (answers[:, -1] - answers[:, -2]), evidence)
