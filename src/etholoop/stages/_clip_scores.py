"""From a video and moments in it to probabilities of behaviours: one pass through the video, clips in units, a network.

Used by the command ``kabr miniscene2behavior`` and by whatever scores clips. Results of pieces of a video can be kept, so that work that
was stopped goes on where it stood.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from etholoop.core import clips
from etholoop.io import atomic

Predict = Callable[[np.ndarray], np.ndarray]
"""Pictures of a unit (p, h, w, 3) uint8 → probabilities (clips of a full unit, classes)."""

Images = Callable[[list[int]], Iterable[tuple[int, np.ndarray]]]
"""Ascending frames of a video → (frame, picture) as the network sees it."""

PIECE_MOMENTS = 3000
"""So many moments are kept together; a piece reads some seconds of video that its neighbour reads too."""


@dataclass(frozen=True)
class Keep:
    """Where results of pieces lie, and the digest of all that they follow from."""

    folder: Path
    key: str

    def path(self, piece: int) -> Path:
        return self.folder / f"{self.key}-{piece:06d}.npy"


def size_of_units(rule: clips.ClipRule, n_moments: int, stride: int, most: int) -> int:
    """Clips of a unit: as many as share pictures in a video of ``n_moments`` moments, at most ``most``."""
    apart = math.lcm(stride, rule.rate) // stride
    return max(1, min(most, math.ceil(min(n_moments, PIECE_MOMENTS) / apart)))


def scores(
    moments: np.ndarray,
    n_video_frames: int,
    rule: clips.ClipRule,
    *,
    size: int,
    images: Images,
    predict: Predict,
    keep: Keep | None = None,
    seen: Callable[[int], object] = lambda n: None,
) -> np.ndarray:
    """Probabilities (m, classes) float32 at equally spaced ``moments`` (m,).

    Args:
        size: clips of a unit, as ``predict`` wants them.
        keep: where to keep what is done, None = nowhere.
        seen: told of each number of moments done.
    """
    found = []
    for piece, start in enumerate(range(0, len(moments), PIECE_MOMENTS)):
        own = moments[start : start + PIECE_MOMENTS]
        path = keep.path(piece) if keep else None
        part = _kept(path, len(own))
        if part is None:
            part = _piece(own, clips.units(own, n_video_frames, rule, size), images, predict, seen)
            if path:
                with atomic.new_file(path) as temporary, temporary.open("wb") as stream:
                    np.save(stream, part, allow_pickle=False)
        else:
            seen(len(own))
        found.append(part)
    return np.concatenate(found)


def _piece(moments: np.ndarray, plan: list[clips.Unit], images: Images, predict: Predict, seen: Callable[[int], object]) -> np.ndarray:
    place = {int(moment): number for number, moment in enumerate(moments)}
    found: np.ndarray | None = None
    for own, part in _units(plan, images(clips.frames_needed(plan).tolist()), predict):
        found = np.full((len(moments), part.shape[1]), np.nan, np.float32) if found is None else found
        found[[place[moment] for moment in own.tolist()]] = part
        seen(len(own))
    assert found is not None and not np.isnan(found).any(), "every moment belongs to a unit"
    return found


def _units(plan: list[clips.Unit], images: Iterable[tuple[int, np.ndarray]], predict: Predict) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Moments (m,) and their probabilities (m, classes), unit by unit."""
    for unit, pictures in clips.windows(plan, images):
        yield unit.moments, predict(pictures)[: len(unit.moments)]


def _kept(path: Path | None, n_moments: int) -> np.ndarray | None:
    """A piece that was done before; None if there is none, or a damaged one."""
    if path is None or not path.is_file():
        return None
    try:
        part = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError):
        return None
    return part if part.ndim == 2 and len(part) == n_moments else None
