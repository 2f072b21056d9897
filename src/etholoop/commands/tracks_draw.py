"""``etholoop tracks draw``: tracks as a video to look at or to show."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from etholoop.commands._help import examples

if TYPE_CHECKING:
    import numpy as np

    from etholoop.commands._project_show import ProjectShow
    from etholoop.io.track_drawing import TrackPen
    from etholoop.project import Project

PART = 500
"""Frames whose tables are prepared together."""


def register(app: typer.Typer) -> None:
    # commands/tracks.py comes first and makes the group, unless only this file is loaded
    group = next((known.typer_instance for known in app.registered_groups if known.name == "tracks"), None)
    if group is None:
        group = typer.Typer(no_args_is_help=True)
        app.add_typer(group, name="tracks")
    group.command(
        "draw",
        short_help="Draw tracks into videos.",
        epilog=examples("etholoop tracks draw cage1", "etholoop tracks draw --trail 0 --colours behavtrack --out ~/videos"),
    )(draw_command)


def draw_command(
    video_ids: list[str] = typer.Argument(None, help="Recordings; default: all with tracks."),
    *,
    out: Path = typer.Option(None, help="Folder for the videos; default: reports/videos."),
    trail: int = typer.Option(50, min=0, help="Frames that a trail reaches back."),
    colours: str = typer.Option("okabe_ito", help="okabe_ito (for all kinds of colour vision) or behavtrack."),
    start: int = typer.Option(0, min=0, help="First frame."),
    stop: int = typer.Option(None, min=1, help="First frame that is not drawn; default: to the end."),
) -> None:
    """Draw boxes, skeletons, trails, names and behaviours of all frames into one video per recording; no screen is needed."""
    from etholoop.project import find_project

    for path in draw(find_project(), video_ids or [], out=out, trail=trail, colours=colours, start=start, stop=stop):
        typer.echo(str(path))


def draw(
    project: "Project",
    video_ids: list[str],
    *,
    out: Path | None = None,
    trail: int = 50,
    colours: str = "okabe_ito",
    start: int = 0,
    stop: int | None = None,
) -> list[Path]:
    """Write ``<video_id>_tracks.mp4`` for each recording; returns the paths.

    Raises:
        EthoLoopError: there are no tracks, an unknown recording, unknown colours.
    """
    from etholoop.commands._project_show import ProjectShow
    from etholoop.errors import EthoLoopError
    from etholoop.io.raw import VIDEO_SUFFIXES
    from etholoop.io.track_drawing import PALETTES, TrackPen
    from etholoop.params import nearest, nearest_of

    if colours not in PALETTES:
        raise EthoLoopError(f"unknown colours '{colours}'; {nearest_of(colours, sorted(PALETTES))}")
    if out is not None and (out.is_file() or (out.suffix.lower() in VIDEO_SUFFIXES and not out.is_dir())):
        raise EthoLoopError(f"--out {out}: expected a folder; each recording gets a file of its own in it.")
    show = ProjectShow(project)
    if not show.tracks:
        raise EthoLoopError("there are no tracks yet: set `pose_predict: {every: 1}` in params.yaml and run `etholoop repro track`.")
    unknown = [f"'{name}': {nearest(name, sorted(show.tracks))}" for name in video_ids if name not in show.tracks]
    if unknown:
        raise EthoLoopError(f"no tracks for {'; '.join(unknown)}")
    folder = out or project / "reports/videos"
    folder.mkdir(parents=True, exist_ok=True)
    names = show.skeleton.keypoint_names
    edges = [(names.index(first), names.index(second)) for first, second in show.skeleton.edges]
    return [
        _draw_one(show, video_id, folder / f"{video_id}_tracks.mp4", TrackPen(edges, PALETTES[colours], trail), (start, stop))
        for video_id in video_ids or sorted(show.tracks)
    ]


def _draw_one(show: "ProjectShow", video_id: str, path: Path, pen: "TrackPen", span: tuple[int, int | None]) -> Path:
    from fractions import Fraction

    from tqdm import tqdm

    from etholoop.io.video import write_video

    source = show.sources[video_id]
    frames = [int(frame) for frame in source.frames if span[0] <= frame and (span[1] is None or frame < span[1])]
    pictures = tqdm(_pictures(show, video_id, frames, pen), total=len(frames), desc=video_id, unit="frame", disable=None)
    write_video(path, pictures, source.fps or Fraction(2))
    return path


def _pictures(show: "ProjectShow", video_id: str, frames: list[int], pen: "TrackPen") -> Iterator["np.ndarray"]:
    images = show.sources[video_id].read(frames)
    for place in range(0, len(frames), PART):
        part = frames[place : place + PART]
        animals = show.animals(video_id, part[0], part[-1] + 1)
        for frame, image in islice(images, len(part)):
            yield pen.draw(image, frame, animals.get(frame, []))
