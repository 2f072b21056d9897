"""``etholoop labels behaviours``: add, rename or remove a behaviour of the ethogram; no label made with the old words is lost."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from etholoop.commands._help import examples

if TYPE_CHECKING:
    from etholoop.core.ethogram_changes import WordChange
    from etholoop.io.snapshot import Snapshot
    from etholoop.project import Project

DRY_RUN = typer.Option(False, "--dry-run", help="Say what would change; change nothing.")


def register(app: typer.Typer) -> None:
    from etholoop.commands._labels_group import labels_group

    group = typer.Typer(help="Change the ethogram without losing labels.", no_args_is_help=True)
    group.command(
        "add",
        short_help="One more behaviour.",
        epilog=examples('etholoop labels behaviours add rear --definition "Both front feet are off the ground."'),
    )(add_command)
    group.command(
        "rename", short_help="Another word for the same thing.", epilog=examples("etholoop labels behaviours rename sniff smell --dry-run")
    )(rename_command)
    group.command(
        "remove", short_help="No longer recorded; its bouts are kept aside.", epilog=examples("etholoop labels behaviours remove dig")
    )(remove_command)
    labels_group(app).add_typer(group, name="behaviours")


def add_command(
    name: str = typer.Argument(..., help="The new word."),
    *,
    definition: str = typer.Option(..., help="A sentence that two annotators can agree on."),
    kind: str = typer.Option("state", help="state (lasts) or point (a moment)."),
    group: str = typer.Option("", help="Exclusive group: behaviours of one group never happen at once."),
    key: str = typer.Option("", help="Key on the labelling screen; default: the next free one."),
    dry_run: bool = DRY_RUN,
) -> None:
    """Add a behaviour. Time that was looked at before says nothing about it: look at it again where it matters."""
    _run("add", "", name, dry_run, {"definition": definition, "kind": kind, "exclusive_group": group, "key": key})


def rename_command(
    old: str = typer.Argument(..., help="The word of today."),
    new: str = typer.Argument(..., help="The word from now on."),
    dry_run: bool = DRY_RUN,
) -> None:
    """Rename a behaviour: in the ethogram, in all labels, and in answers that are still on the server."""
    _run("rename", old, new, dry_run)


def remove_command(name: str = typer.Argument(..., help="The word."), dry_run: bool = DRY_RUN) -> None:
    """Remove a behaviour from the ethogram; its bouts wait in label_studio/removed_bouts.json until it is added again."""
    _run("remove", name, "", dry_run)


def _run(kind: str, old: str, new: str, dry_run: bool, more: dict[str, str] | None = None) -> None:
    from etholoop.core.ethogram_changes import WordChange
    from etholoop.project import find_project

    for line in change(find_project(), WordChange(kind, old, new), more or {}, dry_run=dry_run):
        typer.echo(line)


# --- work --------------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Migrated:
    """A snapshot in the words of today, and what could not be in it. ``renamed``: how many bouts have another word."""

    labels: "Snapshot"
    removed: list[dict[str, Any]]
    renamed: int


def change(project: "Project", step: "WordChange", more: dict[str, str], *, dry_run: bool = False) -> list[str]:
    """Take one step: ethogram and history first, then the snapshot. Killed in between, the next pull (or step) does the rest.

    Raises:
        EthoLoopError: the word is not there, is in use, or meant something else before.
        FaultsError: the ethogram would not be a good one, or the labels not true with it.
    """
    from filelock import FileLock

    from etholoop.io import atomic, snapshot
    from etholoop.io import ethogram_changes as files
    from etholoop.services import label_studio_server

    with FileLock(str(label_studio_server.place(project).root / "pull.lock")):
        before = read_history(project)
        step = replace(step, control=_control(project, step.old))
        text = _new_text(project, step, more, before)
        history = [*before, step]
        old = snapshot.canonical(snapshot.read_or_empty(project.snapshot))
        back = _put_back(project, old, step)
        new = migrated(back, history)
        _refuse_untrue(new.labels, text, project)
        said = _told(project, step, new, _n_bouts(back) - _n_bouts(old))
        if dry_run:
            return [*said, "nothing was changed (--dry-run)"]
        _put_aside(project, new.removed, step)
        atomic.write_text(project.ethogram, text)
        files.write(history_path(project), history)
        keep(project, old, new, f"{step.kind} {step.old} {step.new}".replace("  ", " ").strip())
    return said


def history_path(project: "Project") -> Path:
    return project / "label_studio/ethogram_changes.yaml"


def removed_path(project: "Project") -> Path:
    return project / "label_studio/removed_bouts.json"


def read_history(project: "Project") -> "list[WordChange]":
    from etholoop.io import ethogram_changes as files

    return files.read(history_path(project))


def migrated(labels: "Snapshot", history: "list[WordChange]") -> Migrated:
    """All behaviour records in the words of today."""
    from etholoop.core import ethogram_changes as words
    from etholoop.io.snapshot import Snapshot

    records, removed, n_renamed = [], [], 0
    for record in labels.behaviours:
        made, gone = words.followed(record, history)
        n_renamed += sum(words.today(bout["behaviour"], history) not in (None, bout["behaviour"]) for bout in record["bouts"])
        removed += [{**bout, **{name: record[name] for name in ("video", "subject", "annotator")}} for bout in gone]
        records.append(made)
    return Migrated(Snapshot(labels.frames, records), removed, n_renamed)


def keep(project: "Project", old: "Snapshot", new: Migrated, why: str) -> None:
    """Write the snapshot, with an entry in the journal."""
    from etholoop.commands import labels_pull
    from etholoop.core import label_diff
    from etholoop.io import label_studio_journal as journal
    from etholoop.io import snapshot

    done = label_diff.changes(labels_pull.by_key(old), labels_pull.by_key(snapshot.canonical(new.labels)))
    if done:
        head = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "kind": "ethogram", "why": why}
        journal.append(labels_pull.journal_folder(project), head, [], labels_pull._change_lines(done))
        labels_pull.keep_snapshot(project, new.labels, changed=True, say=typer.echo)


def _put_aside(project: "Project", removed: list[dict[str, Any]], step: "WordChange") -> None:
    """Keep bouts that the snapshot is about to lose, before it does; those of a word that is added again are back in it."""
    from etholoop.io import ethogram_changes as files

    waiting = files.read_removed(removed_path(project))
    left = [bout for bout in waiting if bout["behaviour"] != step.new] + removed
    if left or waiting:
        files.write_removed(removed_path(project), left)


def _names(project: "Project") -> tuple[str, ...]:
    from etholoop.io.vocabulary import read_ethogram

    return read_ethogram(project.ethogram).names


def _control(project: "Project", word: str) -> str:
    """The control of the labelling screen that holds a word."""
    from etholoop.io.label_studio_config import behaviour_controls
    from etholoop.io.vocabulary import read_ethogram

    controls = behaviour_controls(read_ethogram(project.ethogram))
    return next((name for name, members in controls.items() if word in [member.name for member in members]), "")


def _new_text(project: "Project", step: "WordChange", more: dict[str, str], history: "list[WordChange]") -> str:
    """The ethogram file after the step, checked as a whole."""
    from etholoop.core import ethogram_changes as words
    from etholoop.errors import EthoLoopError
    from etholoop.io import ethogram_changes as files
    from etholoop.params import nearest
    from etholoop.schema.ethogram import ethogram_from

    names, text = _names(project), project.ethogram.read_text(encoding="utf-8")
    if step.old and step.old not in names:
        raise EthoLoopError(f"the ethogram has no behaviour '{step.old}'; {nearest(step.old, list(names))}")
    if step.new in names:
        raise EthoLoopError(f"the ethogram has a behaviour '{step.new}' already; two behaviours are not made one. Nothing was changed.")
    meant = words.today(step.new, history) if step.new else ""
    if step.new in words.retired(history) and (meant is not None or step.kind == words.RENAME):
        what = f"stands for '{meant}'" if meant else "was removed, and labels made with it are kept"
        raise EthoLoopError(f"the word '{step.new}' {what}: labels made with it would change their meaning. Take another word.")
    if step.kind == words.ADD:
        made = files.added(text, {"name": step.new, **more})
    else:
        made = files.renamed(text, step.old, step.new) if step.kind == words.RENAME else files.removed(text, step.old)
    import yaml

    ethogram_from(yaml.safe_load(made), str(project.ethogram))
    return made


def _put_back(project: "Project", labels: "Snapshot", step: "WordChange") -> "Snapshot":
    """Bouts of a word that was removed and is added again, back in their records."""
    from etholoop.core import ethogram_changes as words
    from etholoop.io import ethogram_changes as files
    from etholoop.io import snapshot

    waiting: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for bout in files.read_removed(removed_path(project)):
        if step.kind == words.ADD and bout["behaviour"] == step.new:
            key = snapshot.behaviour_key(bout)
            waiting.setdefault(key, []).append({name: bout[name] for name in ("behaviour", "start", "stop")})
    records = [words.with_bouts(record, waiting.get(snapshot.behaviour_key(record), [])) for record in labels.behaviours]
    return snapshot.Snapshot(labels.frames, records)


def _refuse_untrue(labels: "Snapshot", text: str, project: "Project") -> None:
    import yaml

    from etholoop.commands.labels_pull import _extents
    from etholoop.core.labels import behaviour_faults
    from etholoop.errors import FaultsError
    from etholoop.schema.ethogram import ethogram_from

    ethogram, extents = ethogram_from(yaml.safe_load(text), str(project.ethogram)), _extents(project)
    faults = [fault for record in labels.behaviours if record["video"] in extents for fault in behaviour_faults(record, ethogram, extents)]
    if faults:
        raise FaultsError("labels in the new words", faults, "Nothing was changed. Correct these labels first.")


def _n_bouts(labels: "Snapshot") -> int:
    return sum(len(record["bouts"]) for record in labels.behaviours)


def _told(project: "Project", step: "WordChange", new: Migrated, n_back: int) -> list[str]:
    """What the step does, and what must be computed or trained again."""
    lines = [f"{step.kind}: {' → '.join(filter(None, [step.old, step.new]))}"]
    lines += [f"{new.renamed} bouts have another word"] if new.renamed else []
    lines += [f"{len(new.removed)} bouts wait in {removed_path(project).relative_to(project.root)}"] if new.removed else []
    lines += [f"{n_back} bouts of '{step.new}' are back"] if n_back else []
    lines.append(f"to be computed again (`etholoop repro`): {', '.join(stages_after(project)) or 'nothing yet'}")
    if step.kind == "rename":
        lines.append("behaviour models learned the old word; their class lists are made anew when they are trained again")
    else:
        lines.append("behaviour models have one output per behaviour: they must be trained again, older ones stay with their cycle")
    if step.kind == "add":
        lines.append(f"time looked at before counts as '{step.new}' absent: push those windows again where it may have happened")
    return lines


def stages_after(project: "Project") -> list[str]:
    """Stages that read the ethogram or the labels, and all that follow, in the order of the graph."""
    from etholoop.params import read_yaml
    from etholoop.services import dvc_plan

    path = project / "dvc.yaml"
    stages = (read_yaml(path) if path.is_file() else {}).get("stages") or {}
    first = [name for name, stage in stages.items() if "label_studio/ethogram.yaml" in dvc_plan._paths(stage, "deps")]
    status = {name: [{"changed deps": {"label_studio/ethogram.yaml": "modified"}}] for name in first}
    return [name for name, _ in dvc_plan.plan(status, stages)]
