"""Bodies: silhouettes followed in the pixels, and what they say for certain about detections.

Where as many separate silhouettes are in view as there are animals, each of them is one animal, and it stays one as long as it touches no
other. So two detections on it in one frame show one animal, two of different frames show the same one, and detections on two bodies that
are in view at the same time show two.
"""

import numpy as np
from numpy.typing import NDArray

from etholoop.core.tracking.detections import DetectionFrames

Index = NDArray[np.int64]

NO_BODY = -1

SEEN = 0.05
"""A body is an animal if it was detected in at least this share of its looks: reflections and shelters are not."""

OFTEN = 0.5
"""A body is one animal if in this share of its looks there are as many bodies as animals: a blink of one of them changes nothing."""


def one_animal_each(frames: DetectionFrames, body: Index, span: Index) -> Index:
    """``body`` (n,) where it is one animal for certain, else -1; all of them where the number of animals is unknown.

    Args:
        body: (n,) silhouette under each detection, -1 = none. ``span``: (B, 2) first and last frame of each silhouette.
    """
    nothing = np.full(frames.n, NO_BODY, dtype=np.int64)
    if frames.n_animals is None or not len(span):
        return nothing
    looks = np.unique(frames.frame) if frames.looked_at is None else frames.looked_at
    start, stop = np.searchsorted(looks, span[:, 0]), np.searchsorted(looks, span[:, 1], side="right")
    known = body >= 0
    pairs = np.unique(np.stack([body[known], frames.frame[known]], axis=1), axis=0)
    seen = np.bincount(pairs[:, 0], minlength=len(span))
    animal = (seen > 0) & (seen >= SEEN * (stop - start))
    count = np.zeros(len(looks) + 1, dtype=np.int64)
    np.add.at(count, start[animal], 1)
    np.add.at(count, stop[animal], -1)
    full = np.r_[0, np.cumsum(np.cumsum(count)[:-1] == frames.n_animals)]
    sure = animal & (full[stop] - full[start] >= OFTEN * (stop - start))
    return np.where(known & sure[body], body, NO_BODY)


def spare(frames: DetectionFrames) -> NDArray[np.bool_]:
    """(n,) detections of an animal that another one in the same frame shows better, by how well its box fits the silhouette."""
    if frames.body is None or frames.body_fit is None:
        return np.zeros(frames.n, dtype=bool)
    order = np.lexsort((-frames.confidence, -frames.body_fit, frames.body, frames.frame))
    body, frame = frames.body[order], frames.frame[order]
    again = np.zeros(frames.n, dtype=bool)
    again[order[1:]] = (body[1:] >= 0) & (body[1:] == body[:-1]) & (frame[1:] == frame[:-1])
    return again
