"""What a clip of bodies shows: posture in the animal's own words, movement, and where the others are and go. Lengths in body sizes.

Ideas of the field: distances and angles of keypoints and their change (B-SOiD, Hsu & Yttri 2021), features of one animal in the frame of
another (MARS, Segalin et al. 2021; JAABA, Kabra et al. 2013), windows of several lengths (JAABA). That one goes where another has been
shortly before is what following looks like, whatever the distance.
"""

from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from etholoop.modeling.behaviour._bodies import Placed, placed

FAR = 6.0
"""Body sizes: others are at most so far away; where there is none it is so far."""

LAGS = (1, 3, 6)
"""Steps over which movement is measured, forwards and backwards."""

TRAIL = range(4, 31, 3)
"""Steps back at which others may have been where the animal is now."""

MANY = 6
"""With more keypoints only distances to the front and to the rear are words of their own."""


@dataclass(frozen=True)
class Axis:
    """Keypoints at the ``rear`` and the ``front`` of the animal; -1 for both where there are fewer than two: then its way is its axis."""

    rear: int
    front: int


def learn_axis(clips: np.ndarray) -> Axis:
    """The two keypoints that are usually farthest apart, the front one that which goes ahead when the animal walks.

    Args:
        clips: bodies (n, t, 1 + M, 5 + 3 K).
    """
    own = placed(clips[:, :, :1])
    k = own.points.shape[-2]
    if k < 2:
        return Axis(-1, -1)
    points, size = own.points[:, :, 0], own.size[..., None]
    pairs = list(combinations(range(k), 2))
    apart = [np.median(np.linalg.norm(points[..., i, :] - points[..., j, :], axis=-1) / size[..., 0]) for i, j in pairs]
    i, j = pairs[int(np.argmax(apart))]
    way = points.mean(axis=-2)[:, -1] - points.mean(axis=-2)[:, 0]
    forwards = ((points[..., j, :] - points[..., i, :]).mean(axis=1) * way).sum(axis=-1) / size[:, 0, 0] ** 2
    return Axis(i, j) if forwards.sum() >= 0 else Axis(j, i)


def words_of(clips: np.ndarray, axis: Axis) -> np.ndarray:
    """Values (n, t, D) float32 of clips of bodies; D depends on the number of keypoints alone, not on the number of others."""
    bodies = untwisted(placed(clips), axis)
    heading = _heading(bodies, axis)
    words = [*_posture(bodies, heading, axis), *_movement(bodies, heading), *_others(bodies, heading, axis)]
    return np.nan_to_num(np.stack(words, axis=-1)).astype(np.float32)


def untwisted(bodies: Placed, axis: Axis) -> Placed:
    """Bodies whose front and rear were taken for each other in some moments of the clip, put right.

    An animal does not turn by more than a quarter from one moment to the next; what most moments of a clip say is taken to be right.
    """
    if axis.front < 0:
        return bodies
    steps = np.diff(np.nan_to_num(_heading(bodies, axis)), axis=1)
    odd = np.cumsum(np.round(np.abs(steps) / np.pi), axis=1) % 2 == 1
    wrong = np.concatenate([np.zeros_like(odd[:, :1]), odd], axis=1)
    wrong ^= (wrong.mean(axis=1) > 0.5)[:, None]
    points = bodies.points.copy()
    for one, other in ((axis.front, axis.rear), (axis.rear, axis.front)):
        points[wrong, one] = bodies.points[wrong, other]
    return replace(bodies, points=points)


def _heading(bodies: Placed, axis: Axis) -> np.ndarray:
    """Angle (n, t, 1 + M) that each body points to."""
    ends = (bodies.points[..., end, :] for end in (axis.front, axis.rear))
    way = np.subtract(*ends) if axis.front >= 0 else _change(bodies.centre, 2)
    return np.asarray(np.arctan2(way[..., 1], way[..., 0]))


def _change(values: np.ndarray, lag: int) -> np.ndarray:
    """Change along axis 1 from ``lag`` steps before to ``lag`` steps after, per step; at the ends over what there is."""
    n = values.shape[1]
    place = np.arange(n)
    low, high = np.maximum(place - lag, 0), np.minimum(place + lag, n - 1)
    span = np.maximum(high - low, 1).reshape(1, n, *([1] * (values.ndim - 2)))
    return np.asarray((values[:, high] - values[:, low]) / span)


def _own(vector: np.ndarray, heading: np.ndarray) -> np.ndarray:
    """Vectors (…, 2) as ahead and aside of a heading (…)."""
    cos, sin = np.cos(heading), np.sin(heading)
    return np.stack([vector[..., 0] * cos + vector[..., 1] * sin, vector[..., 1] * cos - vector[..., 0] * sin], axis=-1)


def _angle(difference: np.ndarray) -> np.ndarray:
    return np.asarray(np.angle(np.exp(1j * difference)))


def _posture(bodies: Placed, heading: np.ndarray, axis: Axis) -> list[np.ndarray]:
    points, size = bodies.points[:, :, 0], bodies.size
    k = points.shape[-2]
    sides = bodies.sides[:, :, 0] / size[..., None]
    long, short = sides.max(axis=-1), np.maximum(sides.min(axis=-1), 0.05)
    words = [long, short, np.log(long / short), long * short]
    for i, j in combinations(range(k), 2):
        if k <= MANY or {i, j} & {axis.front, axis.rear}:
            words.append(np.linalg.norm(points[..., i, :] - points[..., j, :], axis=-1) / size)
    for i in range(k):
        own = _own(points[..., i, :] - bodies.centre[:, :, 0], heading[:, :, 0]) / size[..., None]
        words += [own[..., 0], own[..., 1], np.abs(own[..., 1]), bodies.seen[:, :, 0, i].astype(float)]
    return words


def _movement(bodies: Placed, heading: np.ndarray) -> list[np.ndarray]:
    centre, points, size, ahead = bodies.centre[:, :, 0], bodies.points[:, :, 0], bodies.size, heading[:, :, 0]
    inside = _own(points - centre[..., None, :], ahead[..., None]) / size[..., None, None]
    # unwrapped, so that a turn past the half circle is no jump
    turned = np.unwrap(ahead, axis=1)
    words: list[np.ndarray] = []
    for lag in LAGS:
        going = _own(_change(centre, lag), ahead) / size[..., None]
        turning = _change(turned, lag)
        words += [going[..., 0], np.abs(going[..., 1]), np.hypot(*np.moveaxis(going, -1, 0)), turning, np.abs(turning)]
        moves = np.linalg.norm(_change(inside, lag), axis=-1)
        words += [moves[..., i] for i in range(points.shape[-2])]
        words.append(np.abs(_change(bodies.sides[:, :, 0] / size[..., None], lag)).sum(axis=-1))
    return words


def _others(bodies: Placed, heading: np.ndarray, axis: Axis) -> list[np.ndarray]:
    """Of the nearest other, of the one most ahead, and of the one whose trail the animal is on: where it is and where it goes."""
    size, ahead, me = bodies.size, heading[:, :, 0], bodies.centre[:, :, :1]
    if bodies.centre.shape[2] == 1:
        bodies, heading = _alone(bodies, heading)
    away = (bodies.centre[:, :, 1:] - me) / size[..., None, None]
    there = np.isfinite(away).all(axis=-1)
    away = np.where(there[..., None], away, FAR)
    distance = np.minimum(np.linalg.norm(away, axis=-1), FAR)
    aside = _own(away, ahead[..., None])
    bearing = np.arctan2(aside[..., 1], aside[..., 0])
    trail = np.where(there, _trail(bodies, size), FAR)
    words = [np.sort(distance, axis=-1)[..., 0], _second(distance), trail.min(axis=-1), (distance < 2).sum(axis=-1).astype(float)]
    # who is not there comes last
    wanted = (distance, distance + 2 * (1 - np.cos(bearing)), trail)
    for who in [np.where(there, cost, np.inf).argmin(axis=-1) for cost in wanted]:
        words += _of_other(bodies, heading, who, axis, {"distance": distance, "bearing": bearing, "trail": trail, "there": there})
    return words


def _alone(bodies: Placed, heading: np.ndarray) -> tuple[Placed, np.ndarray]:
    """An animal without others, with one that is not there."""
    nobody = [np.concatenate([own, np.full_like(own, np.nan)], axis=2) for own in (bodies.centre, bodies.points, bodies.sides)]
    seen = np.concatenate([bodies.seen, np.zeros_like(bodies.seen)], axis=2)
    return Placed(nobody[0], nobody[1], seen, nobody[2], bodies.size), np.concatenate([heading, np.full_like(heading, np.nan)], axis=2)


def _second(distance: np.ndarray) -> np.ndarray:
    return np.asarray(np.sort(distance, axis=-1)[..., 1] if distance.shape[-1] > 1 else np.full(distance.shape[:-1], FAR))


def _trail(bodies: Placed, size: np.ndarray) -> np.ndarray:
    """How near (n, t, M) the animal is to where each other was shortly before, at most ``FAR``."""
    n = bodies.centre.shape[1]
    nearest = np.full((*bodies.centre.shape[:2], bodies.centre.shape[2] - 1), FAR)
    for lag in TRAIL:
        was = bodies.centre[:, np.maximum(np.arange(n) - lag, 0), 1:]
        # before the clip begins nothing is known
        far = np.linalg.norm(was - bodies.centre[:, :, :1], axis=-1) / size[..., None]
        far[:, :lag] = FAR
        nearest = np.fmin(nearest, far)
    return nearest


def _of_other(bodies: Placed, heading: np.ndarray, who: np.ndarray, axis: Axis, known: dict[str, np.ndarray]) -> list[np.ndarray]:
    n, t = who.shape
    row, column = np.arange(n)[:, None], np.arange(t)[None]
    own = {name: values[row, column, who] for name, values in known.items()}
    size, ahead, there = bodies.size, heading[:, :, 0], own["there"]
    at, body = bodies.centre[row, column, 1 + who], bodies.points[row, column, 1 + who]
    points = heading[row, column, 1 + who] - ahead
    speed = _own(_change(bodies.centre, LAGS[1])[row, column, 1 + who], ahead) / size[..., None]
    # of the same other over the clip, whoever it is at its other moments
    whole = np.where(known["there"], known["distance"], FAR)
    closing = [_change(whole, lag)[row, column, who] for lag in (4, 10)]
    words = [own["distance"], np.cos(own["bearing"]), np.abs(np.sin(own["bearing"])), own["trail"], *closing]
    words += [np.cos(points), np.abs(np.sin(points)), speed[..., 0], np.hypot(*np.moveaxis(speed, -1, 0))]
    ends = [(axis.front, axis.rear), (axis.front, axis.front), (axis.rear, axis.front)] if axis.front >= 0 else []
    for mine, its in ends:
        gap = body[..., its, :] - bodies.points[:, :, 0, mine]
        words.append(np.minimum(np.linalg.norm(gap, axis=-1) / size, FAR))
        towards = _own(gap, ahead)
        words.append(np.cos(np.arctan2(towards[..., 1], towards[..., 0])))
    # behind it, where one that follows wants to be
    its_way = np.stack([np.cos(heading), np.sin(heading)], axis=-1)[row, column, 1 + who]
    goal = _own(at - its_way * size[..., None] - bodies.centre[:, :, 0], ahead)
    words += [np.minimum(np.hypot(*np.moveaxis(goal, -1, 0)) / size, FAR), np.cos(np.arctan2(goal[..., 1], goal[..., 0]))]
    absent = [FAR, 0.0, 0.0, FAR, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0] + [FAR, 0.0] * (len(ends) + 1)
    return [np.where(there, word, value) for word, value in zip(words, absent, strict=True)]
