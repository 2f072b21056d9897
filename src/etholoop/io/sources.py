"""Sources of frames: a video or a folder of images, read in one way."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from etholoop.errors import EthoLoopError
from etholoop.io import images as image_files
from etholoop.io.video import VideoIndex, VideoReader


@dataclass(frozen=True)
class Source:
    """One source. ``frames`` (n,) int64: the frame numbers that exist, ascending. ``fps`` is None for images.

    ``width`` and ``height`` are those of the images that :meth:`read` gives. Opening costs nothing: files are touched at the
    first read.
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

    def read(self, frames: Iterable[int]) -> Iterator[tuple[int, np.ndarray]]:
        """Give ``(frame, uint8 RGB image (height, width, 3))`` for ascending, unique frame numbers.

        Raises:
            ValueError: the numbers do not ascend.
            EthoLoopError: a number that does not exist, or a file that changed since the manifest was made.
            VideoFault, ImageFault: a frame cannot be decoded.
        """
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
        yield from VideoReader(self.path, self.index()).read(frames)

    def _read_images(self, frames: Iterable[int]) -> Iterator[tuple[int, np.ndarray]]:
        last = -1
        for frame in map(int, frames):
            if frame <= last:
                raise ValueError(f"frame numbers must ascend, found {frame} after {last}")
            last = frame
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


def open_sources(project_root: Path, videos: pd.DataFrame, images: pd.DataFrame) -> dict[str, Source]:
    """All sources of a manifest by id, in the order of ``videos`` (schema Videos); ``images`` has schema Images.

    Raises:
        EthoLoopError: a folder of images has no rows in ``images``.
    """
    raw, manifest = Path(project_root) / "data/raw", Path(project_root) / "data/manifest"
    by_folder = {str(video_id): rows.sort_values("frame") for video_id, rows in images.groupby("video_id", sort=True)}
    sources: dict[str, Source] = {}
    row: Any
    extra: dict[str, Any]
    for row in videos.itertuples(index=False):
        if row.kind == "video":
            fps = Fraction(int(row.fps_num), int(row.fps_den)) if row.fps_num else None
            frames, extra = np.arange(int(row.n_frames)), {"index_path": index_path(manifest, row.video_id)}
        else:
            fps = None
            frames, extra = _folder_of(row.video_id, by_folder, raw)
        sources[row.video_id] = Source(
            row.video_id, row.kind, int(row.width), int(row.height), fps, row.sha256, raw / row.path, frames, **extra
        )
    return sources


def index_path(manifest: Path, video_id: str) -> Path:
    """Where the manifest keeps the index of a video."""
    return manifest / "index" / f"{video_id}.npz"


def _folder_of(video_id: str, by_folder: dict[str, pd.DataFrame], raw: Path) -> tuple[np.ndarray, dict[str, Any]]:
    if video_id not in by_folder:
        raise EthoLoopError(f"{video_id} is a folder of images, but images.parquet has no rows for it. Run `etholoop repro`.")
    rows = by_folder[video_id]
    return rows["frame"].to_numpy(np.int64), {"image_paths": tuple(raw / path for path in rows["path"])}
