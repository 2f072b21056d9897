"""Decoded pictures as arrays: colour, size and display rotation in one chain of filters that uses its memory again.

A converter that takes new memory for every picture spends as long on clearing that memory as on converting. The chain keeps a pool of
pictures: an array is a view of one of them, which goes back to the pool when the array is gone.
"""

from fractions import Fraction

import av
import numpy as np
from av.filter import Graph
from av.video.reformatter import VideoReformatter

TURNS = {0: (), 90: (("transpose", "dir=1"),), 180: (("hflip", ""), ("vflip", "")), 270: (("transpose", "dir=2"),)}

FIELDS = "interl=-1:"
"""Interlaced pictures are converted field by field."""


class Pixels:
    """Turns pictures of one file into uint8 arrays (height, width, 3) RGB, or (height, width) with ``grey``.

    Args:
        rotation: clockwise degrees, a multiple of 90.
        size: (width, height) as shown, None = that of the picture.
        grey: the picture's own luma, stretched to 0..255. It is within rounding of the grey of its RGB image only for BT.601 colours.
    """

    def __init__(self, rotation: int = 0, size: tuple[int, int] | None = None, grey: bool = False):
        self.rotation, self.grey, self.size = rotation, grey, size
        self._graph: Graph | None = None
        self._to_rgb = VideoReformatter()
        self._made_for: tuple = ()

    def array(self, picture: av.VideoFrame) -> np.ndarray:
        """The picture as an array that nobody else writes to."""
        own_format = "gray" if self.grey else "rgb24"
        borrowed = picture.format.name == own_format  # it would come through as it is, and the decoder may still need it
        if self._deep(picture):
            picture = self._to_rgb.reformat(picture, format="rgb24", threads=1)
        kind = (picture.width, picture.height, picture.format.name, picture.colorspace, picture.color_range)
        if self._graph is None or kind != self._made_for:
            self._graph, self._made_for = self._chain(picture), kind
        self._graph.vpush(picture)
        shown = self._graph.vpull()
        channels = 1 if self.grey else 3
        plane = shown.planes[0]
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[: shown.height, : shown.width * channels]
        image = rows.copy() if borrowed else np.ascontiguousarray(rows)  # rows may be padded
        return image if self.grey else image.reshape(shown.height, shown.width, 3)

    def _deep(self, picture: av.VideoFrame) -> bool:
        """Whether the picture has more than 8 bits and only becomes RGB. The filter would take an untold place of the colours for another
        one than the converter does by itself."""
        return self.size is None and not self.grey and picture.format.components[0].bits > 8

    def _chain(self, picture: av.VideoFrame) -> Graph:
        graph = Graph()
        graph.threads = 1
        last = graph.add_buffer(width=picture.width, height=picture.height, format=picture.format, time_base=Fraction(1, 1000))
        steps = [("scale", self._scale(picture)), ("format", "gray" if self.grey else "rgb24"), *TURNS[self.rotation], ("buffersink", "")]
        for name, arguments in steps:
            node = graph.add(name, arguments or None)
            last.link_to(node)
            last = node
        graph.configure()
        return graph

    def _scale(self, picture: av.VideoFrame) -> str:
        # "pc" = 0..255, the range of RGB
        colour = FIELDS + ("out_range=pc:" if self.grey else "")
        if self.size is None:
            return f"{colour}flags=bilinear"
        width, height = self.size if self.rotation % 180 == 0 else self.size[::-1]
        shrinks = width <= picture.width and height <= picture.height
        return f"{colour}w={width}:h={height}:flags={'area' if shrinks else 'bicubic'}"
