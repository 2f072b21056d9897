"""``etholoop init``: make a project, or complete the one in this folder."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from etholoop.commands._help import examples

if TYPE_CHECKING:
    from etholoop.project import Project

METADATA_HEADER = "path,session,subject,camera,start_time\n"
KEEP = ".keep"
"""Hidden file in an empty input folder: DVC warns of empty ones in every stage, and Git drops them."""
EXAMPLES = examples(
    "etholoop init ~/my-mice --preset openfield",
    "etholoop init .                               complete the project in this folder",
)
SPLITS_HEADER = "video_id,start_frame,stop_frame,split,group\n"
NOT_COPIED = ("__pycache__", "*.egg-info", "exports", "batches", "journal", "server_key.txt", "annotators.yaml")
"""What belongs to one project only: its labels, what was asked, its name on the labelling server, its people."""


def register(app: typer.Typer) -> None:
    app.command("init", short_help="Make a project folder.", epilog=EXAMPLES)(init)


def init(
    folder: Path = typer.Argument(..., help="New folder, or '.' to complete the project in this one."),
    preset: str = typer.Option("", help="Skeleton, ethogram and settings to start from: openfield, mice_5x4, kabr or demo."),
) -> None:
    """Make a project: a Git repository with DVC, the pipeline, its code, a skeleton and an ethogram."""
    project = make_project(folder, preset)
    typer.echo(f"project ready in {project.root}")
    where = "" if project.root == Path.cwd() else f"`cd {folder}`, "
    typer.echo(f"next: {where}look at label_studio/skeleton.yaml and ethogram.yaml, then `etholoop videos add PATH…`")


def make_project(folder: Path, preset: str = "") -> "Project":
    """Make or complete a project; safe to call again, nothing that is there is overwritten.

    Raises:
        EthoLoopError: unknown preset, or the folder holds other things.
    """
    from etholoop.project import Project
    from etholoop.services import dvc, git

    if preset:
        _require_preset(preset)
    folder.mkdir(parents=True, exist_ok=True)
    project = Project(folder.resolve())
    new = not (project / "dvc.yaml").is_file()
    if new:
        _copy_template(project)
    if preset:
        _apply_preset(project, preset)
    _make_inputs(project)
    git.init(project)
    dvc.init(project)
    dvc.add(project, project.raw_videos, project.raw_images, project.init_weights, project.snapshot)
    if new:
        git.commit(project, "New EthoLoop project")
    return project


def presets() -> list[str]:
    """Names of the shipped presets."""
    return sorted(path.name for path in (_template() / "label_studio/presets").iterdir() if path.is_dir())


def _template() -> Path:
    """The checkout that this code runs from; a project is a copy of its working parts."""
    from etholoop.errors import EthoLoopError

    root = Path(__file__).resolve().parents[3]
    if not (root / "dvc.yaml").is_file():
        raise EthoLoopError(
            f"{root} holds no dvc.yaml: `etholoop init` copies a project from a clone of the repository, so run it from one."
        )
    return root


def _copy_template(project: "Project") -> None:
    from etholoop.errors import EthoLoopError

    occupants = sorted(path.name for path in project.root.iterdir() if path.name != ".git")
    if occupants:
        raise EthoLoopError(f"{project.root} is not empty (it holds {', '.join(occupants[:5])}). Give a new folder.")
    root = _template()
    for name in ("dvc.yaml", "params.yaml", ".dvcignore", ".gitignore", "LICENSE"):
        shutil.copyfile(root / name, project / name)
    for name in ("src/etholoop", "label_studio"):
        shutil.copytree(root / name, project / name, ignore=shutil.ignore_patterns(*NOT_COPIED))


def _require_preset(preset: str) -> None:
    from etholoop.errors import EthoLoopError
    from etholoop.params import nearest

    if preset not in presets():
        raise EthoLoopError(f"unknown preset '{preset}'; {nearest(preset, presets())}")


def _apply_preset(project: "Project", preset: str) -> None:
    from etholoop.commands.params import merge_into
    from etholoop.params import read_yaml

    source = _template() / "label_studio/presets" / preset
    for name in ("skeleton.yaml", "ethogram.yaml"):
        shutil.copyfile(source / name, project / "label_studio" / name)
    if (source / "params.yaml").is_file():
        merge_into(project.params, read_yaml(source / "params.yaml"))


def _make_inputs(project: "Project") -> None:
    """The inputs that DVC pins, empty at first; files that exist are left alone."""
    from etholoop.io import history, snapshot

    for path in (project.raw_videos, project.raw_images, project.init_weights, project.cycles, project.batches, project.metrics):
        path.mkdir(parents=True, exist_ok=True)
    for path in (project.raw_videos, project.raw_images, project.init_weights):
        if not any(path.iterdir()):
            (path / KEEP).touch()
    for path, text in ((project.metadata, METADATA_HEADER), (project.fixed_splits, SPLITS_HEADER)):
        if not path.exists():
            path.write_text(text, encoding="utf-8")
    if not (project.metrics / "history.csv").exists():
        history.write(project.metrics / "history.csv", [])
    if not project.snapshot.exists():
        snapshot.write(snapshot.Snapshot([], []), project.snapshot)
