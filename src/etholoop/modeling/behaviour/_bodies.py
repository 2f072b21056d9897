"""Bodies as numbers: where an animal, its keypoints and the other animals are in a frame, for families that look at no pictures.

An array of bodies is (…, 1 + M, 5 + 3 K) float32: first the animal itself, then M others, always in the same order; each is its box
(x_min, y_min, x_max, y_max), its usual size, and x, y, confidence of each of K keypoints, all in pixels of the frame. NaN = not there.
"""

from dataclasses import dataclass

import numpy as np

BOX = slice(0, 4)
SIZE = 4
POINTS = 5
JITTER = 0.02
"""Standard deviation of spoiled keypoints, in body sizes."""

SEEN = 0.05
"""Keypoints less sure than this are not there."""


def n_keypoints(bodies: np.ndarray) -> int:
    """K of an array of bodies."""
    return (bodies.shape[-1] - POINTS) // 3


def present(clip: np.ndarray) -> np.ndarray:
    """A clip (t, 1 + M, 5 + 3 K) without the others that are in none of its moments; nothing is worked out of these."""
    there = np.isfinite(clip[..., BOX]).all(axis=-1).any(axis=0)
    there[0] = True
    return clip[:, there]


@dataclass(frozen=True)
class Placed:
    """Bodies as clips are computed from them, without gaps.

    ``centre`` (…, 2) of each body, NaN for others that are not there. ``points`` (…, K, 2): keypoints; where one is not known it lies
    where it last was in the box, for want of that in the middle of the box. ``seen`` (…, K) tells which were known. ``sides`` (…, 2):
    width and height of the box. ``size`` (…,): usual size of the animal itself.
    """

    centre: np.ndarray
    points: np.ndarray
    seen: np.ndarray
    sides: np.ndarray
    size: np.ndarray


def placed(clips: np.ndarray) -> Placed:
    """Clips of bodies (n, t, 1 + M, 5 + 3 K), gaps filled along t."""
    box = clips[..., BOX].astype(np.float64)
    middle = (box[..., :2] + box[..., 2:]) / 2
    points = clips[..., POINTS:].astype(np.float64).reshape(*clips.shape[:-1], n_keypoints(clips), 3)
    seen = np.isfinite(points[..., :2]).all(axis=-1) & ~(points[..., 2] < SEEN)
    # from the middle of the box: an animal that walks takes its hidden keypoints along
    away = _filled(np.where(seen[..., None], points[..., :2] - middle[..., None, :], np.nan))
    points = middle[..., None, :] + away
    centre = points.mean(axis=-2) if points.shape[-2] else middle
    size = np.maximum(clips[:, :, 0, SIZE].astype(np.float64), 1.0)
    return Placed(centre, points, seen, box[..., 2:] - box[..., :2], size)


def spoiled(clips: np.ndarray, rng: np.random.Generator, ends: tuple[int, int], share: float) -> np.ndarray:
    """The same bodies seen by a worse pose model: clips in which, for some moments, both ends are exchanged or a keypoint is not seen.

    A pose model knows the frames that it learnt from best; behaviour that is learnt from these alone is thrown by its errors elsewhere.

    Args:
        clips: (n, t, 1 + M, 5 + 3 K).
        ends: the keypoints that are taken for each other; negative for none.
        share: of the clips in which each of the errors occurs.
    """
    found = clips.copy()
    n, t, k = len(clips), clips.shape[1], n_keypoints(clips)
    points = found[..., POINTS:].reshape(*found.shape[:-1], k, 3)
    points[..., :2] += rng.normal(0, JITTER, points[..., :2].shape) * found[..., SIZE, None, None]
    for number in range(n):
        for body in range(points.shape[2]):
            if ends[0] >= 0 and rng.random() < share:
                part = _some(rng, t)
                points[number, part, body] = points[number, part, body][:, _exchanged(k, ends)]
            if k and rng.random() < share:
                points[number, _some(rng, t), body, rng.integers(k)] = np.nan
    found[..., POINTS:] = points.reshape(*found.shape[:-1], 3 * k)
    return found


def _some(rng: np.random.Generator, t: int) -> slice:
    """Up to half of the moments, in a row."""
    length = int(rng.integers(1, max(2, t // 2)))
    start = int(rng.integers(0, t - length + 1))
    return slice(start, start + length)


def _exchanged(k: int, ends: tuple[int, int]) -> list[int]:
    order = list(range(k))
    order[ends[0]], order[ends[1]] = ends[1], ends[0]
    return order


def _filled(away: np.ndarray) -> np.ndarray:
    """Gaps along t (axis 1) closed: the value before, or else the one after, or else 0."""
    known = np.isfinite(away).all(axis=-1, keepdims=True)
    n = away.shape[1]
    number = np.arange(n).reshape(1, n, *([1] * (away.ndim - 2)))
    last = np.maximum.accumulate(np.where(known, number, -1), axis=1)
    after = np.flip(np.minimum.accumulate(np.flip(np.where(known, number, n), axis=1), axis=1), axis=1)
    place = np.where(last >= 0, last, np.where(after < n, after, 0))
    return np.nan_to_num(np.take_along_axis(away, np.broadcast_to(place, (*place.shape[:-1], away.shape[-1])), axis=1))


def mirrored(clips: np.ndarray, mirror: tuple[int, ...]) -> np.ndarray:
    """The same bodies in a mirror; ``mirror`` (K,): the keypoint that each becomes. They lie elsewhere, which nothing depends on."""
    found = clips.copy()
    found[..., 0], found[..., 2] = -clips[..., 2], -clips[..., 0]
    points = found[..., POINTS:].reshape(*found.shape[:-1], n_keypoints(found), 3)
    points[..., 0] *= -1
    found[..., POINTS:] = points[..., list(mirror), :].reshape(*found.shape[:-1], 3 * len(mirror))
    return found
