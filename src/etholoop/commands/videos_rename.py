"""``etholoop videos rename``: new names by a pattern, with everything that refers to the old ones."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from etholoop.commands._help import examples

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from etholoop.io.metadata import Row
    from etholoop.project import Project

EXAMPLES = examples(
    "etholoop videos rename '{session}_{camera}' --dry-run         names out of data/raw/metadata.csv",
    "etholoop videos rename '{parent}-{stem}' --match DJI_          the folder's name in front, for these only",
    "etholoop videos rename 'cage_{n:3}' --carry-labels             cage_001, cage_002, … ; labels go along",
    "etholoop videos rename '{parent2}-{parent}-{stem}' --in ~/rec  any folder, in a project or not",
    "",
    "Fields: {stem} {parent} {parent2} {parent3} {n}, and inside a project {session} {subject} {camera} {date}; the suffix stays.",
)

JOURNAL = ".renaming.json"
"""What is being renamed; there only while it happens, or after a kill, for the next call to finish."""


def register(group: typer.Typer) -> None:
    group.command("rename", short_help="Rename videos in their folders.", epilog=EXAMPLES)(rename_command)


def rename_command(
    pattern: str = typer.Argument(..., help="New name without suffix, with fields in braces."),
    match: list[str] = typer.Option([], "--match", help="Only these, as in `etholoop videos copy`."),
    folder: Path = typer.Option(None, "--in", help="Rename in this folder and below instead of in data/raw/videos."),
    carry_labels: bool = typer.Option(False, "--carry-labels", help="Give labels and listed splits the new ids."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Only list old and new names."),
) -> None:
    """Rename videos in their folders; all or nothing, and never onto another file."""
    from etholoop.project import find_project

    project = None if folder is not None else find_project()
    top = folder if folder is not None else find_project().raw_videos
    if finished(top, project):
        typer.echo("an interrupted rename was finished first")
    plan = plan_of(top, pattern, match, project, carry_labels=carry_labels)
    for old, new in plan.moves.items():
        typer.echo(f"{old} → {new}")
    if not dry_run and plan.moves:
        carry_out(top, plan, project)
    typer.echo(f"{len(plan.moves)} {'would be ' if dry_run else ''}renamed", err=True)
    if plan.moves and project is not None and not dry_run:
        typer.echo("next: `etholoop repro`", err=True)


@dataclass(frozen=True)
class Plan:
    """``moves``: old to new path below the folder. ``texts``: new content of files below the project that name the old ids."""

    moves: dict[str, str]
    texts: dict[str, str] = field(default_factory=dict)


def plan_of(top: Path, pattern: str, match: "Sequence[str]", project: "Project | None", *, carry_labels: bool = False) -> Plan:
    """What a rename would do.

    Raises:
        EthoLoopError: no such folder, or nothing in it fits.
        FaultsError: every file that gets no new name or one that is taken, and every label that refers to an old id.
    """
    from etholoop.commands.videos_copy import choose
    from etholoop.core.name_rules import clashes, new_name
    from etholoop.errors import EthoLoopError, FaultsError

    files = choose(top, match)
    if not files:
        raise EthoLoopError(f"{top}: no video fits ({', '.join(match) or 'any name'}).")
    known = _known(project)
    moves, faults = {}, []
    for number, file in enumerate(files, start=1):
        old = file.relative_to(top).as_posix()
        try:
            name = new_name(pattern, _fields(file, number, known.get(f"videos/{old}", {}) if project else None))
        except ValueError as error:
            faults.append(f"{old}: {error}")
            continue
        moves[old] = file.with_name(name + file.suffix).relative_to(top).as_posix()
    taken = [path.relative_to(top).as_posix() for path in top.rglob("*")]
    faults += clashes(moves, taken)
    moves = {old: new for old, new in moves.items() if old != new}
    texts, more = _texts(project, moves, carry_labels) if project and moves and not faults else ({}, [])
    if faults + more:
        raise FaultsError("etholoop videos rename", faults + more, "Nothing was renamed.")
    return Plan(moves, texts)


def carry_out(top: Path, plan: Plan, project: "Project | None") -> None:
    """Rename everything; a kill in between is made good by :func:`finished`."""
    steps = [[old, str(Path(old).with_name(f".renaming-{n}{Path(old).suffix}")), new] for n, (old, new) in enumerate(plan.moves.items())]
    _write_journal(top, {"phase": 1, "steps": steps, "texts": plan.texts})
    finished(top, project)


def finished(top: Path, project: "Project | None") -> bool:
    """Carry out what the journal in ``top`` still asks for; False when there is none.

    All files first get names that nobody has, so that names can be swapped.
    """
    from etholoop.io import atomic

    path = top / JOURNAL
    if not path.is_file():
        return False
    journal = json.loads(path.read_text(encoding="utf-8"))
    if journal["phase"] == 1:
        for old, between, _ in journal["steps"]:
            if not (top / between).exists():
                (top / old).rename(top / between)
        _write_journal(top, journal | {"phase": 2})
    for _, between, new in journal["steps"]:
        if (top / between).exists():
            (top / between).rename(top / new)
    if project is not None:
        for name, text in journal["texts"].items():
            atomic.write_text(project / name, text)
        _version(project, journal["texts"])
    path.unlink()
    return True


def _write_journal(top: Path, journal: dict[str, Any]) -> None:
    from etholoop.io import atomic

    atomic.write_text(top / JOURNAL, json.dumps(journal, sort_keys=True))


def _version(project: "Project", texts: "Iterable[str]") -> None:
    from etholoop.services import dvc

    versioned = [project / name for name in texts if (project / f"{name}.dvc").is_file()]
    dvc.add(project, project.raw_videos, *versioned)


def _known(project: "Project | None") -> "dict[str, dict[str, str]]":
    """What metadata.csv says about each path below data/raw."""
    from etholoop.io import metadata

    return {row.path: row.fields for row in metadata.read(project.metadata)} if project else {}


def _fields(file: Path, number: int, known: dict[str, str] | None) -> dict[str, str | int | None]:
    above = [parent.name for parent in file.resolve().parents]
    fields: dict[str, str | int | None] = {"stem": file.stem, "n": number}
    fields |= {f"parent{place or ''}": name for place, name in zip(("", 2, 3), above, strict=False)}
    if known is not None:
        fields |= {name: known.get(name) for name in ("session", "subject", "camera")}
        fields["date"] = known["start_time"][:10] if known.get("start_time") else None
    return fields


# --- what refers to the old names --------------------------------------------------------------------------------------------------


def _texts(project: "Project", moves: dict[str, str], carry_labels: bool) -> tuple[dict[str, str], list[str]]:
    """New content of files that name the old paths and ids, and faults."""
    from etholoop.core.naming import source_id
    from etholoop.io import raw

    ids = {source_id(old): source_id(new) for old, new in moves.items()}
    others = {one.video_id: one.path for one in raw.scan(project / "data/raw")[0] if one.path.removeprefix("videos/") not in moves}
    faults = [f"{new}: its id '{source_id(new)}' is that of {others[source_id(new)]}" for new in moves.values() if source_id(new) in others]
    faults += [f"the id '{name}' would belong to two videos" for name in sorted(set(ids.values())) if list(ids.values()).count(name) > 1]
    ids = {old: new for old, new in ids.items() if old != new}
    texts = _metadata_text(project, moves)
    if not ids:
        return texts, faults
    labels, names = _label_text(project, ids)
    splits, listed = _splits_text(project, ids)
    if (labels or splits) and not carry_labels:
        faults += [f"label_studio/exports/snapshot.json has labels of '{name}'" for name in names]
        faults += [f"data/raw/splits.csv names '{name}'" for name in listed]
        faults.append("give --carry-labels to take them along; tasks that are still open in Label Studio keep the old ids: pull them first")
    return texts | labels | splits, faults


def _metadata_text(project: "Project", moves: dict[str, str]) -> dict[str, str]:
    """metadata.csv with the new paths."""
    from etholoop.io import metadata

    rows = metadata.read(project.metadata)
    renamed: list[Row] = [_moved(row, moves) for row in rows]
    return {"data/raw/metadata.csv": metadata.dumps(renamed)} if renamed != rows else {}


def _moved(row: "Row", moves: dict[str, str]) -> "Row":
    from dataclasses import replace

    new = moves.get(row.path.removeprefix("videos/")) if row.path.startswith("videos/") else None
    return replace(row, path=f"videos/{new}") if new else row


def _label_text(project: "Project", ids: dict[str, str]) -> tuple[dict[str, str], list[str]]:
    """The snapshot with the new ids, and the old ids that have labels."""
    from etholoop.io import snapshot

    given = snapshot.read_or_empty(project.snapshot)
    of_frame = [record["uid"].rsplit(":", 1) for record in given.frames]
    names = sorted({video for video, _ in of_frame} | {record["video"] for record in given.behaviours})
    names = [name for name in names if name in ids]
    if not names:
        return {}, []
    frames = [record | {"uid": f"{ids.get(video, video)}:{frame}"} for record, (video, frame) in zip(given.frames, of_frame, strict=True)]
    behaviours = [record | {"video": ids.get(record["video"], record["video"])} for record in given.behaviours]
    text = snapshot.dumps(snapshot.Snapshot(frames, behaviours)).decode("utf-8")
    return {project.snapshot.relative_to(project.root).as_posix(): text}, names


def _splits_text(project: "Project", ids: dict[str, str]) -> tuple[dict[str, str], list[str]]:
    """splits.csv with the new ids, and the old ids it names."""
    import csv
    import io

    if not project.fixed_splits.is_file():
        return {}, []
    rows = list(csv.reader(io.StringIO(project.fixed_splits.read_text(encoding="utf-8-sig"), newline="")))
    if not rows or "video_id" not in rows[0]:
        return {}, []
    column = rows[0].index("video_id")
    named = sorted({row[column] for row in rows[1:] if len(row) > column and row[column] in ids})
    for row in rows[1:]:
        if len(row) > column:
            row[column] = ids.get(row[column], row[column])
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return ({"data/raw/splits.csv": text.getvalue()} if named else {}), named
