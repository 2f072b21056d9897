"""KABR's protocol: animals cut into segments of 90 frames, one label and one prediction for each.

KABR's published figures (61.9 % macro, 86.7 % micro) are per-class and per-instance accuracy on such segments of its validation folders.
The code that computed them is not public, so two readings are offered: ``majority`` (the segment's label is the behaviour of most of
its known frames; of equally many the first of the ethogram) and ``union`` (any behaviour that occurs in it is right, as its training data
marks all of them). The prediction is the behaviour with the highest mean score.
"""

from collections.abc import Callable, Sequence

import numpy as np

from etholoop.core.metrics.behaviour import Judged
from etholoop.errors import EthoLoopError

READINGS = ("majority", "union")


def segment_counts(
    animals: Sequence[Judged], videos: Sequence[str], n_behaviours: int, length: int = 90, reading: str = "majority"
) -> np.ndarray:
    """(V, K, 2): segments of each behaviour that were right, and all of them. Segments without a known, scored behaviour do not count.

    Under ``union`` a segment counts once for each behaviour that occurs in it, and is right for the one that was predicted, if it occurs:
    of two behaviours in a segment at most one can be right.

    Raises:
        EthoLoopError: no such reading.
    """
    if reading not in READINGS:
        raise EthoLoopError(f"unknown reading '{reading}' of the segments' labels; known: {', '.join(READINGS)}")
    counts = np.zeros((len(videos), n_behaviours, 2))
    place = {video_id: number for number, video_id in enumerate(videos)}
    for animal in animals:
        for start in range(0, len(animal.truth), length):
            piece = slice(start, start + length)
            seen = (animal.truth[piece] >= 0).all(axis=1) & np.isfinite(animal.scores[piece]).all(axis=1)
            frames = (animal.truth[piece][seen] == 1).sum(axis=0)
            if frames.sum():
                said = int(animal.scores[piece][seen].mean(axis=0).argmax())
                occurring = [int(frames.argmax())] if reading == "majority" else np.flatnonzero(frames).tolist()
                counts[place[animal.video_id], occurring, 1] += 1
                counts[place[animal.video_id], said, 0] += said in occurring
    return counts


def segment_figures(counts: np.ndarray) -> Callable[[np.ndarray], dict[str, float]]:
    """A function of how often each video counts (V,) → micro (per instance) and macro (per class) accuracy; NaN without segments."""

    def figures(weights: np.ndarray) -> dict[str, float]:
        right, all_ = np.tensordot(weights, counts, 1).T
        occurs = all_ > 0
        if not occurs.any():
            return {"segment_accuracy_micro": float("nan"), "segment_accuracy_macro": float("nan")}
        return {
            "segment_accuracy_micro": float(right.sum() / all_.sum()),
            "segment_accuracy_macro": float((right[occurs] / all_[occurs]).mean()),
        }

    return figures
