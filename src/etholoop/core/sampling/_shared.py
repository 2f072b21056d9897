"""What all sampling strategies share: the footage they choose from, the quota of each source, and the table they return.

A strategy is one file of this package with

* ``class Params(Section)``: its settings. A setting ``frame_skip`` says that only every so many frames of a video are looked at.
* ``FEATURES``: None when it needs no pixels; otherwise the version of its features, to be changed with their code.
* ``features(images) -> (n, d)``: what it keeps of the looked-at images (RGB uint8, in order), one row each. Only with ``FEATURES``.
* ``CONTEXT`` (default 0): how many images before it a row of features depends on. Long videos are looked at in pieces, and each
  piece is given so many images of the one before; the rows must be the same as if the video were looked at as a whole.
* ``sample(footage, features, n_frames, *, max_per_video, params, seed) -> table`` with the columns of :data:`COLUMNS`:
  at most ``n_frames`` rows in all and ``max_per_video`` (None = no limit) of one source. The order of ``footage`` has no influence.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

COLUMNS = ("video_id", "frame", "reason", "cluster", "score")

Features = Mapping[str, tuple[NDArray[np.int64], NDArray]]
"""Of each source: the frames that were looked at, and their features, one row each."""


@dataclass(frozen=True)
class Footage:
    """One source: its id and the frames that exist in it, ascending."""

    video_id: str
    frames: NDArray[np.int64]


def in_order(footage: Iterable[Footage]) -> list[Footage]:
    """The sources by id, so that the order they came in has no influence."""
    return sorted(footage, key=lambda source: source.video_id)


def dealt(footage: Iterable[Footage], n_frames: int, max_per_video: int | None) -> list[tuple[Footage, int]]:
    """The sources by id, each with its number of picks, in proportion to its number of frames (see :func:`quotas`)."""
    sources = in_order(footage)
    return list(zip(sources, quotas([len(source.frames) for source in sources], n_frames, max_per_video), strict=True))


def quotas(sizes: Sequence[int], n: int, largest: int | None = None) -> list[int]:
    """Deal ``n`` picks to sources in proportion to their sizes, by largest remainder (ties: the earlier source).

    No source gets more than its size or than ``largest``; what it cannot take goes to the others. Where there are picks
    enough, every source that has frames gets at least one.
    """
    limits = [size if largest is None else min(size, largest) for size in sizes]
    n = min(n, sum(limits))
    shares = [0] * len(limits)
    unsettled, left = [i for i, limit in enumerate(limits) if limit], n
    while unsettled:
        dealt = dict(zip(unsettled, _largest_remainder([sizes[i] for i in unsettled], left), strict=True))
        full = [i for i in unsettled if dealt[i] > limits[i]]
        for i in full or unsettled:
            shares[i] = min(dealt[i], limits[i])
            left -= shares[i]
        unsettled = [i for i in unsettled if full and i not in full]
    return _at_least_one(shares, limits) if n >= sum(limit > 0 for limit in limits) else shares


def _at_least_one(shares: list[int], limits: list[int]) -> list[int]:
    """Give one pick of the largest share to each source that has frames but no pick."""
    for i, limit in enumerate(limits):
        if limit and not shares[i]:
            shares[max(range(len(shares)), key=lambda j: shares[j])] -= 1
            shares[i] = 1
    return shares


def _largest_remainder(weights: Sequence[int], n: int) -> list[int]:
    """Shares of ``n`` proportional to ``weights``, in whole numbers that add up to ``n``; exact integer arithmetic."""
    total = sum(weights)
    shares = [weight * n // total for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda i: (-(weights[i] * n % total), i))
    for i in by_remainder[: n - sum(shares)]:
        shares[i] += 1
    return shares


def spread(n_items: int, n_picks: int) -> NDArray[np.int64]:
    """Positions of ``n_picks`` evenly spaced items out of ``n_items``: the middles of equal parts."""
    return (2 * np.arange(n_picks, dtype=np.int64) + 1) * n_items // (2 * max(n_picks, 1))


def rng_of(seed: int, name: str) -> np.random.Generator:
    """A random stream that depends on the seed and a name only, so that no other source can shift it."""
    digest = hashlib.sha256(f"{seed}|{name}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))


def picks_table(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Picks in the agreed columns and types, sorted by source and frame; works for no rows too."""
    table = pd.DataFrame(list(rows), columns=list(COLUMNS))
    types = {"video_id": "str", "frame": "int64", "reason": "str", "cluster": "Int64", "score": "float64"}
    return table.astype(types).sort_values(["video_id", "frame"], ignore_index=True)
