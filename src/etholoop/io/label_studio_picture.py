"""Label Studio's percent of the picture shown ↔ source pixels, also where `normalise` cut, padded or scaled that picture.

A task's data hold ``width`` and ``height`` of the source and, where the picture is not the source's own, ``picture``: its width, height
and affine (source pixels → pixels of the picture).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from etholoop.core.affine import Affine

Box = list[float]
LEAST_SIDE_PX = 1e-4
"""A box with less than this in the picture shows nothing there."""


@dataclass(frozen=True)
class Picture:
    """What is shown of a source of ``source`` (width, height) pixels.

    Args:
        shown: width and height of the picture.
        affine: source pixels → pixels of the picture.
    """

    source: tuple[float, float]
    shown: tuple[float, float]
    affine: Affine

    @property
    def seen(self) -> Box:
        """The part of the source that the picture shows, as a box in source pixels."""
        left, top, right, bottom = self.affine.inverse().boxes(np.array([0.0, 0.0, *self.shown])).tolist()
        width, height = self.source
        return [max(left, 0.0), max(top, 0.0), min(right, width), min(bottom, height)]

    def percent(self, x: float, y: float) -> tuple[float, float]:
        """A place of the source in percent of the picture; may lie outside of 0 to 100."""
        if not self.affine.is_identity:
            x, y = self.affine.points(np.array([x, y])).tolist()
        return x * 100.0 / self.shown[0], y * 100.0 / self.shown[1]

    def source_place(self, x: float, y: float) -> tuple[float, float]:
        """A place in percent of the picture, in source pixels; may lie outside of the source."""
        place = x * self.shown[0] / 100, y * self.shown[1] / 100
        if self.affine.is_identity:
            return place
        x, y = self.affine.inverse().points(np.array(place)).tolist()
        return x, y

    def shows(self, x: float, y: float, tolerance_px: float = 0.0) -> bool:
        """Whether a place of the source is in the picture."""
        left, top, right, bottom = self.seen
        return left - tolerance_px <= x <= right + tolerance_px and top - tolerance_px <= y <= bottom + tolerance_px

    def cut(self, box: Sequence[float]) -> Box | None:
        """The part of a box (source pixels) that the picture shows; None where that is nothing."""
        left, top, right, bottom = self.seen
        inside = [max(box[0], left), max(box[1], top), min(box[2], right), min(box[3], bottom)]
        return inside if inside[2] - inside[0] >= LEAST_SIDE_PX and inside[3] - inside[1] >= LEAST_SIDE_PX else None

    def moved_inside(self, x: float, y: float) -> tuple[float, float]:
        """The nearest place of the source that the picture shows."""
        left, top, right, bottom = self.seen
        return min(max(x, left), right), min(max(y, top), bottom)


def picture_of(data: Mapping[str, Any]) -> Picture:
    """The picture of a question of `select` or of a task's data.

    Raises:
        ValueError: sizes that cannot be, or a picture that is turned or flattened: its boxes would not stand upright.
    """
    source = float(data["width"]), float(data["height"])
    given = data.get("picture")
    shown = (float(given["width"]), float(given["height"])) if given else source
    affine = Affine(*map(float, given["affine"])) if given else Affine()
    if min(*source, *shown) <= 0:
        raise ValueError(f"sizes {source} and {shown} cannot be those of a picture")
    if affine.b or affine.d or affine.a <= 0 or affine.e <= 0:
        raise ValueError(f"the picture is turned, mirrored or flattened ({affine}); only cut, padded and scaled ones can be labelled")
    return Picture(source, shown, affine)
