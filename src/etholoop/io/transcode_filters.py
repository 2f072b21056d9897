"""Pictures on their way from a source to a derived video: turned, cut, cleaned, corrected, scaled, masked.

All of it in whole-number arithmetic that does not depend on the processor (``accurate_rnd+bitexact``).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av.error
import numpy as np
from av.filter import Graph
from av.video.frame import VideoFrame

from etholoop.core.picture_layout import Layout
from etholoop.errors import EthoLoopError

FLAGS = "lanczos+accurate_rnd+bitexact+full_chroma_int+full_chroma_inp"
TEMPORAL_SPAN = 9
"""Frames that the temporal denoiser looks at: four before, the frame itself, four after."""
TURNS = {0: (), 90: (("transpose", "clock"),), 180: (("hflip", ""), ("vflip", "")), 270: (("transpose", "cclock"),)}
DENOISERS = {
    "temporal": (("atadenoise", f"s={TEMPORAL_SPAN}"),),
    "spatial": (("bilateral", "sigmaS=2:sigmaR=0.05"),),
    "strong": (("nlmeans", "s=3"),),
}
TV, UNSPECIFIED = 1, (0, 2)
"""Numbers of ITU-T H.273 and FFmpeg: narrow range; matrices that say nothing (RGB, unspecified)."""
BT601 = 6


@dataclass(frozen=True)
class Recipe:
    """What is done to each picture, in this order.

    ``rotation`` clockwise degrees as the file asks for; ``layout`` cuts first and scales last. ``gamma``, ``brightness`` and
    ``contrast`` act on luma v in 0..1: ``(contrast (v - 0.5) + 0.5 + brightness) ** (1 / gamma)``. ``deflicker`` evens out the mean
    brightness over so many frames, 0 = off. ``mask`` (h, w) bool of the canvas: True = kept, the rest black; None = all kept.
    """

    layout: Layout
    rotation: int = 0
    grey: bool = False
    gamma: float = 1.0
    brightness: float = 0.0
    contrast: float = 1.0
    denoise: str | None = None
    deflicker: int = 0
    mask: np.ndarray | None = field(default=None, compare=False)

    @property
    def context(self) -> tuple[int, int]:
        """Frames before and after a frame that its result depends on."""
        around = TEMPORAL_SPAN // 2 if self.denoise == "temporal" else 0
        return around, around + (self.deflicker + 1 if self.deflicker else 0)


def filtered(pictures: Iterable[VideoFrame], recipe: Recipe) -> Iterator[VideoFrame]:
    """One yuv420p picture, narrow range, for each picture in their order; the colour matrix stays that of the source.

    Raises:
        EthoLoopError: pictures of differing size or format.
    """
    first: VideoFrame | None = None
    graph: Graph | None = None
    for picture in pictures:
        if graph is None or first is None:
            first, graph = picture, _graph(picture, recipe)
        _same_kind(picture, first)
        picture.pts, picture.time_base = None, Fraction(1, 25)
        graph.push(picture)
        yield from _ready(graph, recipe)
    if graph is not None:
        graph.push(None)
        yield from _ready(graph, recipe)


def chain(picture: VideoFrame, recipe: Recipe) -> list[tuple[str, str]]:
    """Names and arguments of the filters for pictures like this one."""
    place = recipe.layout
    x, y, width, height = place.crop
    shown = (picture.width, picture.height) if recipe.rotation % 180 == 0 else (picture.height, picture.width)
    # filters round odd places and sides down where two pixels share a colour
    odd = (x | y | width | height | place.left | place.top | place.scaled[0] | place.scaled[1]) & 1
    work = "gray" if recipe.grey else "yuv444p" if odd else "yuv420p"
    steps: list[tuple[str, str]] = [*TURNS[recipe.rotation]]
    matrix = ":out_color_matrix=bt601" if picture.format.is_rgb else ""
    # interlaced pictures are converted field by field
    steps += [("scale", f"interl=-1:flags={FLAGS}:out_range=tv{matrix}"), ("format", work)]
    if place.crop != (0, 0, *shown):
        steps.append(("crop", f"{width}:{height}:{x}:{y}:exact=1"))
    if recipe.denoise:
        steps += DENOISERS[recipe.denoise]
    if recipe.deflicker:
        steps.append(("deflicker", f"size={recipe.deflicker}"))
    if (recipe.gamma, recipe.brightness, recipe.contrast) != (1, 0, 1):
        steps.append(("lutyuv", _correction(recipe)))
    if place.scaled != (width, height):
        steps.append(("scale", f"{place.scaled[0]}:{place.scaled[1]}:flags={FLAGS}"))
    steps += _on_canvas(place)
    return [*steps, ("scale", f"flags={FLAGS}:out_range=tv"), ("format", "yuv420p")]


def _on_canvas(place: Layout) -> list[tuple[str, str]]:
    right, bottom = place.canvas[0] - place.scaled[0] - place.left, place.canvas[1] - place.scaled[1] - place.top
    if not (place.left or place.top or right or bottom):
        return []
    steps = [("pad", f"{place.canvas[0]}:{place.canvas[1]}:{place.left}:{place.top}:black")]
    if not (place.left or place.top) and right < 2 and bottom < 2:
        # one pixel that only makes a side even must not look like a black line
        steps.append(("fillborders", f"right={right}:bottom={bottom}:mode=smear"))
    return steps


def _correction(recipe: Recipe) -> str:
    value = f"{recipe.contrast!r}*(val/255-0.5)+0.5+{recipe.brightness!r}"
    return f"y='clip(256*pow(max({value},0),1/{recipe.gamma!r}),0,255)'"


def _graph(picture: VideoFrame, recipe: Recipe) -> Graph:
    graph = Graph()
    # one thread: chunks side by side use the cores
    graph.threads = 1
    matrix = f":colorspace={int(picture.colorspace)}" if int(picture.colorspace) not in UNSPECIFIED else ""
    spread = f":range={int(picture.color_range)}" if int(picture.color_range) in (1, 2) else ""
    size = f"video_size={picture.width}x{picture.height}:pix_fmt={picture.format.name}:time_base=1/25:pixel_aspect=1/1"
    last: Any = graph.add("buffer", size + matrix + spread)
    for name, arguments in [*chain(picture, recipe), ("buffersink", "")]:
        step = graph.add(name, arguments)
        last.link_to(step)
        last = step
    graph.configure()
    return graph


def _same_kind(picture: VideoFrame, first: VideoFrame) -> None:
    found, expected = [(one.width, one.height, one.format.name) for one in (picture, first)]
    if found != expected:
        raise EthoLoopError(f"pictures of one video must be alike, found {found[0]}x{found[1]} {found[2]} after {expected}")


def _ready(graph: Graph, recipe: Recipe) -> Iterator[VideoFrame]:
    while True:
        try:
            picture: Any = graph.pull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return
        planes = picture.to_ndarray()
        if recipe.mask is not None:
            _black_out(planes, recipe.mask)
        yield clean(planes, int(picture.colorspace))


def clean(planes: np.ndarray, matrix: int = BT601) -> VideoFrame:
    """A picture of yuv420p planes (height * 3 / 2, width) that carries nothing else over from where it comes."""
    frame = VideoFrame.from_ndarray(planes, format="yuv420p")
    frame.color_range, frame.colorspace = TV, BT601 if matrix in UNSPECIFIED else matrix
    return frame


def _black_out(planes: np.ndarray, mask: np.ndarray) -> None:
    """Black where the mask is False; a chroma sample goes where all of its four pixels go."""
    height, width = mask.shape
    planes[:height][~mask] = 16
    kept = mask.reshape(height // 2, 2, width // 2, 2).any(axis=(1, 3))
    for number in (0, 1):
        chroma = planes.reshape(-1)[height * width * (4 + number) // 4 :][: height * width // 4].reshape(height // 2, width // 2)
        chroma[~kept] = 128
