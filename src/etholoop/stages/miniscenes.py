"""miniscenes: tracks → the window that follows each animal, frame by frame. No pixels are stored unless people want videos to look at."""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from pydantic import Field

from etholoop.core import miniscene
from etholoop.errors import EthoLoopError, FaultsError
from etholoop.io import atomic, tables
from etholoop.params import Section
from etholoop.project import Project
from etholoop.schema.miniscenes import MiniScenes
from etholoop.schema.tracks import Tracks
from etholoop.stages._sources import project_sources

if TYPE_CHECKING:
    from etholoop.io.sources import Source

EDGES = ["x_min", "y_min", "x_max", "y_max"]


class Params(Section):
    """Shape of the windows (KABR's by default), and whether videos of them are written for people."""

    width: int = Field(miniscene.SCENE[0], ge=16, le=4096, description="pixels")
    height: int = Field(miniscene.SCENE[1], ge=16, le=4096, description="pixels")
    margin_px: int = Field(miniscene.MARGIN_PX, ge=0, description="source pixels kept around an animal too large for the window")
    write: bool = Field(False, description="also write every mini-scene, an overview and a timeline as files")
    images_fps: float = Field(25, gt=0, description="rate of videos that are written of folders of images")


def run(project: Project, params: Params) -> None:
    """Work out all windows; write videos where asked for."""
    tracks = tables.read(project / "data/tracks/tracks.parquet", Tracks)
    scenes = scenes_of(tracks, params)
    sources = project_sources(project) if params.write else {}
    with atomic.new_folder(project / "data/miniscenes") as folder:
        tables.write(scenes, MiniScenes, folder / "miniscenes.parquet")
        for video_id, own in tracks.groupby("video_id", sort=True) if params.write else []:
            write(folder / str(video_id), own, sources, str(video_id), params, project.root)


def scenes_of(tracks: pd.DataFrame, params: Params) -> pd.DataFrame:
    """Table MiniScenes of table Tracks: a window for each box, and none where an animal is lost.

    Raises:
        FaultsError: boxes whose corners are exchanged.
    """
    boxes = tracks[EDGES].to_numpy(dtype=float)
    faulty = tracks[(boxes[:, 2:] < boxes[:, :2]).any(axis=1)]
    if len(faulty):
        places = zip(faulty["video_id"], faulty["track"], faulty["frame"], strict=True)
        faults = [f"{video_id} track {track} frame {frame}: corners exchanged" for video_id, track, frame in places]
        raise FaultsError("data/tracks/tracks.parquet", faults, "Run `etholoop repro track`, or correct the edits.")
    windows = miniscene.windows(boxes, (params.width, params.height), params.margin_px)
    table = tracks[["video_id", "track", "frame"]].assign(**{name: windows[:, place] for place, name in enumerate(EDGES)})
    return tables.typed(table.sort_values(["video_id", "track", "frame"]), MiniScenes)


def write(folder: Path, tracks: pd.DataFrame, sources: "dict[str, Source]", video_id: str, params: Params, root: Path) -> None:  # noqa: PLR0917
    """The videos of one source in the layout of tracks_extractor, at the source's rate."""
    from etholoop.io import cvat
    from etholoop.io.miniscenes import write_folder

    source = sources.get(video_id)
    if source is None:
        raise EthoLoopError(
            f"data/tracks/tracks.parquet has tracks of {video_id}, which is not in the manifest. Run `etholoop repro track`."
        )
    boxes: dict[int, dict[int, tuple[float, ...]]] = {}
    for track, frame, box in zip(tracks["track"], tracks["frame"], source.affine.boxes(tracks[EDGES].to_numpy()).tolist(), strict=True):
        boxes.setdefault(int(track), {})[int(frame)] = tuple(box)
    n_frames = int(max(source.frames[-1] if len(source.frames) else 0, tracks["frame"].max())) + 1
    width, height = source.source_size
    meta = cvat.Meta("task", video_id, n_frames, width, height, source.path.name)
    write_folder(
        folder,
        video_id,
        _progress(source, video_id),
        dict(sorted(boxes.items())),
        Cutter(params),
        n_frames=n_frames,
        fps=source.fps or Fraction(params.images_fps).limit_denominator(1001),
        original=source.path.relative_to(root).as_posix() if source.path.is_relative_to(root) else source.path.name,
        write_tracks=lambda path: cvat.write(path, cvat.from_tracks(tracks, meta)),
    )


class Cutter:
    """Mini-scenes of the shape that the parameters ask for."""

    def __init__(self, params: Params):
        self.size, self.margin_px = (params.width, params.height), params.margin_px

    def __call__(self, image: np.ndarray, boxes: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
        from etholoop.io.miniscenes import pixels

        windows = miniscene.windows(boxes, self.size, self.margin_px)
        parts = miniscene.cuts(windows, image.shape[1], image.shape[0])
        return [pixels(image, parts, place, self.size) for place in range(len(parts))], windows


def _progress(source: "Source", video_id: str) -> Iterable[tuple[int, Any]]:
    from tqdm import tqdm

    return tqdm(source.read(source.frames.tolist()), total=len(source.frames), desc=video_id, unit="frame", disable=None)
