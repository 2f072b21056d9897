"""Clips: which frames a behaviour network sees for one moment, and how many clips become one pass through the video.

A clip of ``n_frames`` pictures, ``rate`` frames apart, lies around its moment: frames m − ⌊n·rate / 2⌋ + k·rate, k = 0 … n − 1. What
lies before the first or behind the last frame of the video is that frame. With 16 frames at rate 5 these are m − 40 … m + 35.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from etholoop.errors import EthoLoopError


@dataclass(frozen=True)
class ClipRule:
    """Pictures of a clip and the frames between them."""

    n_frames: int
    rate: int

    def __post_init__(self) -> None:
        if self.n_frames < 1 or self.rate < 1:
            raise EthoLoopError(f"clips of {self.n_frames} frames at a rate of {self.rate}: both must be 1 or more.")

    @property
    def first(self) -> int:
        """The first frame of a clip, counted from its moment."""
        return -(self.n_frames * self.rate // 2)

    def frames(self, moments: np.ndarray, n_video_frames: int) -> np.ndarray:
        """Frames (m, n_frames) int64 of the clips around ``moments`` (m,)."""
        offsets = self.first + self.rate * np.arange(self.n_frames)
        return np.clip(np.asarray(moments, np.int64)[:, None] + offsets, 0, n_video_frames - 1)


@dataclass(frozen=True)
class Unit:
    """Clips that share pictures: one sequence of pictures, in which clip k begins at picture ``k · step``.

    ``moments`` (m,) are the clips' moments, ascending. ``pictures`` (p,) are frames of the video; behind those of the last clip the last
    one is repeated until the sequence has the length of a full unit.
    """

    moments: np.ndarray
    pictures: np.ndarray
    step: int


def step_of(rule: ClipRule, stride: int) -> int:
    """Pictures from one clip of a unit to the next, where moments are ``stride`` frames apart."""
    return math.lcm(stride, rule.rate) // rule.rate


def units(moments: np.ndarray, n_video_frames: int, rule: ClipRule, size: int) -> list[Unit]:
    """All clips of a video in units of up to ``size``, ordered so that one pass through the video serves them.

    Clips of moments that lie a multiple of the rate apart see the same pictures, one further on: such clips make up a unit.

    Args:
        moments: (m,) ascending, equally spaced.
        n_video_frames: of the video.
        size: clips of a full unit.
    """
    moments = np.asarray(moments, np.int64)
    stride = int(moments[1] - moments[0]) if len(moments) > 1 else 1
    if (np.diff(moments) != stride).any():
        raise EthoLoopError("moments of clips must be equally spaced.")
    apart = math.lcm(stride, rule.rate) // stride
    found = []
    for first in range(min(apart, len(moments))):
        own = moments[first::apart]
        found += [_unit(own[start : start + size], n_video_frames, rule, step_of(rule, stride), size) for start in range(0, len(own), size)]
    return sorted(found, key=lambda unit: (unit.moments[-1], unit.moments[0]))


def _unit(moments: np.ndarray, n_video_frames: int, rule: ClipRule, step: int, size: int) -> Unit:
    n_own, n_all = step * (len(moments) - 1) + rule.n_frames, step * (size - 1) + rule.n_frames
    places = np.minimum(np.arange(n_all), n_own - 1)
    pictures = np.clip(moments[0] + rule.first + rule.rate * places, 0, n_video_frames - 1)
    return Unit(moments, pictures, step)


def frames_needed(plan: list[Unit]) -> np.ndarray:
    """Frames that the units are made of, ascending, each once."""
    return np.unique(np.concatenate([unit.pictures for unit in plan])) if plan else np.zeros(0, np.int64)


def windows(plan: list[Unit], images: Iterable[tuple[int, np.ndarray]]) -> Iterator[tuple[Unit, np.ndarray]]:
    """Each unit with its pictures (p, height, width, 3), as soon as they have come; only pictures still needed are kept.

    Args:
        plan: from :func:`units`.
        images: ``(frame, picture)`` of :func:`frames_needed`, ascending.

    Raises:
        EthoLoopError: the images end before a unit is complete.
    """
    # for each unit, the first frame that it or any later one needs
    oldest = np.minimum.accumulate([unit.pictures.min() for unit in plan][::-1])[::-1].tolist() if plan else []
    kept: dict[int, np.ndarray] = {}
    place = 0
    for frame, image in images:
        kept[frame] = image
        while place < len(plan) and int(plan[place].pictures.max()) <= frame:
            unit = plan[place]
            yield unit, np.stack([kept[picture] for picture in unit.pictures.tolist()])
            place += 1
            limit = oldest[place] if place < len(plan) else frame + 1
            for number in [number for number in kept if number < limit]:
                del kept[number]
    if place < len(plan):
        missing = int(plan[place].pictures.max())
        raise EthoLoopError(f"the pictures ended before frame {missing}, which clips up to frame {plan[-1].moments[-1]} need.")


def nearest_moment(n: int, stride: int) -> np.ndarray:
    """For each of ``n`` frames the place of the nearest of the moments 0, stride, 2·stride, … below ``n``; of two the earlier. (n,)"""
    last = (n - 1) // stride
    return np.minimum((2 * np.arange(n) + stride - 1) // (2 * stride), last)
