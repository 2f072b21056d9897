"""``etholoop init``: make a project, or complete the one in this folder."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from etholoop.commands._help import examples

if TYPE_CHECKING:
    from etholoop.commands._init_words import Words
    from etholoop.project import Project

METADATA_HEADER = "path,session,subject,camera,start_time\n"
KEEP = ".keep"
"""Hidden file in an empty input folder: DVC warns of empty ones in every stage, and Git drops them."""
EXAMPLES = examples(
    "etholoop init ~/my-mice --preset openfield",
    'etholoop init ~/my-rats --species rat --keypoints nose,tail_base --behaviour "groom: licks or scratches its own fur"',
    "etholoop init ~/kenya --cvat kenya-behavior.zip --cvat-words old2new.json",
    "etholoop init .                               complete the project in this folder",
    "etholoop init . --remote /mnt/nas/my-mice     where `dvc push` and `dvc pull` keep data",
)
SPLITS_HEADER = "video_id,start_frame,stop_frame,split,group\n"
NOT_COPIED = (
    *("__pycache__", "*.egg-info", "exports", "batches", "journal"),
    *("server_key.txt", "annotators.yaml", "track_edits.csv", "ethogram_changes.yaml", "removed_bouts.json"),
)
"""What belongs to one project only: its labels, what was asked, its name on the labelling server, its people."""


def register(app: typer.Typer) -> None:
    app.command("init", short_help="Make a project folder.", epilog=EXAMPLES)(init)


def init(
    folder: Path = typer.Argument(..., help="New folder, or '.' to complete the project in this one."),
    *,
    preset: str = typer.Option("", help="Skeleton, ethogram and settings to start from: openfield, mice_5x4, kabr or demo."),
    species: str = typer.Option("", help="Classes of animals, with commas: skeleton.yaml is written from them."),
    keypoints: str = typer.Option("", help="Body points, with commas; names with left and right become mirror pairs."),
    animals: int = typer.Option(None, min=1, help="How many animals are in view."),
    behaviour: list[str] = typer.Option(None, help='One behaviour, "name: definition"; give it once for each.'),
    cvat: list[Path] = typer.Option(None, exists=True, help="CVAT template (project.json or zip) to make skeleton and ethogram of."),
    cvat_words: Path = typer.Option(None, exists=True, help='JSON with other names for the behaviours of a template, {"old": "new"}.'),
    remote: str = typer.Option("", help="Where `dvc push` keeps data and labels: a folder (a NAS), or an address that DVC knows."),
    ask: bool = typer.Option(True, "--ask/--no-ask", help="Ask for animals and behaviours when none are given and this is a terminal."),
) -> None:
    """Make a project: a Git repository with DVC, the pipeline, its code, a skeleton and an ethogram."""
    from etholoop.commands import _init_words

    if cvat:
        words = _init_words.from_templates(cvat, cvat_words, typer.echo)
    else:
        words = _init_words.from_flags(species, keypoints, behaviour or [], animals)
    if ask and not (preset or words or (folder / "dvc.yaml").is_file()):
        words = _init_words.asked()
    project = make_project(folder, preset, words, remote)
    typer.echo(f"project ready in {project.root}")
    where = "" if project.root == Path.cwd() else f"`cd {folder}`, "
    typer.echo(f"next: {where}look at label_studio/skeleton.yaml and ethogram.yaml, then `etholoop videos add PATH…`")


def make_project(folder: Path, preset: str = "", words: "Words | None" = None, remote: str = "") -> "Project":
    """Make or complete a project; safe to call again, nothing that is there is overwritten.

    Args:
        words: skeleton and ethogram of a new project.
        remote: of DVC, made the default one.

    Raises:
        EthoLoopError: unknown preset, the folder holds other things, words for a project that has some, or another remote is set.
    """
    from etholoop.errors import EthoLoopError
    from etholoop.project import Project
    from etholoop.services import dvc, git

    if preset:
        _require_preset(preset)
    folder.mkdir(parents=True, exist_ok=True)
    project = Project(folder.resolve())
    new = not (project / "dvc.yaml").is_file()
    if words and not new:
        raise EthoLoopError(
            f"{project.root} is a project already, and its skeleton and ethogram are in use. Change the files themselves, and "
            "behaviours with `etholoop labels behaviours`, which keeps labels."
        )
    if new:
        _copy_template(project)
    if preset:
        _apply_preset(project, preset)
    if words:
        from etholoop.commands import _init_words

        _init_words.write(project, words)
    _make_inputs(project)
    git.init(project)
    dvc.init(project)
    if remote:
        set_remote(project, remote)
    dvc.add(project, project.raw_videos, project.raw_images, project.init_weights, project.snapshot)
    if new:
        git.commit(project, "New EthoLoop project")
    return project


def set_remote(project: "Project", remote: str) -> None:
    """Make a folder or an address DVC's default remote, kept in .dvc/config by Git; a folder is made when it is missing.

    Raises:
        EthoLoopError: another default remote is set already.
    """
    from etholoop.errors import EthoLoopError
    from etholoop.services import process

    place = remote if "://" in remote else str(Path(remote).expanduser().resolve())
    name = process.run(["dvc", "config", "core.remote"], project.root, ok=(0, 251)).strip()
    if name:
        now = process.run(["dvc", "config", f"remote.{name}.url"], project.root, ok=(0, 251)).strip()
        if now == place or (project / ".dvc" / now).resolve() == Path(place):
            return
        raise EthoLoopError(f"DVC's remote is {now} already; `dvc remote modify {name} url {place}` changes it.")
    if "://" not in remote:
        Path(place).mkdir(parents=True, exist_ok=True)
    process.run(["dvc", "remote", "add", "--quiet", "--default", "lab", place], project.root)
    process.run(["git", "add", ".dvc/config"], project.root)


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
    from etholoop.io import history, snapshot, track_edits

    for path in (project.raw_videos, project.raw_images, project.init_weights, project.cycles, project.batches, project.metrics):
        path.mkdir(parents=True, exist_ok=True)
    for path in (project.raw_videos, project.raw_images, project.init_weights):
        if not any(path.iterdir()):
            (path / KEEP).touch()
    edits = project / "label_studio/track_edits.csv"
    for path, text in ((project.metadata, METADATA_HEADER), (project.fixed_splits, SPLITS_HEADER), (edits, track_edits.HEADER)):
        if not path.exists():
            path.write_text(text, encoding="utf-8")
    if not (project.metrics / "history.csv").exists():
        history.write(project.metrics / "history.csv", [])
    if not project.snapshot.exists():
        snapshot.write(snapshot.Snapshot([], []), project.snapshot)
