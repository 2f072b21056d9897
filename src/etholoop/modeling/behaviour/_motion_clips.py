"""From the values of a clip's pictures to one row that a classifier learns from: head from rear, then means, spreads, trends, rhythms."""

from dataclasses import dataclass

import numpy as np

from etholoop.modeling.behaviour import _motion_pairs as pairs
from etholoop.modeling.behaviour._motion_pairs import part

SMALL = 1e-3
RHYTHMS = ("size", "long", "going", "turning", "inner", "change")
"""What may be rhythmic, and in how many bands power is added up."""

N_BANDS = 4
FAST = 0.06
"""Body lengths per step above which an animal is taken to walk head first."""


@dataclass(frozen=True)
class Clips:
    """How rows are made of clips: ``halves`` pictures before and after the middle in each length of time that is looked at."""

    n_pictures: int
    halves: tuple[int, ...]

    @property
    def middle(self) -> int:
        return self.n_pictures // 2


def odd_signs(rows: np.ndarray) -> np.ndarray:
    """What tells head from rear (…, 9): values that only change their sign when the two are exchanged."""
    widths, light, tint = (rows[..., part(name)] for name in ("widths", "light", "tint"))
    columns = [rows[..., part("skew")][..., :1], widths - widths[..., ::-1]]
    for cells in (light, tint):
        along = cells.reshape(*cells.shape[:-1], pairs.N_ALONG, pairs.N_ACROSS).mean(axis=-1)
        columns.append(along - along[..., ::-1])
    half = [columns[0], *(column[..., : column.shape[-1] // 2] for column in columns[1:])]
    return np.concatenate(half, axis=-1)


def learn_head(rows: np.ndarray) -> np.ndarray:
    """Weights (9,) of ``odd_signs`` whose sum is positive where the long axis points to the head, from animals that walk; no labels needed.

    Zeros where too few pictures show a walking animal.
    """
    going = rows[:, part("going")]
    walks = (np.abs(going[:, 0]) > FAST) & (np.abs(going[:, 0]) > 2 * np.abs(going[:, 1]))
    if walks.sum() < 20:
        return np.zeros(odd_signs(rows[:1]).shape[-1])
    signs = odd_signs(rows[walks]).astype(float)
    scale = np.sqrt((signs**2).mean(axis=0)) + 1e-6
    # ridge regression without an intercept: exchanging head and rear must exchange the answer
    x, y = signs / scale, np.sign(going[walks, 0])
    weights = np.linalg.solve(x.T @ x + 0.05 * len(x) * np.eye(x.shape[1]), x.T @ y)
    return np.asarray(weights / scale)


def oriented(clips: np.ndarray, head: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values (n, t, N_VALUES) with the axis towards the head, and turns of the axis (n, t) in radians per step, left or right by sign.

    Within a clip the axis turns less than a quarter from picture to picture; which end is the head is decided once for the clip.
    """
    rows, angle = clips[..., : pairs.N_VALUES], clips[..., -1].astype(float)
    steps = np.diff(angle, axis=1)
    halves = np.round(steps / np.pi)
    turns = np.concatenate([np.zeros((len(clips), 1)), steps - np.pi * halves], axis=1)
    flipped = np.concatenate([np.zeros((len(clips), 1)), np.cumsum(halves, axis=1)], axis=1) % 2 == 1
    looks = odd_signs(rows) @ head + np.clip(rows[..., part("going")][..., 0] / FAST, -2, 2)
    vote = np.where(flipped, -looks, looks).sum(axis=1)
    flipped ^= (vote < 0)[:, None]
    return np.where(flipped[..., None], pairs.turned(rows), rows), turns


def rows_of(clips: np.ndarray, head: np.ndarray, rule: Clips) -> np.ndarray:
    """Rows (n, F) float32 of clips (n, t, N_COLUMNS)."""
    values, turns = oriented(clips, head)
    values = _even_out(values, turns)
    columns = []
    for half in rule.halves:
        own = values[:, max(0, rule.middle - half) : rule.middle + half + 1]
        columns.append(own.mean(axis=1))
        if half > 1:
            columns += [np.log(own.std(axis=1) + 0.02), _trend(own)]
    columns.append(_rhythms(values))
    return np.concatenate(columns, axis=1).astype(np.float32)


def _even_out(values: np.ndarray, turns: np.ndarray) -> np.ndarray:
    """Amounts of movement on a logarithmic scale; the speed and the turn of the axis as columns of their own."""
    values = values.copy()
    for name in ("inner", "change", "change_outside"):
        values[..., part(name)] = np.log(values[..., part(name)] + 0.01)
    speed = np.log(np.hypot(*np.moveaxis(values[..., part("going")], -1, 0)) + 0.01)
    # what has a side, as an amount too: most behaviours are the same to the left and to the right
    words = [values[..., part(name)] for name in ("bend", "middles", "turning")]
    sided = np.concatenate([values[..., part("skew")][..., 1:], *words], axis=-1)
    amounts = np.abs(np.concatenate([sided, values[..., part("going")][..., 1:], turns[..., None]], axis=-1))
    return np.concatenate([values, turns[..., None], speed[..., None], amounts], axis=-1)


def _trend(own: np.ndarray) -> np.ndarray:
    """Mean of the later half minus that of the earlier one."""
    half = own.shape[1] // 2
    return np.asarray(own[:, -half:].mean(axis=1) - own[:, :half].mean(axis=1))


def _rhythms(values: np.ndarray) -> np.ndarray:
    """Logarithms of the power in bands of frequency, of the mean of each rhythmic word."""
    # of going only what is along the axis
    lines = np.stack([values[..., part(name)][..., : 1 if name == "going" else None].mean(axis=-1) for name in RHYTHMS], axis=1)
    t = lines.shape[-1]
    power = np.abs(np.fft.rfft((lines - lines.mean(axis=-1, keepdims=True)) * np.hanning(t + 2)[1:-1], axis=-1)) ** 2
    bands = np.array_split(np.arange(1, power.shape[-1]), N_BANDS)
    found = np.stack([power[..., band].mean(axis=-1) if len(band) else np.zeros(power.shape[:-1]) for band in bands], axis=-1)
    return np.log(found + 1e-3).reshape(len(values), -1)
