"""``etholoop kabr player``: a mini-scene folder in the browser, or as a video."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from etholoop.commands._help import examples
from etholoop.commands._kabr_group import IMSHOW_HELP, kabr_group

if TYPE_CHECKING:
    from etholoop.commands._miniscene_show import MinisceneShow

EXAMPLES = examples(
    "etholoop kabr player --folder mini-scenes/session_DJI_0001                             in the browser",
    "etholoop kabr player --folder mini-scenes/session_DJI_0001 --save                      write <folder>_demo.mp4",
    "etholoop kabr player --folder mini-scenes/session_DJI_0001 --behavior annotation_data.csv --classes classes.json",
    "",
    "Any number of animals; changing between the drone's view and an animal keeps the moment; the page lists its keys.",
)


def register(app: typer.Typer) -> None:
    kabr_group(app).command("player", short_help="Look at a mini-scene folder.", epilog=EXAMPLES)(command)


def command(
    *,
    folder: Path = typer.Option(..., "--folder", help="Folder that tracks_extractor made."),
    save: bool = typer.Option(False, "--save", help="Write <folder>/<folder's name>_demo.mp4 instead of showing; no screen is needed."),
    imshow: bool = typer.Option(False, "--imshow", help=IMSHOW_HELP),
    behavior: Path = typer.Option(None, "--behavior", help="CSV of miniscene2behavior, shown beside the labels of people."),
    classes: Path = typer.Option(None, "--classes", help="JSON with the number of each behaviour, for --behavior."),
    port: int = typer.Option(8088, min=0, max=65535, help="Port on 127.0.0.1; 0 takes any that is free."),
    browser: bool = typer.Option(True, "--browser/--no-browser", help="Open the page in the default browser."),
) -> None:
    """Show the drone's view and every mini-scene with their behaviours, frame by frame, or write them into a video."""
    from etholoop.commands._miniscene_show import MinisceneShow
    from etholoop.commands.play import serve

    if imshow:
        typer.echo(f"--imshow: {IMSHOW_HELP}", err=True)
    show = MinisceneShow(folder, behavior, names_of(classes) if classes else None)
    if save:
        typer.echo(str(write(show, folder / f"{folder.resolve().name}_demo.mp4")))
    else:
        serve(show, port, browser)


def names_of(path: Path) -> dict[int, str]:
    """Behaviour by number from a JSON file ``{"Walk": 0, …}``.

    Raises:
        EthoLoopError: not such a file.
    """
    import json

    from etholoop.errors import EthoLoopError

    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {int(number): str(name) for name, number in content.items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise EthoLoopError(f'{path}: expected JSON like {{"Walk": 0, "Graze": 1}} ({error}).') from error


def write(show: "MinisceneShow", path: Path) -> Path:
    """The drone's view with boxes, trails, numbers and behaviours, at the source's rate."""
    from fractions import Fraction

    from tqdm import tqdm

    from etholoop.io.track_drawing import TrackPen
    from etholoop.io.video import write_video

    pen, animals = TrackPen(), show.animals(0, show.n_frames)
    pictures = (pen.draw(image, frame, animals.get(frame, [])) for frame, image in show.frames())
    bar = tqdm(pictures, total=show.n_frames, desc=show.stem, unit="frame", disable=None)
    write_video(path, bar, show.main.fps or Fraction(30))
    return path
