"""``etholoop labels journal|restore``: every answer that was ever pulled, and the way back to an earlier state."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import typer

from etholoop.commands._help import examples

if TYPE_CHECKING:
    from etholoop.project import Project

JOURNAL_EXAMPLES = examples("etholoop labels journal", "etholoop labels journal cage1:00000120")
RESTORE_EXAMPLES = examples("etholoop labels restore 12", "etholoop labels restore 0")


def register(app: typer.Typer) -> None:
    from etholoop.commands._labels_group import labels_group

    group = labels_group(app)
    group.command("journal", short_help="List what was ever pulled.", epilog=JOURNAL_EXAMPLES)(journal_command)
    group.command(
        "restore",
        short_help="Bring back an earlier snapshot.",
        epilog=RESTORE_EXAMPLES,
    )(restore_command)


def journal_command(uid: str = typer.Argument("", help="Frame or window whose versions to show; without: all pulls.")) -> None:
    """List all pulls, or all versions of one answer."""
    from etholoop.project import find_project

    project = find_project()
    for line in versions(project, uid) if uid else listing(project):
        typer.echo(line)


def restore_command(
    number: int = typer.Argument(..., min=0, help="Entry of the journal after which the snapshot should stand; 0 = before the first."),
) -> None:
    """Bring the snapshot back to how it stood after an entry of the journal. This is an entry too, so it can be undone."""
    from etholoop.project import find_project

    n_changed, left_alone = restore(find_project(), number)
    typer.echo(f"{n_changed} records brought back; the next `labels pull` takes the server's answers again")
    for name in left_alone:
        typer.echo(f"  left alone, changed by something else since: {name}")


def listing(project: "Project") -> list[str]:
    """One line per entry."""
    from etholoop.commands.labels_pull import journal_folder
    from etholoop.io import label_studio_journal as journal

    lines = [
        f"{entry.number:6d}  {entry.head.get('at', '?')}  {entry.head.get('kind', 'pull'):8s} {len(entry.annotations)} versions, "
        f"{len(entry.changes)} records of the snapshot changed"
        for entry in journal.entries(journal_folder(project))
    ]
    return lines or ["nothing was pulled yet"]


def versions(project: "Project", uid: str) -> list[str]:
    """One line per version of the answers to one task."""
    from etholoop.commands.labels_pull import journal_folder
    from etholoop.io import label_studio_journal as journal

    lines = []
    for entry in journal.entries(journal_folder(project)):
        for line in entry.annotations:
            if line["uid"] == uid:
                state = "removed" if line.get("removed") else "taken" if line.get("record") else "not taken: " + "; ".join(line["reasons"])
                lines.append(f"{entry.number:6d}  {line.get('updated_at') or entry.head.get('at')}  {line['annotator']}: {state}")
    return lines or [f"nothing was ever pulled for {uid}"]


def restore(project: "Project", number: int) -> tuple[int, list[str]]:
    """Undo all entries after ``number``; how many records changed, and which were left alone."""
    from filelock import FileLock

    from etholoop.commands import labels_pull
    from etholoop.commands.labels_behaviours import migrated, read_history
    from etholoop.core.label_diff import Change, changes, undone
    from etholoop.errors import EthoLoopError
    from etholoop.io import label_studio_journal as journal
    from etholoop.io import snapshot
    from etholoop.services import label_studio_server

    folder = labels_pull.journal_folder(project)
    with FileLock(str(label_studio_server.place(project).root / "pull.lock")):
        entries = list(journal.entries(folder))
        if number and number not in {entry.number for entry in entries}:
            raise EthoLoopError(f"the journal has no entry {number}; `etholoop labels journal` lists them.")
        later = [entry for entry in entries if entry.number > number]
        made = [Change(tuple(line["key"]), line["before"], line["after"]) for entry in later for line in entry.changes]
        old = snapshot.canonical(snapshot.read_or_empty(project.snapshot))
        before = labels_pull.by_key(old)
        after, left_alone = undone(before, made)
        after = labels_pull.by_key(migrated(labels_pull.from_keys(after), read_history(project)).labels)
        done = changes(before, after)
        if done:
            head = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "kind": "restore", "to": number}
            journal.append(folder, head, [], labels_pull._change_lines(done))
            labels_pull.keep_snapshot(project, labels_pull.from_keys(after), changed=True, say=typer.echo)
    return len(done), [" ".join(key) for key in left_alone]
