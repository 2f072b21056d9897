"""Evenly over recordings and time: what a careful person would take without a model, and a yardstick like ``random``."""

import numpy as np

from etholoop.acquisition._shared import Evidence, farthest_first

MEANING = "its turn, when recordings and times within them are visited as evenly as can be (1 = first)"


def score(evidence: Evidence, rng: np.random.Generator) -> np.ndarray:
    """(n,) ``1 - place / n``: each choice is the frame farthest from those chosen before it, first in recordings, then in time."""
    if not evidence.n_frames:
        return np.zeros(0)
    order = evidence.by_name()
    videos, frames = evidence.video_ids[order].astype(str), evidence.frames[order].astype(float)
    names, number = np.unique(videos, return_inverse=True)
    last = np.array([frames[number == video].max() for video in range(len(names))])
    # two recordings are farther apart (2 sqrt 2) than any two frames of one (at most 1)
    points = np.column_stack([frames / (last[number] + 1), 2.0 * np.eye(len(names))[number]])
    place = np.empty(len(order))
    place[np.argsort(-farthest_first(points, np.zeros((0, points.shape[1]))), kind="stable")] = np.arange(len(order))
    priority = np.empty(len(order))
    priority[order] = 1 - place / len(order)
    return priority
