"""``etholoop init``: make a project, or complete the one in this folder."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from etholoop.project import Project

METADATA_HEADER = "path,session,subject,camera,start_time\n"
KEEP = ".keep"
"""Hidden file in an empty input folder: DVC warns of empty ones in every stage, and Git drops them."""
SPLITS_HEADER = "video_id,start_frame,stop_frame,split,group\n"


def register(app: typer.Typer) -> None:
    app.command("init", epilog="Example: etholoop init my-mice --preset openfield && cd my-mice && etholoop videos add ~/videos/*.mp4")(
        init
    )


def init(
    folder: Path = typer.Argument(..., help="New folder, or '.' to complete the project in this one."),
    preset: str = typer.Option("", help="Skeleton and ethogram to start from: a folder name in label_studio/presets."),
) -> None:
    """Make a project: a Git repository with DVC, the pipeline, its code, a skeleton and an ethogram."""
    project = make_project(folder, preset)
    typer.echo(f"project ready in {project.root}")
    typer.echo("next: `etholoop videos add PATH…`, then `etholoop repro`")


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
    for path in (project.raw_videos, project.raw_images, project.init_weights, project.snapshot):
        dvc.add(project, path)
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
        shutil.copytree(root / name, project / name, ignore=shutil.ignore_patterns("__pycache__", "exports", "batches", "*.egg-info"))


def _require_preset(preset: str) -> None:
    from etholoop.errors import EthoLoopError
    from etholoop.params import nearest

    if preset not in presets():
        raise EthoLoopError(f"unknown preset '{preset}'; {nearest(preset, presets())}")


def _apply_preset(project: "Project", preset: str) -> None:
    source = _template() / "label_studio/presets" / preset
    for name in ("skeleton.yaml", "ethogram.yaml"):
        shutil.copyfile(source / name, project / "label_studio" / name)
    if (source / "params.yaml").is_file():
        _merge_parameters(project.params, source / "params.yaml")


def _merge_parameters(path: Path, changes: Path) -> None:
    """Put a preset's parameters into params.yaml, key by key; comments stay."""
    from ruamel.yaml import YAML

    from etholoop.io import atomic

    yaml = YAML()
    yaml.width = 160
    content = yaml.load(path.read_text(encoding="utf-8"))
    _merge(content, yaml.load(changes.read_text(encoding="utf-8")))
    with atomic.new_file(path) as temporary, temporary.open("w", encoding="utf-8") as stream:
        yaml.dump(content, stream)


def _merge(content: Any, changes: Any) -> None:
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(content.get(key), dict):
            _merge(content[key], value)
        else:
            content[key] = value


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
