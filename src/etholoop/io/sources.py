"""Sources of frames: a video or a folder of images, read in one way."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from etholoop.core.affine import Affine
from etholoop.core.frame_map import FrameMap
from etholoop.errors import EthoLoopError
from etholoop.io import frame_maps, tables
from etholoop.io import images as image_files
from etholoop.io.video import VideoIndex, VideoReader
from etholoop.schema.videos import Gaps


@dataclass(frozen=True)
class Source:
    """One source. ``frames`` (n,) int64: the frame numbers that can be used, ascending. ``fps`` is None for images.

    Frame numbers are those of the source, also where a derived video is read in its place: then ``frames`` are the ones it shows,
    and ``affine`` leads from source pixels to those of the images. ``width`` and ``height`` are those of the images that :meth:`read`
    gives; ``sha256`` is of the file that is read; ``fps`` is the source's. Opening costs nothing: files are touched at the first read.
    """

    video_id: str
    kind: str
    width: int
    height: int
    fps: Fraction | None
    sha256: str
    path: Path
    frames: np.ndarray = field(repr=False)
    index_path: Path | None = field(default=None, repr=False)
    image_paths: tuple[Path, ...] = field(default=(), repr=False)
    affine: Affine = field(default_factory=Affine)
    derived: FrameMap | None = field(default=None, repr=False)
    original_size: tuple[int, int] | None = None

    @property
    def source_size(self) -> tuple[int, int]:
        """Width and height of the source itself."""
        return self.original_size or (self.width, self.height)

    def read(self, frames: Iterable[int]) -> Iterator[tuple[int, np.ndarray]]:
        """Give ``(frame, uint8 RGB image (height, width, 3))`` for each number, in the order asked; ascending is fastest.

        Raises:
            EthoLoopError: a number that does not exist or lies in a gap, or a file that changed since the manifest was made.
            VideoFault, ImageFault: a frame cannot be decoded.
        """
        if self.derived is not None:
            return self._read_derived(self.derived, frames)
        return self._read_video(frames) if self.kind == "video" else self._read_images(frames)

    def index(self) -> VideoIndex:
        """The demux index of a video.

        Raises:
            EthoLoopError: the source is a folder of images, or its index is missing.
        """
        if self.index_path is None:
            raise EthoLoopError(f"{self.video_id} is a folder of images; it has no video index.")
        return VideoIndex.load(self.index_path)

    def _read_video(self, frames: Iterable[int]) -> Iterator[tuple[int, np.ndarray]]:
        with VideoReader(self.path, self.index()) as reader:
            yield from reader.read(frames)

    def _read_derived(self, derived: FrameMap, frames: Iterable[int]) -> Iterator[tuple[int, np.ndarray]]:
        wanted = [int(frame) for frame in frames]
        missing = np.setdiff1d(wanted, self.frames)
        if missing.size:
            raise EthoLoopError(
                f"{self.video_id}: {missing.size} of the frames asked for are not in its derived video (the first is {missing[0]}): "
                "`normalise.fps` or `normalise.seconds` leave them out. Choose values that keep them, at least by a rule for this source."
            )
        images = VideoReader(self.path, self.index()).read(derived.to_derived(wanted).tolist())
        for frame, (_, image) in zip(wanted, images, strict=True):
            yield frame, image

    def _read_images(self, frames: Iterable[int]) -> Iterator[tuple[int, np.ndarray]]:
        for frame in map(int, frames):
            yield frame, self._image(frame)

    def _image(self, frame: int) -> np.ndarray:
        place = int(np.searchsorted(self.frames, frame))
        if place >= len(self.frames) or self.frames[place] != frame:
            raise EthoLoopError(f"{self.path}: there is no image with number {frame} in this folder ({len(self.frames)} images).")
        image = image_files.read_rgb(self.image_paths[place])
        if image.shape[:2] != (self.height, self.width):
            raise EthoLoopError(
                f"{self.image_paths[place]}: expected {self.width}x{self.height} pixels as in the manifest, "
                f"found {image.shape[1]}x{image.shape[0]}. Run `etholoop repro` to check the folder again."
            )
        return image


def open_sources(
    project_root: Path, videos: pd.DataFrame, images: pd.DataFrame, normalised: pd.DataFrame | None = None
) -> dict[str, Source]:
    """All sources of a manifest by id, in the order of ``videos`` (schema Videos); ``images`` has schema Images.

    With ``normalised`` (schema Normalised) the derived video is read where a source has one; without it the sources themselves.

    Raises:
        EthoLoopError: a folder of images has no rows in ``images``, or a source none in ``normalised``.
    """
    raw, manifest = Path(project_root) / "data/raw", Path(project_root) / "data/manifest"
    gaps = _gaps_by_video(manifest)
    by_folder = {str(video_id): rows.sort_values("frame") for video_id, rows in images.groupby("video_id", sort=True)}
    derived = {row.video_id: row for row in normalised.itertuples(index=False)} if normalised is not None else None
    sources: dict[str, Source] = {}
    row: Any
    for row in videos.itertuples(index=False):
        source = _original(row, raw, manifest, gaps, by_folder)
        sources[row.video_id] = source if derived is None else _derived(source, derived.get(row.video_id), Path(project_root))
    return sources


def _original(row: Any, raw: Path, manifest: Path, gaps: dict[str, list[tuple[int, int]]], by_folder: dict[str, pd.DataFrame]) -> Source:
    extra: dict[str, Any]
    if row.kind == "video":
        fps = Fraction(int(row.fps_num), int(row.fps_den)) if row.fps_num else None
        frames = _usable(int(row.n_frames), gaps.get(row.video_id, []))
        extra = {"index_path": index_path(manifest, row.video_id)}
    else:
        fps = None
        frames, extra = _folder_of(row.video_id, by_folder, raw)
    return Source(row.video_id, row.kind, int(row.width), int(row.height), fps, row.sha256, raw / row.path, frames, **extra)


def _derived(source: Source, row: Any, root: Path) -> Source:
    """The source as its derived video shows it, or itself where it has none."""
    if row is None:
        raise EthoLoopError(f"{source.video_id} is in the manifest but not in data/normalised. Run `etholoop repro`.")
    if not row.path:
        return source
    path = root / "data/normalised" / row.path
    frame_map, _, _ = frame_maps.load(path.with_suffix(".map.npz"))
    return replace(
        source,
        width=int(row.width),
        height=int(row.height),
        sha256=row.sha256,
        path=path,
        frames=frame_map.frames,
        index_path=index_path(root / "data/normalised", source.video_id),
        image_paths=(),
        affine=Affine(*(float(getattr(row, name)) for name in "abcdef")),
        derived=frame_map,
        original_size=(source.width, source.height),
    )


def index_path(manifest: Path, video_id: str) -> Path:
    """Where the manifest keeps the index of a video."""
    return manifest / "index" / f"{video_id}.npz"


def _gaps_by_video(manifest: Path) -> dict[str, list[tuple[int, int]]]:
    """``[start, stop)`` of each gap; none where the table is missing, for a reader refuses the frames of a gap by itself."""
    path = manifest / "gaps.parquet"
    if not path.is_file():
        return {}
    table = tables.read(path, Gaps)
    starts_stops = zip(table["start_frame"].tolist(), table["stop_frame"].tolist(), strict=True)
    by_video: dict[str, list[tuple[int, int]]] = {}
    for video_id, gap in zip(table["video_id"], starts_stops, strict=True):
        by_video.setdefault(str(video_id), []).append(gap)
    return by_video


def _usable(n_frames: int, gaps: list[tuple[int, int]]) -> np.ndarray:
    usable = np.ones(n_frames, bool)
    for start, stop in gaps:
        usable[start:stop] = False
    return np.flatnonzero(usable)


def _folder_of(video_id: str, by_folder: dict[str, pd.DataFrame], raw: Path) -> tuple[np.ndarray, dict[str, Any]]:
    if video_id not in by_folder:
        raise EthoLoopError(f"{video_id} is a folder of images, but images.parquet has no rows for it. Run `etholoop repro`.")
    rows = by_folder[video_id]
    return rows["frame"].to_numpy(np.int64), {"image_paths": tuple(raw / path for path in rows["path"])}
