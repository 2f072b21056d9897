"""What every acquisition function is given, and the one way in which boxes become a frame's priority."""

from dataclasses import dataclass, field

import numpy as np
from scipy.spatial.distance import cdist

DEFAULT_ANIMALS = 5
"""How many animals of a frame count when the skeleton does not say how many are expected."""

MAX_PICKS = 256
"""More than any batch; after so many farthest-first choices the rest keep their distance to the nearest, which is the same order."""


def _no_numbers(*shape: int) -> np.ndarray:
    return np.zeros(shape)


@dataclass(frozen=True)
class Evidence:
    """What a model says about the candidate frames.

    Candidates, one row each: ``video_ids`` (n,), ``frames`` (n,), ``embeddings`` (n, D).
    Animals found in them, one row each, in any order: ``frame_of`` (m,) row of the candidate, ``probabilities`` (m, C) of every class
    (sigmoids: they need not sum to one), ``keypoint_confidences`` (m, K) with NaN for a keypoint that was not placed, ``boxes`` (m, 4)
    xyxy in source pixels. ``labelled_embeddings`` (l, D) are the frames that people labelled already. ``n_animals`` is the number
    expected in view, None = unknown.
    """

    video_ids: np.ndarray
    frames: np.ndarray
    frame_of: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=int))
    probabilities: np.ndarray = field(default_factory=lambda: _no_numbers(0, 1))
    keypoint_confidences: np.ndarray = field(default_factory=lambda: _no_numbers(0, 0))
    boxes: np.ndarray = field(default_factory=lambda: _no_numbers(0, 4))
    embeddings: np.ndarray = field(default_factory=lambda: _no_numbers(0, 0))
    labelled_embeddings: np.ndarray = field(default_factory=lambda: _no_numbers(0, 0))
    n_animals: int | None = None

    def __post_init__(self) -> None:
        lengths = {
            "probabilities": len(self.probabilities),
            "keypoint_confidences": len(self.keypoint_confidences),
            "boxes": len(self.boxes),
        }
        wrong = [f"{name} has {length} rows" for name, length in lengths.items() if length not in (0, len(self.frame_of))]
        if len(self.video_ids) != len(self.frames):
            wrong.append(f"video_ids has {len(self.video_ids)} rows and frames {len(self.frames)}")
        if len(self.frame_of) and not 0 <= self.frame_of.min() <= self.frame_of.max() < len(self.frames):
            wrong.append(f"frame_of points outside the {len(self.frames)} candidates")
        if wrong:
            raise ValueError(f"evidence does not fit together ({len(self.frame_of)} animals): {'; '.join(wrong)}")

    @property
    def n_frames(self) -> int:
        return len(self.frames)

    def by_name(self) -> np.ndarray:
        """Positions of the candidates sorted by video and frame: the order in which anything random or sequential must work."""
        return np.lexsort((self.frames, self.video_ids.astype(str)))


def best_probabilities(evidence: Evidence) -> np.ndarray:
    """(m,) probability that each box holds an animal of any class: that of its most probable class."""
    return evidence.probabilities.max(axis=1) if len(evidence.probabilities) else np.zeros(0)


def per_frame(doubts: np.ndarray, evidence: Evidence) -> np.ndarray:
    """(n,) mean of the k largest doubts of each frame; k = expected number of animals, places without a box count 0.

    The mean over a fixed k keeps one scale for empty and crowded frames: a plain sum would ask for crowds and their many weak boxes
    (field notes on detection). A frame without boxes has no doubt here; ``count_mismatch`` and the random share look for those.
    """
    k = evidence.n_animals or DEFAULT_ANIMALS
    order = np.lexsort((-doubts, evidence.frame_of))
    frame_of, sorted_doubts = evidence.frame_of[order], doubts[order]
    place = np.arange(len(order)) - np.searchsorted(frame_of, frame_of)
    top = place < k
    return np.bincount(frame_of[top], weights=sorted_doubts[top], minlength=evidence.n_frames) / k


def farthest_first(points: np.ndarray, known: np.ndarray) -> np.ndarray:
    """(n,) distance of each point to the nearest known or earlier chosen one when it is chosen; the farthest is chosen next.

    Args:
        points: (n, D), in an order that does not depend on that of any table, because ties go to the first.
        known: (l, D); without any the first choice is the point nearest to the mean.
    """
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
