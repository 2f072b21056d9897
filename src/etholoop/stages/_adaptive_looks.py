"""behaviour_predict with a stride that adapts itself: which moments of the animals of one piece are judged, and what fills the others in.

All animals of a piece are refined together, a window of time after the other. The small pictures of a window are kept while the refinement
(:mod:`etholoop.core.refinement`) asks for clips of them: memory depends on the number of animals and not on the length of a video.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import numpy as np

from etholoop.core.refinement import Check, Refinement, Wish

ROOM_BYTES = 256 * 1024**2
"""Small pictures of a window take about so much, but for windows of the least length."""

LEAST_WINDOW, MOST_WINDOW = 60, 250
"""Frames of a window."""

Clip = tuple[int, int, np.ndarray]
"""Track, moment, and the frames (t,) whose pictures make it up."""


class Kept(Protocol):
    """What was looked at by frame and track, read from front to back, and how a clip is made of it."""

    kept: dict[int, dict[int, Any]]
    clip: Callable[[list[Any]], np.ndarray]

    def advance(self, frame: int) -> None: ...

    def forget(self, before: int) -> None: ...


@dataclass(frozen=True)
class Found:
    """Places (track, moment), probabilities (n, K) float32, whether each was ``judged`` (n,), and what is known of the agreement."""

    places: list[tuple[int, int]]
    scores: np.ndarray
    judged: np.ndarray
    check: Check


def adapted(
    clips: list[Clip],
    pictures: Kept,
    predict: Callable[[np.ndarray], np.ndarray],
    *,
    rate: int,
    wish: Wish,
    batch: int,
    exclusive: bool,
    picture_bytes: int,
    needed_later: int | None,
) -> Found:
    """All moments of a piece.

    Args:
        clips: in any order; of one track each moment once.
        pictures: advanced and told to forget as it goes.
        predict: clips (n, t, h, w, 3) → probabilities (n, K).
        rate: frames from one picture of a clip to the next.
        batch: clips at a time.
        exclusive: the probabilities of a moment add up to 1.
        picture_bytes: memory of one small picture, about.
        needed_later: first frame that later pieces need; None if there are none.
    """
    clips = sorted(clips, key=lambda clip: (clip[1], clip[0]))
    found = []
    for number, window in enumerate(windows := list(_windows(clips, picture_bytes))):
        for clip in sorted(window, key=lambda clip: int(clip[2].max())):
            pictures.advance(int(clip[2].max()))
        found.append(_window(window, pictures, predict, rate=rate, wish=wish, batch=batch, exclusive=exclusive))
        later = [int(clip[2].min()) for other in windows[number + 1 :] for clip in other]
        still = [*later, *([needed_later] if needed_later is not None else [])]
        if still:
            pictures.forget(min(still))
    places = [place for one in found for place in one.places]
    parts = [(one.scores, one.judged) for one in found]
    check = sum((one.check for one in found), Check())
    return Found(places, np.concatenate([scores for scores, _ in parts]), np.concatenate([judged for _, judged in parts]), check)


def _windows(clips: list[Clip], picture_bytes: int) -> Iterator[list[Clip]]:
    """Clips by time, in windows of about equal length."""
    if not clips:
        return
    n_tracks = len({track for track, _, _ in clips})
    reach = max(int(frames.max() - frames.min()) for _, _, frames in clips)
    room = ROOM_BYTES // (n_tracks * picture_bytes) - reach
    first, last = clips[0][1], clips[-1][1]
    n_windows = math.ceil((last - first + 1) / min(MOST_WINDOW, max(LEAST_WINDOW, room)))
    number_of = [(moment - first) * n_windows // (last - first + 1) for _, moment, _ in clips]
    for number in range(n_windows):
        own = [clip for clip, its in zip(clips, number_of, strict=True) if its == number]
        if own:
            yield own


def _window(
    clips: list[Clip], pictures: Kept, predict: Callable[[np.ndarray], np.ndarray], *, rate: int, wish: Wish, batch: int, exclusive: bool
) -> Found:
    clips = sorted(clips, key=lambda clip: clip[:2])
    refinement = Refinement(stretches([clip[:2] for clip in clips]), rate, wish, seed=clips[0][1], exclusive=exclusive)
    while len(asked := refinement.ask()):
        refinement.tell(_judged([clips[row] for row in asked.tolist()], pictures, predict, batch))
    return Found([clip[:2] for clip in clips], refinement.probabilities, refinement.judged, refinement.check)


def stretches(places: list[tuple[int, int]]) -> list[int]:
    """Lengths of the runs of moments one frame apart of one track; places are sorted."""
    ends = [number for number, (one, other) in enumerate(pairwise(places), 1) if other != (one[0], one[1] + 1)]
    bounds = [0, *ends, len(places)]
    return [stop - start for start, stop in pairwise(bounds)]


def _judged(clips: list[Clip], pictures: Kept, predict: Callable[[np.ndarray], np.ndarray], batch: int) -> np.ndarray:
    """Probabilities (n, K), clips of one size together."""
    found: dict[int, Any] = {}
    for start in range(0, len(clips), batch):
        made = [
            pictures.clip([pictures.kept[frame][track] for frame in frames.tolist()]) for track, _, frames in clips[start : start + batch]
        ]
        by_shape: dict[tuple[int, ...], list[int]] = {}
        for number, clip in enumerate(made):
            by_shape.setdefault(clip.shape, []).append(number)
        for own in by_shape.values():
            found |= dict(zip([start + number for number in own], predict(np.stack([made[number] for number in own])), strict=True))
    return np.stack([found[number] for number in range(len(clips))])
