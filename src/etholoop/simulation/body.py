"""Shape of a mouse seen from above: midline, outline, ears and tail from a few posture values.

World pixels, x to the right, y down. Along the body ``s`` runs from 0 (tail base) to 1 (nose); across, +1 is the animal's left edge.
"""

from typing import NamedTuple

import numpy as np
from scipy.interpolate import PchipInterpolator

KEYPOINTS = ("nose", "ear_left", "ear_right", "tail_base")
MIRROR = {"ear_left": "ear_right", "ear_right": "ear_left"}

S = np.linspace(0, 1, 41)
"""Places along the body where the midline is known."""

_WIDTHS = PchipInterpolator(
    [0, 0.04, 0.14, 0.28, 0.44, 0.58, 0.68, 0.76, 0.86, 0.95, 1.0],
    [0.035, 0.088, 0.158, 0.193, 0.182, 0.148, 0.116, 0.114, 0.082, 0.04, 0.014],
)
"""Half width over body length: broad hips, a narrow neck, a pointed snout."""

HALF_WIDTHS = np.asarray(_WIDTHS(S))
_IN_HEAD = np.clip((S - 0.62) / 0.14, 0, 1)
EAR_S, EAR_ACROSS, EAR_RADIUS = 0.745, 0.104, 0.058
EYE_S, EYE_ACROSS = 0.865, 0.062
PIVOT_S = 0.42
"""The place along the body that ``centre`` names."""


class Posture(NamedTuple):
    """One animal at one moment."""

    centre: np.ndarray  # (2,) world pixels
    heading: float  # radians, 0 = to the right, growing clockwise on the screen
    length: float  # nose to tail base of the stretched animal, world pixels
    bend: float  # radians from tail to head, positive = clockwise on the screen
    head_turn: float  # radians, the head against the trunk
    stretch: float  # 1 = stretched out, 0.6 = reared up and seen foreshortened
    swell: float  # factor on the width
    head_scale: float  # factor on the head; a head that is nearer to the camera is larger
    tail_bend: float  # radians over the length of the tail


class Shape(NamedTuple):
    """A posture turned into curves."""

    midline: np.ndarray  # (41, 2)
    left: np.ndarray  # (41, 2) unit vectors to the animal's left
    half_widths: np.ndarray  # (41,) pixels
    size: float  # length times head scale, for parts of the head


def shape(posture: Posture) -> Shape:
    """Midline and widths of a posture."""
    angles = posture.heading + posture.bend * (S - 0.5) + posture.head_turn * _IN_HEAD
    # a reared head is shortened less than the trunk below it
    steps = posture.length / (len(S) - 1) * (posture.stretch + (1 - posture.stretch) * 0.35 * _IN_HEAD)
    forward = np.column_stack([np.cos(angles), np.sin(angles)])
    midline = np.concatenate([np.zeros((1, 2)), np.cumsum((forward * steps[:, None])[:-1], axis=0)])
    midline += posture.centre - midline[int(PIVOT_S * (len(S) - 1))]
    left = np.column_stack([forward[:, 1], -forward[:, 0]])
    scale = posture.swell + (posture.head_scale - posture.swell) * _IN_HEAD
    return Shape(midline, left, HALF_WIDTHS * posture.length * scale, posture.length * posture.head_scale)


def place(body: Shape, s: float, across_px: float) -> np.ndarray:
    """World position of a place on the body: ``s`` along it, ``across_px`` to its left."""
    position = s * (len(S) - 1)
    low = min(int(position), len(S) - 2)
    share = position - low
    on_midline = body.midline[low] * (1 - share) + body.midline[low + 1] * share
    return on_midline + body.left[low] * across_px


def outline(body: Shape, shrink: float = 1.0, start: float = 0.0, stop: float = 1.0) -> np.ndarray:
    """Closed outline of the body between two places, (n, 2); ``shrink`` draws it narrower, for shading."""
    inside = (start <= S) & (stop >= S)
    middle, side = body.midline[inside], body.left[inside] * body.half_widths[inside, None] * shrink
    return np.concatenate([middle + side, (middle - side)[::-1]])


def ears(body: Shape) -> tuple[np.ndarray, np.ndarray, float]:
    """Centre of the left ear, of the right ear, and their radius in pixels."""
    across = EAR_ACROSS * body.size
    return place(body, EAR_S, across), place(body, EAR_S, -across), EAR_RADIUS * body.size


def keypoints(body: Shape) -> np.ndarray:
    """World positions in the order of ``KEYPOINTS``, (4, 2)."""
    left, right, _ = ears(body)
    return np.stack([body.midline[-1], left, right, body.midline[0]])


def tail(body: Shape, posture: Posture) -> tuple[np.ndarray, np.ndarray]:
    """Curve of the tail (16, 2) from the tail base on, and its half widths in pixels (16,)."""
    along = np.linspace(0, 1, 16)
    back = body.midline[0] - body.midline[2]
    # a tail starts in line with the body, turns to one side and a little back again
    angles = np.arctan2(back[1], back[0]) + posture.tail_bend * (1.6 * along - 0.9 * along**2)
    step = 0.82 * posture.length / len(along)
    curve = body.midline[0] + step * np.column_stack([np.cos(angles), np.sin(angles)]).cumsum(axis=0)
    curve[0] = body.midline[1]
    return curve, posture.length * (0.026 - 0.018 * along)
