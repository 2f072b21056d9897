"""Which clips a training sees: rare behaviours as often as the settings say, and the same ones for the same seed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from etholoop.modeling.behaviour._shared import Strip

Place = tuple[int, int]
"""Number of a strip and of a picture on it."""


@dataclass(frozen=True)
class Pool:
    """Labelled frames by class: ``members`` one (n, 2) array of places for each class that occurs, ``chance`` of each class."""

    classes: tuple[int, ...]
    members: tuple[np.ndarray, ...]
    chance: np.ndarray

    def draw(self, rng: np.random.Generator) -> Place:
        """A class by its chance, then one of its frames."""
        members = self.members[int(rng.choice(len(self.members), p=self.chance))]
        strip, place = members[int(rng.integers(len(members)))]
        return int(strip), int(place)


def pool_of(strips: Sequence[Strip], n_behaviours: int, balance: float) -> Pool:
    """Classes are the behaviours and, last, none of them; a frame with two behaviours is in both.

    Args:
        balance: 0 = frames come as often as they are labelled, 1 = every class equally often; the chance of a class of n frames is
            proportional to n ** (1 - balance).
    """
    found: list[list[np.ndarray]] = [[] for _ in range(n_behaviours + 1)]
    for number, strip in enumerate(strips):
        none = (strip.labels == 0).all(axis=1)
        for k in range(n_behaviours + 1):
            own = np.flatnonzero(none if k == n_behaviours else strip.labels[:, k] == 1)
            found[k].append(np.column_stack([np.full(len(own), number), own]))
    members = [np.concatenate(part) if part else np.zeros((0, 2), int) for part in found]
    classes = [k for k, part in enumerate(members) if len(part)]
    sizes = np.array([len(members[k]) for k in classes], float) ** (1 - balance)
    return Pool(tuple(classes), tuple(members[k] for k in classes), sizes / sizes.sum())


def spread(pool: Pool, n: int) -> list[Place]:
    """About ``n`` places, evenly over the classes and over the frames of each; for validation."""
    share = max(1, n // max(1, len(pool.classes)))
    found: dict[Place, None] = {}
    for members in pool.members:
        rows = np.unique(np.linspace(0, len(members) - 1, min(share, len(members))).round().astype(int))
        found.update(dict.fromkeys((int(strip), int(place)) for strip, place in members[rows]))
    return sorted(found)


def clip_of(strip: Strip, place: int, offsets: np.ndarray) -> np.ndarray:
    """Pictures (t, h, w, 3) around one; beyond an end the last one is repeated."""
    return np.asarray(strip.images[np.clip(place + offsets, 0, len(strip.images) - 1)])


def label_of(strip: Strip, place: int, offsets: np.ndarray, union: bool) -> np.ndarray:
    """Label (K,) of a clip: that of its middle frame, or (KABR's way) of all its frames together."""
    if not union:
        return strip.labels[place]
    own = strip.labels[np.clip(place + offsets, 0, len(strip.labels) - 1)]
    return np.where((own == 1).any(axis=0), 1, strip.labels[place]).astype(np.int8)
