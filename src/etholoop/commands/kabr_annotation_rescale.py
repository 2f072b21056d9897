"""``etholoop kabr annotation_rescale``: boxes drawn on a small copy of a video → boxes for the video itself, or the other way."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from etholoop.commands._help import examples
from etholoop.commands._kabr_group import kabr_group

if TYPE_CHECKING:
    from etholoop.io.cvat import Annotations

EXAMPLES = examples(
    "etholoop kabr annotation_rescale --annotation small.xml --output tracks.xml --factor 3          three times as large",
    "etholoop kabr annotation_rescale --annotation small.xml --output tracks.xml --video DJI_0001.mp4  to the size of that video",
)


def register(app: typer.Typer) -> None:
    kabr_group(app).command("annotation_rescale", short_help="Boxes for another size of the video.", epilog=EXAMPLES)(command)


def command(  # noqa: PLR0917
    annotation: Path = typer.Option(..., "--annotation", help="CVAT 1.1 XML."),
    output: Path = typer.Option(..., "--output", help="XML file to write."),
    factor: float = typer.Option(0.0, "--factor", min=0, help="Multiply by this; 0 = as --video says."),
    video: Path = typer.Option(None, "--video", help="Fit the boxes to the size of this video."),
    label: str = typer.Option("", "--label", help="Give every track this label; left out: labels stay."),
    cut_after_last_keyframe: bool = typer.Option(
        False, "--cut_after_last_keyframe", help="Drop boxes that come after the last one set by a person."
    ),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace the output if it is there."),
) -> None:
    """Multiply the coordinates of every shape, and the picture size that the file states. Marks, frames and labels stay."""
    from etholoop.errors import EthoLoopError
    from etholoop.io import cvat

    if output.exists() and not overwrite:
        raise EthoLoopError(f"{output} is there already; --overwrite replaces it. Nothing was written.")
    annotations = cvat.read(annotation)
    x, y = factors(annotations, annotation, factor, video)
    made = rescaled(annotations, x, y, label=label, cut=cut_after_last_keyframe)
    cvat.write(output, made)
    n_shapes = sum(len(track.shapes) for track in made.tracks)
    typer.echo(f"{output}: {len(made.tracks)} tracks, {n_shapes} shapes, {x:g} times as wide and {y:g} times as high")


def factors(annotations: "Annotations", path: Path, factor: float, video: Path | None) -> tuple[float, float]:
    """How many times wider and higher.

    Raises:
        EthoLoopError: neither or both of factor and video are given, or the file does not state a size that can be compared.
    """
    from etholoop.errors import EthoLoopError
    from etholoop.io.video import probe

    if bool(factor) == (video is not None):
        raise EthoLoopError("say either --factor or --video.")
    if video is None:
        return factor, factor
    meta, info = annotations.meta, probe(video)[0]
    if not meta.width or not meta.height:
        raise EthoLoopError(f"{path}: states no picture size (meta/original_size), so it cannot be compared with {video}; say --factor.")
    return info.width / meta.width, info.height / meta.height


def rescaled(annotations: "Annotations", x: float, y: float, *, label: str = "", cut: bool = False) -> "Annotations":
    """The same annotations on a picture ``x`` times as wide and ``y`` times as high."""
    from dataclasses import replace

    def of_track(track):  # type: ignore[no-untyped-def]
        keys = [shape.frame for shape in track.shapes if shape.keyframe]
        last = keys[-1] if cut and keys else float("inf")
        shapes = tuple(
            shape._replace(coordinates=tuple(value * (x, y)[place % 2] for place, value in enumerate(shape.coordinates)))
            for shape in track.shapes
            if shape.frame <= last
        )
        return replace(track, shapes=shapes, label=label or track.label)

    meta = annotations.meta
    if meta.width and meta.height:
        meta = replace(meta, width=round(meta.width * x), height=round(meta.height * y))
    return replace(annotations, tracks=tuple(of_track(track) for track in annotations.tracks), meta=meta)
