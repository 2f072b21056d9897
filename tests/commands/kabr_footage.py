"""Small annotated videos for the tests of `etholoop kabr`."""

from fractions import Fraction
from pathlib import Path

import numpy as np

from etholoop.io import cvat
from etholoop.io.cvat import Annotations, Meta, Shape, Track
from etholoop.io.video import write_video

WIDE, HIGH, FPS = 320, 240, Fraction(24)


def picture(frame: int) -> np.ndarray:
    image = np.full((HIGH, WIDE, 3), 60, np.uint8)
    image[..., 2] = 10 + 4 * frame
    return image


def video(path: Path, n_frames: int = 12) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(path, (picture(frame) for frame in range(n_frames)), FPS, crf=10)
    return path


def boxes(n_frames: int, left: float = 20.0, hidden: tuple[int, ...] = (), **options: object) -> tuple[Shape, ...]:
    return tuple(
        Shape(frame, (left + frame, 40.0, left + 30 + frame, 70.0), outside=frame in hidden, **options)  # type: ignore[arg-type]
        for frame in range(n_frames)
    )


def annotation(path: Path, *tracks: Track, level: str = "task", size: int | None = 12, source: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cvat.write(path, Annotations(tracks, Meta(level, size=size, width=WIDE, height=HIGH, source=source) if level else Meta()))
    return path


def behaviours(path: Path, *names: str, label: str = "Zebra", hidden: tuple[int, ...] = ()) -> Path:
    """A behaviour file: one name for each frame, '' = no entry."""
    shapes = tuple(
        Shape(frame, (200.0, 150.0), cvat.POINTS, outside=frame in hidden, attributes=(("Behavior", name),))
        for frame, name in enumerate(names)
        if name
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    cvat.write(path, Annotations((Track(0, label, shapes),)))
    return path
