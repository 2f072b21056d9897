"""Where a source picture lies in a derived one: cut out, scaled, put on a canvas."""

from dataclasses import dataclass
from typing import Literal

from etholoop.core.affine import Affine

Fit = Literal["keep", "pad", "crop", "stretch"]
Rect = tuple[int, int, int, int]


@dataclass(frozen=True)
class Layout:
    """``crop`` (x, y, width, height) of the source is scaled to ``scaled`` (width, height) and put at ``left, top`` of ``canvas``.

    All in pixels as shown. ``canvas`` is even: 4:2:0 video knows no other size.
    """

    crop: Rect
    scaled: tuple[int, int]
    left: int
    top: int
    canvas: tuple[int, int]

    @property
    def affine(self) -> Affine:
        """From source pixels to pixels of the canvas."""
        x, y, width, height = self.crop
        scale = Affine.scale(self.scaled[0] / width, self.scaled[1] / height)
        return Affine.shift(-x, -y).then(scale).then(Affine.shift(self.left, self.top))

    def changes(self, width: int, height: int) -> bool:
        """Whether a picture of this size comes out otherwise than it went in; an odd edge that is only filled up is no change."""
        return self.crop != (0, 0, width, height) or self.scaled != (width, height) or self.canvas != (_up(width), _up(height))


def layout(size: tuple[int, int], crop: Rect | None, width: int | None, height: int | None, fit: Fit) -> Layout:
    """Lay out pictures of ``size`` (width, height).

    ``keep`` scales down to fit into the wanted size, never up, and keeps the aspect ratio to the rounding of sides to even numbers;
    ``pad`` does the same, up too, and fills up to exactly that size around the middle; ``crop`` fills it and cuts off what stands
    over, evenly on both sides; ``stretch`` changes the aspect ratio. A side not given follows from the other. With neither, nothing
    is scaled, and an odd side is filled up by one pixel at its end.

    Raises:
        ValueError: the crop does not lie inside the picture.
    """
    rect = crop or (0, 0, *size)
    x, y, wide, high = rect
    if x < 0 or y < 0 or wide < 1 or high < 1 or x + wide > size[0] or y + high > size[1]:
        raise ValueError(f"crop {wide}x{high} at ({x}, {y}) does not lie inside a picture of {size[0]}x{size[1]} pixels")
    if width is None and height is None:
        return Layout(rect, (wide, high), 0, 0, (_up(wide), _up(high)))
    target = (_even(width or wide * (height or high) / high), _even(height or high * (width or wide) / wide))
    if fit == "stretch":
        return Layout(rect, target, 0, 0, target)
    if fit == "crop":
        return _filling(rect, target)
    ratio = min(target[0] / wide, target[1] / high)
    if fit == "keep":
        if ratio >= 1:
            return Layout(rect, (wide, high), 0, 0, (_up(wide), _up(high)))
        scaled = (min(target[0], _even(wide * ratio)), min(target[1], _even(high * ratio)))
        return Layout(rect, scaled, 0, 0, scaled)
    scaled = (min(target[0], max(1, round(wide * ratio))), min(target[1], max(1, round(high * ratio))))
    return Layout(rect, scaled, (target[0] - scaled[0]) // 2, (target[1] - scaled[1]) // 2, target)


def _filling(rect: Rect, target: tuple[int, int]) -> Layout:
    x, y, wide, high = rect
    ratio = max(target[0] / wide, target[1] / high)
    cut = (min(wide, max(1, round(target[0] / ratio))), min(high, max(1, round(target[1] / ratio))))
    return Layout((x + (wide - cut[0]) // 2, y + (high - cut[1]) // 2, *cut), target, 0, 0, target)


def _even(side: float) -> int:
    """The nearest even number from 2."""
    return max(2, 2 * round(side / 2))


def _up(side: int) -> int:
    return side + side % 2
