"""Look-alikes that walk through each other: animals of one size and shape, and a detector that loses the one below.

Known by construction, and harder than flies: nothing but the way they move tells them apart.
"""

import numpy as np
from _tracking_data import BOX, FPS, Sequence
from numpy.typing import NDArray

from etholoop.core.tracking.detections import DetectionFrames

LENGTH_PX, WIDTH_PX, SIDE_PX = 70.0, 26.0, 640
SPEED_PX = 6.0
JITTER_PX = 1.5
DROP = 0.02
HIDDEN = 0.85
"""Probability that an animal is not detected while another one lies over most of it."""

BODY = np.array([[0.5, 0.0], [0.25, 0.25], [0.25, -0.25], [-0.5, 0.0]])
"""Nose, ears and tail base in body lengths and widths."""


def lookalikes(seed: int, n_animals: int = 4, n_frames: int = 1500) -> Sequence:
    """A recording of ``n_animals`` that cross each other's ways again and again."""
    import pandas as pd

    rng = np.random.default_rng(seed)
    centre, heading = ways(rng, n_animals, n_frames)
    box = _boxes(centre, heading)
    rows = [(animal, frame, *box[frame, animal]) for frame in range(n_frames) for animal in range(n_animals)]
    truth = pd.DataFrame(rows, columns=["track", "frame", *BOX])
    seen = ~_hidden(rng, centre) & (rng.random((n_frames, n_animals)) >= DROP)
    frame, animal = np.nonzero(seen)
    points = _points(centre, heading)[frame, animal] + rng.normal(0, JITTER_PX, (len(frame), len(BODY), 2))
    points = np.concatenate([points, np.ones((*points.shape[:2], 1))], axis=2)
    found = box[frame, animal] + rng.normal(0, JITTER_PX, (len(frame), 4))
    confidence = rng.uniform(0.6, 0.95, len(frame))
    order = np.lexsort((-confidence, frame))
    frame = frame[order].astype(np.int64)
    detections = DetectionFrames(
        frame=frame,
        box=found[order],
        confidence=confidence[order],
        species=np.full(len(frame), "mouse", dtype=object),
        instance=np.arange(len(frame)) - np.searchsorted(frame, frame),
        n_frames=n_frames,
        keypoints=points[order],
        n_animals=n_animals,
    )
    return Sequence("lookalikes", FPS, SIDE_PX, SIDE_PX, truth, detections, animal[order].astype(np.int64))


def ways(rng: np.random.Generator, n: int, n_frames: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Centres (frames, n, 2) and headings (frames, n): they turn smoothly, stop now and then, and keep to the middle."""
    centre, heading = np.zeros((n_frames, n, 2)), np.zeros((n_frames, n))
    place = rng.uniform(0.25, 0.75, (n, 2)) * SIDE_PX
    angle, turn, speed = rng.uniform(-np.pi, np.pi, n), np.zeros(n), np.full(n, SPEED_PX)
    for frame in range(n_frames):
        centre[frame], heading[frame] = place, angle
        inward = np.arctan2(SIDE_PX / 2 - place[:, 1], SIDE_PX / 2 - place[:, 0])
        away = np.hypot(*(place - SIDE_PX / 2).T) / (SIDE_PX / 2)
        wanted = np.angle(np.exp(1j * (inward - angle)))
        turn = 0.9 * turn + rng.normal(0, 0.02, n) + 0.02 * np.clip(away - 0.4, 0, 1) * wanted
        speed = np.clip(speed + rng.normal(0, 0.6, n) + 0.05 * (SPEED_PX - speed), 0, 2 * SPEED_PX)
        angle = angle + turn
        place = np.clip(place + speed[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1), LENGTH_PX / 2, SIDE_PX - LENGTH_PX / 2)
    return centre, heading


def _points(centre: NDArray[np.float64], heading: NDArray[np.float64]) -> NDArray[np.float64]:
    along = np.stack([np.cos(heading), np.sin(heading)], axis=-1)[..., None, :]
    across = np.stack([-np.sin(heading), np.cos(heading)], axis=-1)[..., None, :]
    return centre[..., None, :] + LENGTH_PX * BODY[:, :1] * along + WIDTH_PX * BODY[:, 1:] * across


def _boxes(centre: NDArray[np.float64], heading: NDArray[np.float64]) -> NDArray[np.float64]:
    """Extent of a body that is an ellipse."""
    half_x = np.hypot(LENGTH_PX / 2 * np.cos(heading), WIDTH_PX / 2 * np.sin(heading))
    half_y = np.hypot(LENGTH_PX / 2 * np.sin(heading), WIDTH_PX / 2 * np.cos(heading))
    half = np.stack([half_x, half_y], axis=-1)
    return np.concatenate([centre - half, centre + half], axis=-1)


def _hidden(rng: np.random.Generator, centre: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Animals under another one: who lies above whom is drawn once for each meeting."""
    n_frames, n = centre.shape[:2]
    hidden = np.zeros((n_frames, n), dtype=bool)
    for a in range(n):
        for b in range(a + 1, n):
            near = np.hypot(*(centre[:, a] - centre[:, b]).T) < 0.5 * LENGTH_PX
            starts = np.flatnonzero(near & ~np.r_[False, near[:-1]])
            below = np.where(rng.random(len(starts)) < 0.5, a, b)
            meeting = np.searchsorted(starts, np.arange(n_frames), side="right") - 1
            frames = np.flatnonzero(near)
            hidden[frames, below[meeting[frames]]] |= rng.random(len(frames)) < HIDDEN
    return hidden
