"""Pieces of derived videos: each is made by itself, from its own source frames, and gives the same bytes wherever and whenever."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from etholoop.io.memo import digest
from etholoop.stages._normalise_plan import Plan

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

    from etholoop.io.sources import Source
    from etholoop.io.transcode import Encoding
    from etholoop.io.transcode_filters import Recipe

CHUNK = 500
"""Source frames of one piece at most: what a kill can cost."""


@dataclass(frozen=True)
class Chunk:
    """Derived frames ``[start, stop)`` of one source.

    ``frames``: source frames that are fed in, with those that filters look at before and after; ``skip`` results come before the
    piece. ``ticks`` are the times of the piece. ``path`` is the video; ``images`` the files of a folder of images, by frame fed.
    """

    video_id: str
    start: int
    stop: int
    frames: tuple[int, ...]
    skip: int
    ticks: tuple[int, ...]
    recipe: "Recipe"
    encoding: "Encoding"
    keep: tuple[Any, ...]
    hide: tuple[Any, ...]
    path: Path
    index_path: Path | None
    images: tuple[Path, ...]

    def key(self, identity: str) -> str:
        """Digest of everything that decides the bytes; ``identity`` is that of the source's content."""
        from etholoop.io.transcode import VERSION, library

        return digest(
            version=VERSION,
            library=library(),
            source=identity,
            times=hashlib.sha256(np.array([*self.frames, -1, *self.ticks], np.int64).tobytes()).hexdigest(),
            skip=self.skip,
            recipe={name: value for name, value in asdict(self.recipe).items() if name != "mask"},
            encoding={name: str(value) for name, value in asdict(self.encoding).items()},
            masks=[self.keep, self.hide],
        )

    @property
    def cost_s(self) -> float:
        """Rough seconds on one core: encoding by pixels, and decoding."""
        width, height = self.encoding.width, self.encoding.height
        return len(self.frames) * (width * height / 15e6 + 0.002)


def recipe_of(plan: Plan) -> "Recipe":
    """What is done to each picture of a source."""
    from etholoop.io.transcode_filters import Recipe

    names = ("grey", "gamma", "brightness", "contrast", "denoise", "deflicker")
    return Recipe(plan.layout, plan.rotation, **{name: plan.wanted[name] for name in names})


def chunks_of(source: "Source", plan: Plan, encoding: "Encoding") -> list[Chunk]:
    """The pieces of one derived video, in their order."""
    recipe = recipe_of(plan)
    before, after = recipe.context
    places = dict(zip(source.frames.tolist(), source.image_paths, strict=True)) if source.kind == "images" else {}
    keep, hide = _points(plan.wanted["keep"]), _points(plan.wanted["hide"])
    made = []
    for start, stop in pieces(plan.frame_map.source):
        first, last = max(0, start - before), min(plan.frame_map.n_frames, stop + after)
        frames, ticks = tuple(plan.frame_map.source[first:last].tolist()), tuple(plan.ticks[start:stop].tolist())
        images = tuple(places[frame] for frame in frames) if places else ()
        inputs = source.path, source.index_path, images
        made.append(Chunk(source.video_id, start, stop, frames, start - first, ticks, recipe, encoding, keep, hide, *inputs))
    return made


def pieces(shown: np.ndarray) -> list[tuple[int, int]]:
    """``[start, stop)`` of derived frames: at most ``CHUNK`` of them, showing source frames of one range ``[k CHUNK, (k + 1) CHUNK)``."""
    cuts = np.flatnonzero(np.diff(shown // CHUNK)) + 1
    edges = [0, *cuts.tolist(), len(shown)]
    return [(low, min(low + CHUNK, stop)) for start, stop in pairwise(edges) for low in range(start, stop, CHUNK)]


class Feed:
    """An open source that pieces are fed from, one after the other; pictures that the next piece needs again are kept."""

    def __init__(self, chunk: Chunk):
        from etholoop.io.transcode import Pictures
        from etholoop.io.video import VideoIndex

        index = VideoIndex.load(chunk.index_path) if chunk.index_path is not None else None
        self.pictures = Pictures(chunk.path, index, keep=2 + sum(chunk.recipe.context))

    @classmethod
    def of(cls, work: list[tuple[Chunk]]) -> "Feed":
        return cls(work[0][0])

    def close(self) -> None:
        self.pictures.close()

    def frames(self, chunk: Chunk) -> "Iterator[VideoFrame]":
        """Every picture that is fed in, in order; one that is shown several times comes several times."""
        self.pictures.want(chunk.frames)
        for place, frame in enumerate(chunk.frames):
            yield self.pictures.image(frame, chunk.images[place]) if chunk.images else self.pictures.frame(frame)


def make_chunk(folder: Path, feed: Feed, chunk: Chunk) -> None:
    """Encode one piece into ``folder/chunk.mp4``."""
    from etholoop.io.transcode import write_chunk
    from etholoop.io.transcode_filters import filtered

    recipe = replace(chunk.recipe, mask=_mask(chunk))
    wanted = islice(filtered(feed.frames(chunk), recipe), chunk.skip, chunk.skip + chunk.stop - chunk.start)
    write_chunk(folder / "chunk.mp4", wanted, chunk.ticks, chunk.encoding)


def _mask(chunk: Chunk) -> np.ndarray | None:
    from etholoop.core.picture_mask import mask

    if not (chunk.keep or chunk.hide):
        return None
    affine = chunk.recipe.layout.affine
    keep, hide = ([affine.points(np.array(polygon, float)) for polygon in polygons] for polygons in (chunk.keep, chunk.hide))
    return mask(*chunk.recipe.layout.canvas, keep, hide)


def _points(polygons: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(tuple(tuple(map(float, point)) for point in polygon) for polygon in polygons)
