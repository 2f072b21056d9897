"""``etholoop videos copy``: recordings picked by name out of a tree of folders, into the project or elsewhere."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from etholoop.commands._help import examples

if TYPE_CHECKING:
    from collections.abc import Sequence

EXAMPLES = examples(
    "etholoop videos copy ~/rec --match aria --match pre+ecig --match pre+cig --dry-run",
    "etholoop videos copy ~/rec --match 'day1/*_top.mp4'          a pattern with / is for the whole path",
    "etholoop videos copy ~/rec --exclude test --as pilot         into data/raw/videos/pilot",
    "etholoop videos copy /mnt/nas --match cage3 --to ~/cage3     into any folder, keeping the folders below",
    "",
    "Words joined by + must all be there; one --match is enough. Capitals do not count unless --case is given.",
)


def register(group: typer.Typer) -> None:
    group.command("copy", short_help="Copy recordings by name.", epilog=EXAMPLES)(copy_command)


def copy_command(  # noqa: PLR0917
    tree: Path = typer.Argument(..., help="Folder with recordings, at any depth."),
    match: list[str] = typer.Option([], "--match", help="Parts of names or patterns; several: one must fit."),
    exclude: list[str] = typer.Option([], "--exclude", help="Names that are left out, in the same way."),
    to: Path = typer.Option(None, "--to", help="Folder to copy into; default: this project, as `etholoop videos add` does."),
    folder: str = typer.Option("", "--as", help="Folder below data/raw/videos to put everything in."),
    link: bool = typer.Option(False, "--link", help="Hard links instead of copies (same disk only)."),
    case: bool = typer.Option(False, "--case", help="Capitals count."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Only list what would be copied."),
) -> None:
    """Copy the recordings whose names fit; nothing is copied if two would get one name."""
    from etholoop.errors import EthoLoopError

    files = choose(tree, match, exclude, case=case)
    if not files:
        raise EthoLoopError(f"{tree}: no recording fits ({', '.join(match) or 'any name'}); `etholoop videos stats {tree}` lists all.")
    if to is not None and folder:
        raise EthoLoopError("--to and --as: give one of them.")
    if dry_run:
        for file in files:
            typer.echo(file.relative_to(tree).as_posix())
        typer.echo(f"{len(files)} recordings would be copied", err=True)
        return
    new, there = copy(tree, files, to, link=link) if to is not None else _add(tree, files, folder, link)
    typer.echo(f"{new} copied, {there} already there")


def choose(tree: Path, match: "Sequence[str]", exclude: "Sequence[str]" = (), *, case: bool = False) -> list[Path]:
    """Videos below ``tree`` whose path fits, in the order of their paths; hidden ones are left out.

    Raises:
        EthoLoopError: there is no such folder.
    """
    from etholoop.core.name_rules import picked
    from etholoop.errors import EthoLoopError
    from etholoop.io import raw

    if not tree.is_dir():
        raise EthoLoopError(f"{tree}: not a folder.")
    files = (file for file in sorted(tree.rglob("*")) if file.is_file() and raw.is_video(file))
    shown = (file for file in files if not any(part.startswith(".") for part in file.relative_to(tree).parts))
    return [file for file in shown if picked(file.relative_to(tree).as_posix(), match, exclude, case=case)]


def copy(tree: Path, files: list[Path], to: Path, *, link: bool = False) -> tuple[int, int]:
    """Copy ``files`` into ``to`` as they lie below ``tree``; how many are new, how many were there with the same content.

    Raises:
        FaultsError: every name that is taken by other content; nothing is copied then.
    """
    from etholoop.errors import FaultsError
    from etholoop.io import incoming

    plan = {file.relative_to(tree).as_posix(): file for file in files}
    there, faults = _taken(to, plan)
    if faults:
        raise FaultsError("etholoop videos copy", faults, "Nothing has been copied.")
    incoming.bring(to, {target: file for target, file in plan.items() if target not in there}, link=link)
    return len(plan) - len(there), len(there)


def _taken(to: Path, plan: dict[str, Path]) -> tuple[set[str], list[str]]:
    from etholoop.io.memo import file_digest

    there, faults = set(), []
    for target, file in plan.items():
        present = to / target
        if not present.exists():
            continue
        if present.is_file() and (present.samefile(file) or file_digest(present) == file_digest(file)):
            there.add(target)
        else:
            faults.append(f"{file}: {present} is there with other content")
    return there, faults


def _add(tree: Path, files: list[Path], folder: str, link: bool) -> tuple[int, int]:
    """Into the project; folders below ``tree`` stay in the names below data/raw/videos. Content that is there is not added twice."""
    from etholoop.commands.videos import _clean_folder
    from etholoop.errors import FaultsError
    from etholoop.io import incoming
    from etholoop.project import find_project
    from etholoop.services import dvc

    project = find_project()
    raw = project / "data/raw"
    plan = {f"videos/{_clean_folder(folder)}{file.relative_to(tree).as_posix()}": file for file in files}
    twins = incoming.twins(raw, plan)
    plan = {target: file for target, file in plan.items() if target not in twins}
    there, taken = incoming.already_there(raw, plan)
    faults = taken + incoming.id_faults(raw, plan)
    if faults:
        raise FaultsError("etholoop videos copy", faults, "Nothing has been copied.")
    incoming.bring(raw, {target: file for target, file in plan.items() if target not in there}, link=link)
    dvc.add(project, raw / "videos")
    return len(plan) - len(there), len(there) + len(twins)
