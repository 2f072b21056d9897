"""Stage ``normalise``: sources → derived videos of one kind (length, rate, size, look), each with its way back to the source.

Frame numbers and pixels in tables stay those of the source; the frame map and the affine beside each derived video lead there. By
default nothing changes, nothing is encoded, and the sources themselves are read.
"""

from collections.abc import Iterable, Mapping
from dataclasses import astuple
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd
from pydantic import Field, field_validator, model_validator

from etholoop.core.affine import Affine
from etholoop.params import Section
from etholoop.project import Project
from etholoop.stages._normalise_plan import Plan, plans

if TYPE_CHECKING:
    from etholoop.io.sources import Source
    from etholoop.stages._normalise_make import Made

Polygon = list[tuple[float, float]]


class Crop(Section):
    """A rectangle of the source picture, in pixels as shown."""

    x: int = Field(ge=0)
    y: int = Field(ge=0)
    width: int = Field(ge=1)
    height: int = Field(ge=1)


class Changes(Section):
    """What may be different from source to source; everything left out stays as it is."""

    seconds: float | None = Field(None, gt=0, description="only the first so many seconds")
    fps: float | str | None = Field(None, description="constant rate: a number, '30000/1001', min (least of all sources) or min_whole")
    width: int | Literal["min"] | None = Field(None, description="pixels; rounded to even")
    height: int | Literal["min"] | None = Field(None, description="pixels; rounded to even")
    fit: Literal["keep", "pad", "crop", "stretch"] = Field("keep", description="keep scales down to fit; pad fills up; crop cuts off")
    crop: Crop | None = Field(None, description="cut out first")
    grey: bool = False
    gamma: float = Field(1.0, gt=0, le=10)
    brightness: float = Field(0.0, ge=-1, le=1)
    contrast: float = Field(1.0, ge=-10, le=10)
    denoise: Literal["temporal", "spatial", "strong"] | None = None
    deflicker: int = Field(0, ge=0, le=129, description="evens out brightness over so many frames; 0 = off, otherwise from 2")
    keep: list[Polygon] = Field([], description="polygons in source pixels; what lies outside all of them becomes black")
    hide: list[Polygon] = Field([], description="polygons in source pixels that become black")

    @field_validator("fps")
    @classmethod
    def _is_a_rate(cls, fps: float | str | None) -> float | str | None:
        if fps in (None, "min", "min_whole"):
            return fps
        try:
            good = 0 < Fraction(str(fps)) <= 100_000
        except (ValueError, ZeroDivisionError):
            good = False
        if not good:
            raise ValueError("expected a rate above 0 and up to 100000, for example 25, 29.97, '30000/1001', min or min_whole")
        return fps

    @field_validator("width", "height")
    @classmethod
    def _is_a_side(cls, side: int | str | None) -> int | str | None:
        if isinstance(side, int) and not 16 <= side <= 8192:
            raise ValueError("expected 16 to 8192 pixels, or min")
        return side

    @field_validator("deflicker")
    @classmethod
    def _is_a_window(cls, frames: int) -> int:
        if frames == 1:
            raise ValueError("brightness is evened out over at least 2 frames; 0 = off")
        return frames

    @field_validator("keep", "hide")
    @classmethod
    def _have_corners(cls, polygons: list[Polygon]) -> list[Polygon]:
        if any(len(polygon) < 3 for polygon in polygons):
            raise ValueError("a polygon needs at least 3 points [x, y]")
        return polygons


class Rule(Changes):
    """Other changes for the sources whose id fits ``match`` (``*`` and ``?`` stand for any letters, any letter)."""

    match: str


class Params(Changes):
    """What is done to every source, exceptions by rule, and how derived videos are encoded."""

    preset: Literal["behavtrack"] | None = Field(None, description="values for everything that is left out here")
    rules: list[Rule] = Field([], description="exceptions; of several that fit the last wins")
    codec: Literal["h264", "hevc"] = "h264"
    crf: int = Field(18, ge=0, le=51, description="constant quality; lower is better and larger")
    gop: int = Field(50, ge=1, le=500, description="frames between keyframes at most; few = fast access, many = small files")
    speed: Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow"] = "medium"
    encoder: str = Field("cpu", description="cpu = same bytes everywhere; auto = hardware if it works, otherwise cpu; or its name")

    @model_validator(mode="after")
    def _needs_both_sides(self) -> "Params":
        if self.fit in ("pad", "crop") and not self.preset and not (self.width and self.height):
            raise ValueError(f"fit: {self.fit} needs width and height")
        return self


def run(project: Project, params: Params) -> None:
    """Derive what has to be derived, piece by piece, and write the table of all sources."""
    from etholoop.io import atomic, tables
    from etholoop.io.sources import open_sources
    from etholoop.schema.normalised import Normalised
    from etholoop.schema.videos import Images, Videos
    from etholoop.stages._normalise_make import Job, Quality, make

    videos = tables.read(project.manifest / "videos.parquet", Videos)
    images = tables.read(project.manifest / "images.parquet", Images)
    sources = open_sources(project.root, videos, images)
    planned = plans(sources, params)
    identity = identities(sources, images)
    jobs = [Job(sources[video_id], plan, identity[video_id]) for video_id, plan in sorted(planned.items()) if not plan.identity]
    made = make(project, jobs, Quality(params.codec, params.crf, params.gop, params.speed, params.encoder))
    with atomic.new_folder(project.normalised) as folder:
        digests = {one.job.plan.video_id: _placed(folder, one) for one in _progress(made)}
        rows = [row_of(sources[video_id], plan, digests.get(video_id)) for video_id, plan in sorted(planned.items())]
        tables.write(tables.from_rows(rows, Normalised), Normalised, folder / "normalised.parquet")


def row_of(source: "Source", plan: Plan, sha256: str | None) -> dict[str, Any]:
    """Row of table ``Normalised``; ``sha256`` is None where the source itself is read."""
    row = {"video_id": source.video_id, **dict(zip("abcdef", astuple(Affine() if plan.identity else plan.layout.affine), strict=True))}
    if plan.identity:
        fps = source.fps or Fraction(0)
        size = {"path": "", "sha256": "", "n_frames": len(source.frames), "width": source.width, "height": source.height}
    else:
        fps = 1 / plan.tick if source.fps else Fraction(0)
        if source.index_path and source.index().info.variable_rate and plan.wanted["fps"] is None:
            fps = source.fps or Fraction(0)
        width, height = plan.layout.canvas
        size = {"path": f"{source.video_id}.mp4", "sha256": sha256, "n_frames": plan.frame_map.n_frames, "width": width, "height": height}
    return row | size | {"fps_num": fps.numerator, "fps_den": fps.denominator}


def _placed(folder: Path, made: "Made") -> str:
    """Write one derived video with its map and index; its SHA-256."""
    from etholoop.io.memo import file_digest
    from etholoop.stages._normalise_make import place

    path = folder / f"{made.job.plan.video_id}.mp4"
    place(made, path).save(folder / "index" / f"{path.stem}.npz")
    return file_digest(path)


def _progress(made: "list[Made]") -> "Iterable[Made]":
    from tqdm import tqdm

    return tqdm(made, desc="joining", unit="video", disable=None)


def identities(sources: Mapping[str, "Source"], images: pd.DataFrame) -> dict[str, str]:
    """What the pixels of each source depend on: the file of a video; the numbers and digests of the images of a folder."""
    from etholoop.io.memo import digest

    own = {str(video_id): rows.sort_values("frame") for video_id, rows in images.groupby("video_id")}
    return {
        video_id: source.sha256
        if source.kind == "video"
        else digest(images=list(zip(own[video_id]["frame"].tolist(), own[video_id]["sha256"].tolist(), strict=True)))
        for video_id, source in sources.items()
    }
