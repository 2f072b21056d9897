"""Which labelled frames a classifier learns from, and the values of the pairs of pictures that their clips need."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from etholoop.core.bouts import MULTICLASS
from etholoop.core.bouts.intervals import intervals_of
from etholoop.errors import EthoLoopError
from etholoop.modeling.behaviour._motion_pairs import N_COLUMNS, Look, of_pair
from etholoop.modeling.behaviour._shared import Strip


def chosen_frames(strips: Sequence[Strip], head: str, *, per_bout: int, most: int) -> list[np.ndarray]:
    """Frames of each strip that are learnt from: evenly over each stretch of equal labels, at most ``most`` in all."""
    found = [_of_strip(strip.labels, head, per_bout) for strip in strips]
    n = sum(map(len, found))
    if n <= most:
        return found
    kept = np.zeros(n, bool)
    kept[np.unique(np.linspace(0, n - 1, most).round().astype(int))] = True
    parts = np.split(kept, np.cumsum([len(frames) for frames in found])[:-1])
    return [frames[own] for frames, own in zip(found, parts, strict=True)]


def _of_strip(labels: np.ndarray, head: str, per_bout: int) -> np.ndarray:
    n_known = (labels >= 0).sum(axis=1)
    usable = n_known == labels.shape[1] if head == MULTICLASS else n_known > 0
    if head == MULTICLASS:
        usable &= (labels == 1).sum(axis=1) <= 1
    frames: list[np.ndarray] = []
    for start, stop in intervals_of(usable):
        edges = np.flatnonzero((labels[start + 1 : stop] != labels[start : stop - 1]).any(axis=1)) + start + 1
        for a, b in pairwise([start, *edges.tolist(), stop]):
            frames.append(np.unique(np.linspace(a, b - 1, min(per_bout, b - a)).round().astype(np.int64)))
    return np.concatenate(frames) if frames else np.zeros(0, np.int64)


def groups_of_strips(frames: Sequence[np.ndarray]) -> np.ndarray:
    """What is held out together (n,): strips, or of one or two long ones four parts each."""
    numbers = np.concatenate([np.full(len(own), number) for number, own in enumerate(frames)])
    if sum(len(own) > 0 for own in frames) > 2:
        return numbers
    parts = np.concatenate([np.arange(len(own)) * 4 // max(1, len(own)) for own in frames])
    return np.asarray(numbers * 4 + parts)


def clips_of_strip(strip: Strip, frames: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Values (n, t, N_COLUMNS) of the clips around ``frames`` (n,), as in use; ``offsets`` (t + 1,) begin one picture before the clip.

    Raises:
        EthoLoopError: the strip does not say which windows its pictures show.
    """
    if strip.windows is None:
        raise EthoLoopError("the motion family learns from pictures with their windows; this strip has none.")
    places = np.clip(frames[:, None] + offsets[None], 0, len(strip.images) - 1)
    needed = np.unique(np.stack([places[:, :-1], places[:, 1:]], axis=-1).reshape(-1, 2), axis=0)
    needed = needed[np.lexsort((needed[:, 0], needed[:, 1]))]
    values = np.zeros((len(needed), N_COLUMNS), np.float32)
    looks: dict[int, Look] = {}
    for number, (before, now) in enumerate(needed.tolist()):
        for place in (before, now):
            if place not in looks:
                looks[place] = Look(np.asarray(strip.images[[place]])[0], strip.windows[place])
        values[number] = of_pair(looks[before], looks[now])
        # pairs come by their later picture: what lies far behind is not needed again
        for place in [place for place in looks if place < before]:
            del looks[place]
    number_of = {pair: number for number, pair in enumerate(map(tuple, needed.tolist()))}
    at = [[number_of[pair] for pair in pairwise(row)] for row in places.tolist()]
    return values[np.array(at, np.int64).reshape(len(frames), len(offsets) - 1)]


def targets_of(labels: np.ndarray, n_outputs: int) -> np.ndarray:
    """Labels (n, K) as targets (n, n_outputs); a column more is none of the behaviours."""
    if n_outputs == labels.shape[1]:
        return labels
    return np.column_stack([labels, (labels == 0).all(axis=1)]).astype(np.int8)
