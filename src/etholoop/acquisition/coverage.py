"""Frames unlike anything labelled so far, and unlike each other."""

import numpy as np

from etholoop.acquisition._shared import Evidence, farthest_first
from etholoop.errors import EthoLoopError

MEANING = "how far the frame's picture is from the nearest one labelled or chosen before it"


def score(evidence: Evidence, rng: np.random.Generator) -> np.ndarray:
    """(n,) distance to the nearest labelled or earlier chosen frame, at the moment a frame is chosen (k-center greedy).

    Sequential: the frame with the highest priority was chosen first, and the priority of the next counts it as known. The values fall,
    so sorting by priority gives the order of choosing. Without labelled frames the first choice is the most ordinary frame (nearest to
    the mean). Sener & Savarese (2018).

    Raises:
        EthoLoopError: no embeddings.
    """
    if not evidence.n_frames:
        return np.zeros(0)
    if evidence.embeddings.shape[1] == 0 or len(evidence.embeddings) != evidence.n_frames:
        raise EthoLoopError(
            "select.acquisition 'coverage' needs an embedding of every frame, and the predictions hold none. Choose another function."
        )
    order = evidence.by_name()
    priority = np.empty(evidence.n_frames)
    priority[order] = farthest_first(evidence.embeddings[order].astype(float), evidence.labelled_embeddings.astype(float))
    return priority
