"""``etholoop weights``: the starting weights of a project."""

import shutil
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from etholoop.commands._help import examples

if TYPE_CHECKING:
    from etholoop.project import Project


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="Starting weights in models/init, versioned by DVC.", no_args_is_help=True)
    group.command("add", epilog=examples("etholoop weights add ~/Downloads/yolov8n.pt"))(add_command)
    group.command("list", epilog=examples("etholoop weights list"))(list_command)
    app.add_typer(group, name="weights")


def add_command(paths: list[Path] = typer.Argument(..., help="Weight files (.pt), for example a YOLO detector trained on COCO.")) -> None:
    """Copy weight files into models/init and version them."""
    from etholoop.project import find_project

    for path in add(find_project(), paths):
        typer.echo(f"models/init/{path.name}: in params.yaml set `pose_train: {{init: base, weights: {path.name}}}` to start from it")


def list_command() -> None:
    """What is in models/init, with size and digest."""
    from etholoop.io.memo import file_digest
    from etholoop.project import find_project

    files = sorted(find_project().init_weights.glob("[!.]*"))
    if not files:
        typer.echo("no weights yet; `etholoop weights add FILE` brings some. Training from nothing (`init: scratch`) needs none.")
    for path in files:
        typer.echo(f"{path.name:<40} {path.stat().st_size / 1e6:8.1f} MB  sha256 {file_digest(path)[:16]}…")


def add(project: "Project", paths: list[Path]) -> list[Path]:
    """Copy files into models/init, all or none, and version the folder; returns their places.

    Raises:
        FaultsError: a file is missing, empty, cut off, or another file has its name already.
    """
    from etholoop.errors import FaultsError
    from etholoop.io import atomic
    from etholoop.io.memo import file_digest
    from etholoop.services import dvc

    faults = []
    for path in paths:
        there = project.init_weights / path.name
        if not path.is_file() or path.stat().st_size == 0:
            faults.append(f"{path}: {'empty file' if path.is_file() else 'file not found'}")
        elif path.suffix == ".pt" and not zipfile.is_zipfile(path):
            faults.append(f"{path}: not a whole PyTorch file; it is cut off, or something else. Download it again")
        elif there.is_file() and file_digest(there) != file_digest(path):
            faults.append(f"{path}: models/init holds another file named {path.name}; rename one")
    if faults:
        raise FaultsError("weights add", faults, "Nothing was copied.")
    for path in paths:
        with atomic.new_file(project.init_weights / path.name) as temporary:
            shutil.copyfile(path, temporary)
    dvc.add(project, project.init_weights)
    return [project.init_weights / path.name for path in paths]
