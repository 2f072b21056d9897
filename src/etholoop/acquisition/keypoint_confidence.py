"""Animals that are there, with body points the model is not sure of."""

import numpy as np

from etholoop.acquisition._shared import Evidence, best_probabilities, per_frame
from etholoop.errors import EthoLoopError

MEANING = "share of the body points the model is unsure of, on animals it is sure of (0 = none, 1 = all)"


def score(evidence: Evidence, rng: np.random.Generator) -> np.ndarray:
    """(n,) mean over the k most doubtful animals of ``p · mean(1 - keypoint confidence)``, p = probability of the animal.

    A keypoint that was not placed (NaN) counts as confidence 0. Weighted by p, because a box that is no animal has no sure keypoints
    either. Keypoint confidence stays high when left and right are swapped, so it is one view among several.

    Raises:
        EthoLoopError: the model predicts no keypoints.
    """
    if not len(evidence.frame_of):
        return np.zeros(evidence.n_frames)
    if evidence.keypoint_confidences.size == 0:
        raise EthoLoopError(
            "select.acquisition 'keypoint_confidence' needs keypoints, and the predictions hold none. "
            "Choose another function, or name keypoints in label_studio/skeleton.yaml."
        )
    doubt = (1 - np.nan_to_num(evidence.keypoint_confidences, nan=0.0)).mean(axis=1)
    return per_frame(best_probabilities(evidence) * doubt, evidence)
