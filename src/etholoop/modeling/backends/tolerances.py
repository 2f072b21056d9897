"""How far another backend may answer from torch, and the comparison itself: the one place for these numbers.

Numbers of 32 bits added in another order differ by some 1e-6 of their size; a network carries that on to some 1e-3 px of a place.
The tolerances leave room for other processors and still lie far below what anybody could see.
"""

from collections.abc import Iterable, Mapping

import numpy as np

TOLERANCES = {
    "box_px": 0.05,
    "probability": 1e-3,
    "keypoint_px": 0.05,
    "keypoint_confidence": 1e-3,
    "embedding": 1e-3,
    "heatmap": 1e-3,
}
"""Largest differences: boxes and keypoints in pixels of the image that the network sees, the embedding in shares of its largest value,
heatmaps (probabilities of single places) of the refiner."""

SURE = 0.5
"""Animals of at least this confidence are compared where a network has 8 bits."""

SAME_IOU = 0.5
"""Overlap from which two boxes of one species are the same animal."""

INT8_TOLERANCES = {"sure_animals_lost": 0.1, "sure_animals_new": 0.1, "box_ap_lost": 0.01, "oks_ap_lost": 0.01}
"""Numbers of 8 bits differ everywhere, so what they cost is compared: shares of torch's sure animals that 8 bits do not find at half that
confidence, and of the sure animals of 8 bits that torch does not find at half; and average precision on labelled frames of the project."""

Answer = Mapping[str, np.ndarray]


def largest_differences(pairs: Iterable[tuple[Answer, Answer]]) -> dict[str, float]:
    """The largest difference of each kind over pairs of answers (torch's first); NaN or another shape counts as infinite."""
    found: dict[str, float] = {}
    for expected, given in pairs:
        for name, values in expected.items():
            found[name] = max(found.get(name, 0.0), _largest(np.asarray(values, float), np.asarray(given[name], float), name))
    return found


def _largest(expected: np.ndarray, given: np.ndarray, name: str) -> float:
    if expected.shape != given.shape:
        return float("inf")
    if not expected.size:
        return 0.0
    difference = float(np.abs(expected - given).max())
    if name == "embedding":
        difference /= max(float(np.abs(expected).max()), 1e-9)
    return difference if np.isfinite(difference) else float("inf")


def beyond(differences: Mapping[str, float], tolerances: Mapping[str, float]) -> list[str]:
    """Sentences about the differences that are too large."""
    return [
        f"{name} differs by {value:.2g}, at most {tolerances[name]:g} is allowed"
        for name, value in differences.items()
        if not value <= tolerances[name]
    ]
