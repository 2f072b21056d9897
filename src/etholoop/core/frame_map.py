"""Which frame of a source each frame of a derived video shows.

A constant rate is made by one rule: derived frame ``k`` stands for the time ``k / fps`` after the first source frame and shows the
source frame whose time is nearest, the earlier one of two that are equally near. So frames are dropped where the source is faster,
shown again where it is slower, and a variable rate needs no case of its own.
"""

from dataclasses import dataclass
from fractions import Fraction
from math import ceil

import numpy as np
from numpy.typing import ArrayLike, NDArray

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class FrameMap:
    """``source`` (n,) int64: the source frame that each derived frame shows; never falling, because time runs forwards."""

    source: Ints

    def __post_init__(self) -> None:
        if self.source.ndim != 1 or (len(self.source) and self.source[0] < 0) or np.any(np.diff(self.source) < 0):
            raise ValueError("a frame map needs source frame numbers from 0 that never fall")

    @property
    def n_frames(self) -> int:
        """Number of derived frames."""
        return len(self.source)

    @property
    def frames(self) -> Ints:
        """Source frames that are shown, ascending, each once."""
        return np.unique(self.source)

    def to_source(self, derived: ArrayLike) -> Ints:
        """Source frames shown by derived frames.

        Raises:
            ValueError: a derived frame that does not exist.
        """
        derived = np.asarray(derived, dtype=np.int64)
        if derived.size and (derived.min() < 0 or derived.max() >= self.n_frames):
            raise ValueError(f"derived frames go from 0 to {self.n_frames - 1}, found {derived.min()} to {derived.max()}")
        return self.source[derived]

    def to_derived(self, source: ArrayLike) -> Ints:
        """The first derived frame that shows each source frame.

        Raises:
            ValueError: a source frame that no derived frame shows.
        """
        source = np.asarray(source, dtype=np.int64)
        place = np.minimum(np.searchsorted(self.source, source), max(self.n_frames - 1, 0))
        missing = source[self.source[place] != source] if self.n_frames else source
        if missing.size:
            raise ValueError(f"source frame {np.ravel(missing)[0]} is not shown by any derived frame")
        return place

    def nearest_derived(self, source: ArrayLike) -> Ints:
        """The first derived frame that shows the nearest shown source frame by number, the earlier of two; for jumping in a player."""
        source = np.asarray(source, dtype=np.int64)
        frames = self.frames
        after = np.clip(np.searchsorted(frames, source), 0, len(frames) - 1)
        before = np.maximum(after - 1, 0)
        nearer = np.where(source - frames[before] <= frames[after] - source, before, after)
        return self.to_derived(frames[nearer])


def one_to_one(frames: ArrayLike) -> FrameMap:
    """Every one of these source frames once."""
    return FrameMap(np.asarray(frames, dtype=np.int64))


def first_seconds(frames: Ints, ticks: Ints, tick_s: Fraction, seconds: Fraction | None) -> FrameMap:
    """Each frame that begins before ``seconds`` once; arguments as in :func:`constant_rate`."""
    if seconds is None or not len(frames):
        return one_to_one(frames)
    limit = seconds / tick_s  # in ticks after the first frame
    return one_to_one(frames[(ticks - ticks[0]) * limit.denominator < limit.numerator])


def constant_rate(frames: Ints, ticks: Ints, tick_s: Fraction, fps: Fraction, seconds: Fraction | None = None) -> FrameMap:
    """A constant rate of ``fps``, from the first frame to the end of the last one or to ``seconds``.

    Args:
        frames: (n,) numbers of the source frames that can be used, ascending.
        ticks: (n,) their times in units of ``tick_s`` seconds, rising. The last frame is taken to last as long as the
            median one.
        tick_s: length of a tick.
    """
    if not len(frames):
        return one_to_one(frames)
    # the median: a gap before the end must not make the last frame long
    last = Fraction(float(np.median(np.diff(ticks)))) * tick_s if len(ticks) > 1 else 1 / fps
    length = (int(ticks[-1]) - int(ticks[0])) * tick_s + last
    if seconds is not None:
        length = min(length, seconds)
    n = max(1, ceil(length * fps))
    return FrameMap(frames[_nearest(ticks - ticks[0], 1 / (fps * tick_s), n)])


def _nearest(ticks: Ints, step: Fraction, n: int) -> Ints:
    """Place in ``ticks`` that is nearest to each of ``0, step, 2 step, …``; whole numbers only, so that a tie is a tie."""
    p, q = step.numerator, step.denominator
    # twice the largest number must fit; exact rates of real videos are far below this
    kind = np.int64 if 2 * (n * p + int(ticks[-1]) * q) < 2**62 else object
    scaled = ticks.astype(kind) * q
    wanted = np.arange(n).astype(kind) * p
    middles = scaled[:-1] + scaled[1:]  # twice the middle between neighbours
    return np.searchsorted(middles, 2 * wanted, side="left").astype(np.int64)
