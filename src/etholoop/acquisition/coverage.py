"""Frames unlike anything labelled so far, and unlike each other."""

import numpy as np
from scipy.spatial.distance import cdist

from etholoop.acquisition._shared import Evidence
from etholoop.errors import EthoLoopError

MEANING = "how far the frame's picture is from the nearest one labelled or chosen before it"

MAX_PICKS = 256
"""More than any batch; after so many the rest keep their distance to the nearest of them, which is the same order."""


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
    priority[order] = _greedy(evidence.embeddings[order].astype(float), evidence.labelled_embeddings.astype(float))
    return priority


def _greedy(points: np.ndarray, known: np.ndarray) -> np.ndarray:
    priority = np.full(len(points), np.nan)
    if len(known):
        distance = cdist(points, known).min(axis=1)
    else:
        first = int(_distances(points, points.mean(axis=0)).argmin())
        distance = _distances(points, points[first])
        priority[first] = distance.max() * 1.001 + 1e-9  # before all others
        distance[first] = -1.0
    for _ in range(min(MAX_PICKS, int(np.isnan(priority).sum()))):
        pick = int(distance.argmax())
        priority[pick] = distance[pick]
        distance = np.minimum(distance, _distances(points, points[pick]))
        distance[pick] = -1.0
    return np.where(np.isnan(priority), distance, priority)


def _distances(points: np.ndarray, point: np.ndarray) -> np.ndarray:
    return cdist(points, point[None])[:, 0]
