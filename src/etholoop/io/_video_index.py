"""The index of a video: which frames there are, how to recognise and reach each of them, and which cannot be used."""

import json
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from etholoop.errors import EthoLoopError
from etholoop.io import atomic

NO_TIME = np.iinfo(np.int64).min
"""Stands in ``VideoIndex.pts`` for a frame without time stamp."""


@dataclass(frozen=True)
class VideoInfo:
    """What a file holds. Width and height are as shown, after ``rotation`` (clockwise degrees).

    ``n_frames`` counts all frames that have a number, those in gaps included. ``n_frames_header`` is what the container claims, None
    if it claims nothing. ``fps`` is None when the file has no times. ``decoded`` tells whether every frame was decoded for the index.
    """

    n_frames: int
    n_frames_header: int | None
    fps: Fraction | None
    duration_s: float | None
    width: int
    height: int
    codec: str
    pix_fmt: str
    container: str
    rotation: int
    variable_rate: bool
    decoded: bool


@dataclass(frozen=True)
class Gap:
    """Frames ``[start_frame, stop_frame)`` that cannot be used.

    ``reason``: damaged (the decoder says so), dependent (made from damaged or missing frames), missing (the file ends before them),
    no_reference (they lean on frames before the beginning), other_size.
    """

    start_frame: int
    stop_frame: int
    reason: str


def _nothing(kind: type) -> np.ndarray:
    return np.zeros(0, kind)


@dataclass(frozen=True)
class VideoIndex:
    """Where each frame is.

    ``pts`` (n_frames,) int64: time stamp of each frame in units of ``time_base``, in the order of presentation.
    ``keyframes`` (k,) int64: numbers of the frames where decoding can start, ascending.
    ``timed``: stamps are all there and rising, so that they are the times of the frames.
    ``stamped``: stamps are all there and differ, so that frames can be recognised by them; if not, reading goes from the start.
    ``seeks`` (k,) int64: what to seek to for each keyframe; empty = its stamp.
    ``late`` (n_frames,) uint8: how many frames further on the last picture is shown that was stored before this one; empty = 0.
    """

    info: VideoInfo
    pts: np.ndarray
    keyframes: np.ndarray
    time_base: Fraction
    timed: bool
    gaps: tuple[Gap, ...] = ()
    stamped: bool | None = None
    seeks: np.ndarray = field(default_factory=lambda: _nothing(np.int64))
    late: np.ndarray = field(default_factory=lambda: _nothing(np.uint8))

    def __post_init__(self) -> None:
        if self.stamped is None:
            object.__setattr__(self, "stamped", self.timed)

    @cached_property
    def usable(self) -> np.ndarray:
        """(n_frames,) bool: frames outside the gaps."""
        usable = np.ones(self.info.n_frames, bool)
        for gap in self.gaps:
            usable[gap.start_frame : gap.stop_frame] = False
        usable.setflags(write=False)
        return usable

    def gap_at(self, frame: int) -> Gap | None:
        """The gap that holds ``frame``, None where it can be used."""
        return next((gap for gap in self.gaps if gap.start_frame <= frame < gap.stop_frame), None)

    def times_s(self) -> np.ndarray:
        """Seconds from the first frame, (n_frames,) float64; NaN where the file gives no times."""
        if not self.timed:
            return np.full(len(self.pts), np.nan)
        return (self.pts - self.pts[0]) * float(self.time_base)

    def frame_at(self, seconds: float) -> int:
        """Number of the frame that is shown ``seconds`` after the first one.

        Raises:
            EthoLoopError: the file gives no times, or nothing is shown then.
        """
        if not self.timed:
            raise EthoLoopError("the file gives no usable times; ask for frames by number.")
        end = float((self.pts[-1] - self.pts[0]) * self.time_base + self._last_period())
        if not 0 <= seconds < end:
            raise EthoLoopError(f"{seconds} s was asked for; the video is shown from 0 to {end:.6g} s.")
        # stamps are whole numbers: a time that was rounded in arithmetic still belongs to the frame it was made from
        stamp = int(self.pts[0]) + seconds / float(self.time_base) + 1e-3
        return int(np.searchsorted(self.pts, stamp, side="right")) - 1

    def _last_period(self) -> Fraction:
        if self.info.fps:
            return 1 / self.info.fps
        return self.time_base

    def start_for(self, frame: int) -> int:
        """The last keyframe at or before ``frame``; 0 when there is none or frames cannot be recognised."""
        place = self.key_place(frame)
        return int(self.keyframes[place]) if place >= 0 else 0

    def key_place(self, frame: int) -> int:
        """Place in ``keyframes`` of the last one at or before ``frame``; -1 when there is none or frames cannot be recognised."""
        return int(np.searchsorted(self.keyframes, frame, side="right")) - 1 if self.stamped else -1

    def number_of(self, stamp: int | None) -> int:
        """Number of the frame with this stamp, -1 when there is none."""
        if stamp is None:
            return -1
        stamps = self.pts if self.timed else self._stamps[0]
        place = int(np.searchsorted(stamps, stamp))
        if place >= len(stamps) or stamps[place] != stamp:
            return -1
        return place if self.timed else int(self._stamps[1][place])

    @cached_property
    def _stamps(self) -> tuple[np.ndarray, np.ndarray]:
        """Stamps ascending, and the number of each."""
        order = np.argsort(self.pts, kind="stable")
        return self.pts[order], order

    def save(self, path: Path) -> None:
        """Write as ``.npz``; the same index gives the same bytes."""
        info = {**asdict(self.info), "fps": str(self.info.fps) if self.info.fps is not None else None}
        meta = {"info": info, "time_base": str(self.time_base), "timed": self.timed, "stamped": self.stamped}
        meta["gaps"] = [asdict(gap) for gap in self.gaps]
        # differences of times compress to almost nothing
        arrays: dict[str, Any] = {"pts_steps": np.diff(self.pts, prepend=0), "keyframes": self.keyframes}
        arrays |= {"seeks": self.seeks, "late": self.late}
        with atomic.new_file(path) as temporary, temporary.open("wb") as stream:
            np.savez_compressed(stream, meta=np.array(json.dumps(meta, sort_keys=True)), **arrays)

    @classmethod
    def load(cls, path: Path) -> "VideoIndex":
        """Read what :meth:`save` wrote.

        Raises:
            EthoLoopError: the file is missing or damaged.
        """
        try:
            with np.load(path, allow_pickle=False) as arrays:
                meta = json.loads(str(arrays["meta"]))
                steps = arrays["pts_steps"]
                pts = np.cumsum(steps, out=steps)
                found = {name: arrays[name] for name in ("keyframes", "seeks", "late")}
            info = meta.pop("info")
            info["fps"] = Fraction(info["fps"]) if info["fps"] is not None else None
            gaps = tuple(Gap(**gap) for gap in meta.pop("gaps"))
            time_base = Fraction(meta.pop("time_base"))
            return cls(VideoInfo(**info), pts, time_base=time_base, gaps=gaps, **found, **meta)
        except Exception as error:  # numpy, zipfile and missing keys raise several unrelated types for a damaged file
            raise EthoLoopError(f"{path}: not readable as a video index ({error}). Run `etholoop repro` to make it again.") from error
