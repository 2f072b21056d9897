"""What two pictures of an animal show of its shape and movement, in words of its own body: along and across its long axis.

Ideas of the field, computed from pixels: outline and its change (JAABA, Kabra et al. 2013), postures aligned to the body (MotionMapper,
Berman et al. 2014), speed, turning and body length (B-SOiD, Hsu & Yttri 2021), dense optical flow (Farnebäck 2003), split into what moves
the animal as a whole - going, turning, growing - and what moves inside it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from weakref import WeakKeyDictionary

import cv2
import numpy as np

from etholoop.modeling.behaviour._silhouette import Silhouette, silhouette

N_ALONG, N_ACROSS = 4, 2
N_SLICES = 8
N_SIDES = 4
"""What lies around the animal: before it, at its left, at its right, behind it (of the axis as it is named)."""

SLICE_REACH = 1.2
"""Slices of the outline reach so far from the centre, in square roots of the area."""

# (name, number of values, what becomes of them when head and rear are exchanged)
KEEP, NEGATE, REVERSE, REVERSE_AND_NEGATE = range(4)
N_CELLS = N_ALONG * N_ACROSS
LAYOUT = (
    ("size", 1, KEEP),
    ("long", 1, KEEP),
    ("wide", 1, KEEP),
    ("solidity", 1, KEEP),
    ("skew", 2, NEGATE),
    ("bend", 1, NEGATE),
    ("widths", N_SLICES, REVERSE),
    ("middles", N_SLICES, REVERSE_AND_NEGATE),
    ("light", N_CELLS, REVERSE),
    ("tint", N_CELLS, REVERSE),
    ("going", 2, NEGATE),
    ("turning", 1, KEEP),
    ("growing", 1, KEEP),
    ("stretching", 2, KEEP),
    ("inner", N_CELLS, REVERSE),
    ("inner_flow", 2 * N_CELLS, REVERSE_AND_NEGATE),
    ("change", N_CELLS, REVERSE),
    ("change_outside", 1, KEEP),
    ("around_alike", N_SIDES, REVERSE),
    ("around_moves", N_SIDES, REVERSE),
)
STARTS = {name: sum(n for _, n, _ in LAYOUT[:k]) for k, (name, _, _) in enumerate(LAYOUT)}
N_VALUES = sum(n for _, n, _ in LAYOUT)
PLACE = slice(N_VALUES, N_VALUES + 3)
"""Behind them: centre x, y in square roots of the area - no features, places differ between recordings - and the angle of the axis."""

N_COLUMNS = N_VALUES + 3
BLUR, N_CORRECTIONS = 1.2, 4
"""Pixels by which pictures are blurred for the movement as a whole, and how often it is corrected."""

ODD_LIGHT = 25.0
"""Difference of brightness from which on a place is taken to move by itself."""

MOTION = STARTS["going"]
"""From here on values are of the pair; those before are of the later picture."""


def part(name: str) -> slice:
    """Columns of one word of the layout."""
    n = next(n for own, n, _ in LAYOUT if own == name)
    return slice(STARTS[name], STARTS[name] + n)


def _turn() -> tuple[np.ndarray, np.ndarray]:
    order, sign = np.arange(N_VALUES), np.ones(N_VALUES, np.float32)
    for name, n, how in LAYOUT:
        own = part(name)
        if how in (REVERSE, REVERSE_AND_NEGATE):
            step = 2 if name == "inner_flow" else 1
            # pairs of along and across stay together
            order[own] = order[own].reshape(n // step, step)[::-1].ravel()
        if how in (NEGATE, REVERSE_AND_NEGATE):
            sign[own] = -1
    return order, sign


TURN_ORDER, TURN_SIGN = _turn()


def turned(rows: np.ndarray) -> np.ndarray:
    """Rows (…, N_VALUES) as they would be had the long axis been taken the other way round."""
    return np.asarray(rows[..., TURN_ORDER] * TURN_SIGN)


@dataclass(frozen=True, eq=False)
class Look:
    """One picture (h, w, 3) uint8 RGB of an animal and the window (4,) of the source that it shows.

    What is measured is kept with it: the clips of neighbouring frames are made of the same pairs.
    """

    picture: np.ndarray
    window: np.ndarray
    pairs: "WeakKeyDictionary[Look, np.ndarray]" = field(default_factory=WeakKeyDictionary)

    def since(self, before: "Look") -> np.ndarray:
        """Values (N_COLUMNS,) of this picture and of what has changed since an earlier one."""
        if before not in self.pairs:
            self.pairs[before] = of_pair(before, self)
        return self.pairs[before]

    @cached_property
    def outline(self) -> Silhouette:
        return silhouette(self.picture)

    @cached_property
    def grey(self) -> np.ndarray:
        return np.asarray(cv2.cvtColor(self.picture, cv2.COLOR_RGB2GRAY))

    @cached_property
    def body(self) -> "Body":
        return Body.of(self)

    @property
    def corner(self) -> np.ndarray:
        """Upper left corner of the picture, (2,), in pixels of the picture."""
        side = min(self.picture.shape[:2])
        return np.asarray(self.window[:2] * side / min(self.window[2:] - self.window[:2]))


@dataclass(frozen=True)
class Body:
    """The pixels of the animal: ``xy`` (p, 2) from its centre, ``own`` (p, 2) along and across its axis, ``cell`` (p,), ``length`` the
    square root of the area, ``values`` (MOTION,) of its shape."""

    pixels: tuple[np.ndarray, np.ndarray]
    xy: np.ndarray
    own: np.ndarray
    cell: np.ndarray
    length: float
    values: np.ndarray

    @classmethod
    def of(cls, look: Look) -> "Body":
        outline = look.outline
        y, x = np.nonzero(outline.mask)
        xy = np.column_stack([x, y]) - outline.centre
        own = xy @ _axes(outline.angle).T
        along = np.clip(np.floor(own[:, 0] / outline.half_axes[0]) + 2, 0, N_ALONG - 1)
        cell = (along * N_ACROSS + (own[:, 1] >= 0)).astype(np.int64)
        length = float(np.sqrt(outline.area))
        return cls((y, x), xy, own, cell, length, _shape(look, own, cell, length))


def _axes(angle: float) -> np.ndarray:
    """Rows: unit vectors along and across."""
    return np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])


def _shape(look: Look, own: np.ndarray, cell: np.ndarray, length: float) -> np.ndarray:
    outline = look.outline
    along, across = (own / outline.half_axes).T
    lab = cv2.cvtColor(look.picture, cv2.COLOR_RGB2LAB)[outline.mask].astype(float)
    light, tint = _by_cell(lab[:, 0], cell), _by_cell(lab[:, 1], cell)
    widths, middles = _slices(own / length)
    scalars = [np.log(length), *np.log(outline.half_axes / length), _solidity(outline.mask)]
    moments = [(along**3).mean(), (across**3).mean(), (along**2 * across).mean()]
    looks = [(light - lab[:, 0].mean()) / 30, (tint - lab[:, 1].mean()) / 5]
    return np.concatenate([scalars, moments, widths, middles, *looks]).astype(np.float32)


def _by_cell(values: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """Mean of each cell; of all pixels where a cell has none."""
    counts = np.bincount(cell, minlength=N_CELLS)
    sums = np.bincount(cell, values, N_CELLS)
    return np.where(counts > 0, sums / np.maximum(counts, 1), values.mean())


def _slices(own: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Width and middle of each slice across the axis, 0 where the animal does not reach."""
    number = np.floor((own[:, 0] / SLICE_REACH + 1) / 2 * N_SLICES)
    widths, middles = np.zeros(N_SLICES), np.zeros(N_SLICES)
    for k in range(N_SLICES):
        across = own[number == k, 1]
        if len(across):
            low, high = across.min(), across.max()
            widths[k], middles[k] = high - low, (high + low) / 2
    return widths, middles


def _solidity(mask: np.ndarray) -> float:
    """Share of the convex hull that is filled."""
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    hull = cv2.contourArea(cv2.convexHull(np.concatenate(contours)))
    return float(min(1.0, mask.sum() / max(hull, 1.0)))


def of_pair(before: Look, now: Look) -> np.ndarray:
    """Values (N_COLUMNS,) float32 of a picture and what has changed since an earlier one."""
    body = now.body
    place = [*((now.corner + now.outline.centre) / body.length), now.outline.angle]
    return np.concatenate([body.values, _motion(before, now), place]).astype(np.float32)


def of_clip(looks: Sequence[Look]) -> np.ndarray:
    """Values (t, N_COLUMNS) of t + 1 looks; the first one is only what the second is compared with."""
    return np.stack([now.since(before) for before, now in pairwise(looks)])


def _motion(before: Look, now: Look) -> np.ndarray:
    """Values from ``going`` on; all in body lengths and radians per step."""
    body, centre = now.body, now.outline.centre
    where = whole_motion(before, now)
    earlier = _seen_by(before.grey, where, now.grey.shape)
    step = (now.corner + centre) - (before.corner + where[:, :2] @ centre + where[:, 2])
    axes = _axes(now.outline.angle)
    own = axes @ (np.eye(2) - where[:, :2]) @ axes.T
    flow = cv2.calcOpticalFlowFarneback(now.grey, earlier, np.zeros((*now.grey.shape, 2), np.float32), 0.5, 1, 9, 2, 5, 1.1, 0)
    inner = -flow[body.pixels].astype(float) @ axes.T / body.length
    difference = np.abs(now.grey.astype(float) - earlier)
    near = cv2.dilate(now.outline.mask.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    outside = difference[near & ~now.outline.mask]
    alike, moves = _around(before, now)
    return np.concatenate(
        [
            axes @ step / body.length,
            [(own[1, 0] - own[0, 1]) / 2, (own[0, 0] + own[1, 1]) / 2, (own[0, 0] - own[1, 1]) / 2, (own[0, 1] + own[1, 0]) / 2],
            _by_cell(np.hypot(*inner.T), body.cell),
            np.column_stack([_by_cell(inner[:, k], body.cell) for k in range(2)]).ravel(),
            _by_cell(difference[body.pixels], body.cell) / 30,
            [outside.mean() / 30 if outside.size else 0.0],
            alike,
            moves,
        ]
    )


def _around(before: Look, now: Look) -> tuple[np.ndarray, np.ndarray]:
    """On each side of the animal: the share that is coloured like it, and how much changes there against the ground; others live there."""
    way = np.column_stack([np.eye(2), now.corner - before.corner])
    change = np.abs(now.grey.astype(float) - _seen_by(before.grey, way, now.grey.shape))
    was_there = _seen_by(before.outline.mask.astype(np.uint8), way, now.grey.shape) > 0
    own = cv2.dilate((now.outline.mask | was_there).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    y, x = np.nonzero(~own & (now.grey > 0))
    along, across = ((np.column_stack([x, y]) - now.outline.centre) @ _axes(now.outline.angle).T / now.outline.half_axes).T
    # before, left, right, behind: exchanged ends give the reverse order
    side = np.where(np.abs(along) > np.abs(across), np.where(along > 0, 0, 3), np.where(across < 0, 1, 2))
    counts = np.maximum(np.bincount(side, minlength=N_SIDES), 1)
    alike = np.bincount(side, now.outline.alike[y, x], N_SIDES) / counts
    return alike, np.log(np.bincount(side, change[y, x], N_SIDES) / counts / 30 + 0.01)


def whole_motion(before: Look, now: Look) -> np.ndarray:
    """Where each place of the picture was in the earlier one, as an affine map (2, 3): how the animal moves as a whole.

    Brightness that goes with the animal, solved for the six numbers of the map over all its pixels and corrected a few times (Bergen et
    al. 1992). Flow of single places would be of no use here: along a plain edge any movement looks the same.
    """
    near = cv2.dilate(now.outline.mask.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    y, x = np.nonzero(near)
    xy = np.column_stack([x, y]) - now.outline.centre
    light, light_before = (cv2.GaussianBlur(look.grey.astype(np.float32), (0, 0), BLUR) for look in (now, before))
    where = min(_guesses(before, now), key=lambda guess: float(np.abs(light - _seen_by(light_before, guess, light.shape))[near].mean()))
    for _ in range(N_CORRECTIONS):
        seen = _seen_by(light_before, where, light.shape)
        slope = np.column_stack([cv2.Sobel(seen, cv2.CV_32F, dx, 1 - dx)[near] / 8 for dx in (1, 0)]).astype(float)
        # change of brightness for each of: both shifts, and each place in x and y times its distance from the centre
        basis = np.concatenate([slope, slope[:, :1] * xy / _scale(xy), slope[:, 1:] * xy / _scale(xy)], axis=1)
        error = (light - seen)[near].astype(float)
        weight = 1 / (1 + (error / ODD_LIGHT) ** 2)  # parts that move by themselves count less
        normal = (basis * weight[:, None]).T @ basis
        by = np.linalg.solve(normal + (1e-3 * np.trace(normal) / 6 + 1e-6) * np.eye(6), (basis * weight[:, None]).T @ error)
        where = _after(where, by[:2], by[2:].reshape(2, 2) / _scale(xy), now.outline.centre)
    return where


def _scale(xy: np.ndarray) -> float:
    """Mean distance of places (p, 2) from their centre, so that the numbers of a map weigh alike."""
    return float(np.sqrt((xy**2).sum(axis=1).mean()))


def _guesses(before: Look, now: Look) -> list[np.ndarray]:
    """Maps to begin with: the outline has not turned, or as its long axis has (less than a quarter)."""
    turn = now.outline.angle - before.outline.angle
    turn -= np.pi * np.round(turn / np.pi)
    return [_turn_about(angle, now.outline.centre, before.outline.centre) for angle in (0.0, -turn)]


def _turn_about(angle: float, centre: np.ndarray, new_centre: np.ndarray) -> np.ndarray:
    linear = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.column_stack([linear, new_centre - linear @ centre])


def _after(where: np.ndarray, shift: np.ndarray, linear: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """The map after a small one about ``centre``."""
    small = np.eye(2) + linear
    offset = centre + shift - small @ centre
    return np.column_stack([where[:, :2] @ small, where[:, :2] @ offset + where[:, 2]])


def _seen_by(grey: np.ndarray, where: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """The picture (h, w) in which each place shows what ``grey`` has at the place that the map says."""
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(grey, where, size[::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE))
