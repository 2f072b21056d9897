"""What a CVAT file holds, as plain records."""

from dataclasses import dataclass, field
from typing import NamedTuple

BOX, POINTS = "box", "points"
KINDS = (BOX, POINTS, "polygon", "polyline")
"""Shapes that are read; all but the box are lists of points."""


class Shape(NamedTuple):
    """One shape of a track in one frame.

    ``coordinates``: x_min, y_min, x_max, y_max of a box, otherwise x, y of one point after the other, in pixels of the video.
    ``outside``: the animal is not in view; CVAT hides the shape from here on until the next one. ``keyframe``: set by a person, not by CVAT
    between two keyframes. ``rotation``: degrees clockwise about the centre of a box. ``attributes``: (name, text) in the file's order.
    """

    frame: int
    coordinates: tuple[float, ...]
    kind: str = BOX
    outside: bool = False
    occluded: bool = False
    keyframe: bool = True
    z_order: int = 0
    rotation: float = 0.0
    attributes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Track:
    """One animal: its shapes by ascending frame. ``source`` tells who made it, by custom "manual" or "auto"."""

    id: int
    label: str
    shapes: tuple[Shape, ...] = ()
    source: str = "manual"


@dataclass(frozen=True)
class Meta:
    """What the file says about its video; None or '' = the file does not say. ``level``: task or job, '' = there is no such part."""

    level: str = ""
    name: str = ""
    size: int | None = None
    width: int | None = None
    height: int | None = None
    source: str = ""
    start_frame: int | None = None
    stop_frame: int | None = None


@dataclass(frozen=True)
class Annotations:
    """A CVAT file. ``unread``: how many shapes of other kinds (masks, ellipses, …) it holds, which nothing here uses."""

    tracks: tuple[Track, ...] = ()
    meta: Meta = field(default_factory=Meta)
    unread: dict[str, int] = field(default_factory=dict)

    @property
    def n_frames(self) -> int:
        """One more than the last frame with a shape; 0 where there is none. (``meta.size`` may be smaller or larger.)"""
        return max((track.shapes[-1].frame + 1 for track in self.tracks if track.shapes), default=0)
