"""``etholoop predictions``: what the model sees, drawn into videos."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from etholoop.commands._help import examples

if TYPE_CHECKING:
    from fractions import Fraction

    import numpy as np
    import pandas as pd

    from etholoop.io.sources import Source
    from etholoop.project import Project

REGULAR = 0.9
"""Least share of the frames at one distance that must be there for a film; the others are damaged."""

SLIDE_RATE = 2
"""Frames a second where predicted frames lie apart or come from a folder of images."""


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="What the model sees.", no_args_is_help=True)
    group.command(
        "draw",
        short_help="Draw predictions into videos.",
        epilog=examples("etholoop predictions draw cage1", "etholoop predictions draw cage1 cage2 --confidence 0.4 --out ~/videos"),
    )(draw_command)
    app.add_typer(group, name="predictions")


def draw_command(
    video_ids: list[str] = typer.Argument(None, help="Sources, as `etholoop videos list` names them; default: all with predictions."),
    confidence: float = typer.Option(0.25, min=0, max=1, help="Animals below this are not drawn."),
    out: Path = typer.Option(None, help="Folder for the videos; default: reports/videos."),
) -> None:
    """Draw boxes, skeletons and keypoints of all predicted frames into one video per source."""
    from etholoop.project import find_project

    for path in draw(find_project(), video_ids or [], confidence, out):
        typer.echo(str(path))


def draw(project: "Project", video_ids: list[str], confidence: float = 0.25, out: Path | None = None) -> list[Path]:
    """Write ``<video_id>.mp4`` for each source; returns the paths.

    Raises:
        EthoLoopError: an unknown source, or one without predictions.
    """
    from etholoop.errors import EthoLoopError
    from etholoop.io import tables
    from etholoop.io.sources import open_sources
    from etholoop.params import nearest
    from etholoop.schema.predictions import PredictedFrames
    from etholoop.schema.videos import Images, Videos

    path = project.pose_predictions / "frames.parquet"
    predicted = tables.read(path, PredictedFrames) if path.is_file() else tables.empty(PredictedFrames)
    if predicted.empty:
        raise EthoLoopError(
            "there are no predictions: no model has been trained yet. `etholoop repro` trains one, or says what is missing."
        )
    videos = tables.read(project.manifest / "videos.parquet", Videos)
    sources = open_sources(project.root, videos, tables.read(project.manifest / "images.parquet", Images))
    known = sorted(set(predicted["video_id"]))
    unknown = [f"'{name}': {nearest(name, known)}" for name in video_ids if name not in known]
    if unknown:
        raise EthoLoopError(f"no predictions for {'; '.join(unknown)}")
    folder = out or project / "reports/videos"
    folder.mkdir(parents=True, exist_ok=True)
    return [_draw_one(project, sources[name], predicted, confidence, folder) for name in video_ids or known]


def _draw_one(project: "Project", source: "Source", predicted: "pd.DataFrame", confidence: float, folder: Path) -> Path:
    from tqdm import tqdm

    from etholoop.io.video import write_video

    predicted_frames = sorted(predicted.loc[predicted["video_id"] == source.video_id, "frame"].tolist())
    frames, rate = film(predicted_frames, source.fps)
    if len(predicted_frames) < len(source.frames):
        found = f"{len(predicted_frames)} of {len(source.frames)} frames are predicted"
        typer.echo(f"{source.video_id}: {found}; `pose_predict: {{every: 1}}` in params.yaml predicts all")
    if len(frames) < len(predicted_frames):
        typer.echo(f"{source.video_id}: {len(predicted_frames) - len(frames)} frames between the regular ones are left out of the film")
    path = folder / f"{source.video_id}.mp4"
    pictures = _pictures(project, source, frames, confidence)
    write_video(path, tqdm(pictures, total=len(frames), desc=source.video_id, unit="frame", disable=None), rate)
    return path


def film(frames: list[int], fps: "Fraction | None") -> tuple[list[int], "Fraction"]:
    """Which of some ascending frames to show, and how many a second.

    Where most lie at one distance, as with ``pose_predict.every``, those make a film in real time; otherwise all are shown as slides.
    """
    from collections import Counter
    from fractions import Fraction
    from itertools import pairwise

    slides = frames, Fraction(SLIDE_RATE)
    if not fps or len(frames) < 2:
        return slides
    (step, _), *_ = Counter(later - earlier for earlier, later in pairwise(frames)).most_common(1)
    (phase, _), *_ = Counter(frame % step for frame in frames).most_common(1)
    regular = [frame for frame in frames if frame % step == phase]
    wanted = (regular[-1] - regular[0]) // step + 1
    covers = len(regular) >= 2 and len(regular) >= REGULAR * wanted and len(regular) * 2 > len(frames)
    return (regular, fps / step) if covers and fps / step >= SLIDE_RATE else slides


def _pictures(project: "Project", source: "Source", frames: list[int], confidence: float) -> Iterator["np.ndarray"]:
    from etholoop.io import drawing, tables
    from etholoop.io.vocabulary import read_skeleton
    from etholoop.schema.predictions import Detections, PredictedKeypoints
    from etholoop.stages._report_pictures import animals_of

    skeleton = read_skeleton(project.skeleton)
    edges = [(skeleton.keypoint_names.index(a), skeleton.keypoint_names.index(b)) for a, b in skeleton.edges]
    detections = _of(tables.read(project.pose_predictions / "detections.parquet", Detections), source.video_id)
    keypoints = _of(tables.read(project.pose_predictions / "keypoints.parquet", PredictedKeypoints), source.video_id)
    animals = animals_of(detections[detections["confidence"] >= confidence], keypoints, skeleton.keypoint_names, named=True)
    for frame, image in source.read(frames):
        view = drawing.whole(image, image.shape[1])
        drawing.draw(view, animals.get((source.video_id, frame), {}).values(), edges, "prediction")
        yield drawing.finished(view)


def _of(table: "pd.DataFrame", video_id: str) -> Any:
    return table[table["video_id"] == video_id]
