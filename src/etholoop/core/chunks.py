"""Pieces of long videos: small enough that a kill costs little, cut at places that do not move when a frame is added."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Frames = NDArray[np.int64]

LONGEST_RUN = 16
"""Pieces that are decoded in one go."""


def chunks(frames: ArrayLike, size: int = 500) -> list[Frames]:
    """Cut ascending frame numbers into pieces of at most ``size``.

    A range of frame numbers that holds too many is halved, and its halves again, down to ranges of ``size`` numbers that start at a
    multiple of ``size``. Consecutive frames give 0–499, 500–999 and so on; another frame changes the piece it falls into and no other,
    unless that piece is full. No frames give no pieces.

    Raises:
        ValueError: numbers that do not ascend, or lie below 0.
    """
    numbers = np.asarray(frames, dtype=np.int64)
    if not len(numbers):
        return []
    if numbers[0] < 0 or np.any(np.diff(numbers) <= 0):
        raise ValueError("frame numbers must ascend and be 0 or more")
    width = size
    while width <= numbers[-1]:
        width *= 2
    return _halved(numbers, 0, width, size)


def _halved(numbers: Frames, start: int, width: int, size: int) -> list[Frames]:
    """Pieces of the numbers of ``[start, start + width)``."""
    if len(numbers) <= size:
        return [numbers] if len(numbers) else []
    middle = start + width // 2
    left, right = np.split(numbers, [int(np.searchsorted(numbers, middle))])
    return _halved(left, start, width // 2, size) + _halved(right, middle, width // 2, size)


def spans(frames: ArrayLike, width: int = 500) -> list[Frames]:
    """Cut ascending frame numbers at every multiple of ``width``: for work that decodes all frames on the way from one to the next."""
    numbers = np.asarray(frames, dtype=np.int64)
    cuts = np.flatnonzero(np.diff(numbers // width)) + 1
    return np.split(numbers, cuts) if len(numbers) else []


def runs(pieces: Sequence[Frames], keyframes: ArrayLike, n_runs: int) -> list[list[int]]:
    """Which pieces of one video are decoded in one go, as places in ``pieces``.

    Starting a piece costs the frames from the keyframe before it. The pieces are dealt into about ``n_runs`` runs of neighbours (not
    longer than ``LONGEST_RUN``), and where the way from the keyframe to the next piece is longer than that piece itself, the run goes
    on instead. How pieces are dealt decides the time and never a result.

    Args:
        pieces: ascending pieces of one video, from :func:`chunks`.
        keyframes: frame numbers where decoding can start, ascending.
        n_runs: how many runs would keep all workers busy.
    """
    keys = np.asarray(keyframes, dtype=np.int64)
    longest = min(LONGEST_RUN, -(-len(pieces) // max(n_runs, 1)))
    dealt: list[list[int]] = []
    for place, piece in enumerate(pieces):
        on = dealt and (len(dealt[-1]) < longest or _way(piece, keys) > _length(piece))
        if on:
            dealt[-1].append(place)
        else:
            dealt.append([place])
    return dealt


def _way(piece: Frames, keys: Frames) -> int:
    """Frames to decode before the first frame of a piece."""
    place = int(np.searchsorted(keys, piece[0], side="right")) - 1
    return int(piece[0] - (keys[place] if place >= 0 else 0))


def _length(piece: Frames) -> int:
    return int(piece[-1] - piece[0]) + 1


def label_of(piece: Frames) -> str:
    """``frames 500–999`` or ``frame 7``, for people."""
    return f"frame {piece[0]}" if len(piece) == 1 else f"frames {piece[0]}–{piece[-1]}"
