"""Animals that walk a known line, as detections; which one each detection shows is known."""

import numpy as np

from etholoop.core.tracking.detections import DetectionFrames

SIDE_PX = 20.0


def detections(rows, n_frames=None, n_animals=None, looked_at=None):
    """From rows (frame, x, y), to which confidence and side may be added."""
    rows = sorted(((*row, *(0.9, SIDE_PX)[len(row) - 3 :]) for row in rows), key=lambda row: row[0])
    frame = np.array([row[0] for row in rows], np.int64).reshape(-1)
    x, y, confidence, side = (np.array([row[place] for row in rows], float) for place in (1, 2, 3, 4))
    box = np.stack([x - side / 2, y - side / 2, x + side / 2, y + side / 2], axis=1) if rows else np.zeros((0, 4))
    instance = np.arange(len(frame)) - np.searchsorted(frame, frame)
    species = np.full(len(frame), "mouse", dtype=object)
    n_frames = n_frames or (int(frame.max()) + 1 if len(frame) else 1)
    return DetectionFrames(frame, box, confidence, species, instance.astype(np.int64), n_frames, looked_at=looked_at, n_animals=n_animals)


def line(start, stop, x, y, *, dx=0.0, dy=0.0, jitter=0.4, seed=0):
    """(frame, x, y) of an animal at (x, y) in frame 0 that moves by (dx, dy) per frame, seen from frame ``start`` to ``stop``."""
    rng = np.random.default_rng(seed)
    return [(frame, x + dx * frame + rng.normal(0, jitter), y + dy * frame + rng.normal(0, jitter)) for frame in range(start, stop)]
