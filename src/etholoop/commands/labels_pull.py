"""``etholoop labels pull``: all submitted work from the labelling server into the snapshot. Nothing that was there is lost."""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from etholoop.commands._help import examples

if TYPE_CHECKING:
    from etholoop.core.ethogram_changes import WordChange
    from etholoop.core.label_diff import Change, Told
    from etholoop.io.snapshot import Snapshot
    from etholoop.project import Project
    from etholoop.services.label_studio import Client

Line = dict[str, Any]
Say = Callable[[str], None]

KINDS = ("frame", "behaviour")
PATIENCE_S = 600.0
"""How long to wait for a running `dvc repro` to have read the snapshot."""

EXAMPLES = examples("etholoop labels pull --dry-run", "etholoop labels pull", "etholoop labels pull --accept-removals")


def register(app: typer.Typer) -> None:
    from etholoop.commands._labels_group import labels_group

    labels_group(app).command("pull", short_help="Take submitted labels into the snapshot.", epilog=EXAMPLES)(command)


@dataclass
class Pulled:
    """What came from the server and what became of it."""

    told: "list[Told]" = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    refused: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    changes: "list[Change]" = field(default_factory=list)
    seen: set[tuple[str, str]] = field(default_factory=set)
    """(uid, annotator) of every submitted answer on the server, taken or refused."""


def command(
    *,
    accept_removals: bool = typer.Option(
        False, "--accept-removals", help="Also take labels out that were pulled before and are gone from the server."
    ),
    dry_run: bool = typer.Option(False, "--dry-run", help="Say what would change; change nothing."),
) -> None:
    """Take all submitted labels into the snapshot and version it. Drafts and skipped tasks are told, not taken."""
    from etholoop.project import find_project

    tell(pull(find_project(), accept_removals=accept_removals, dry_run=dry_run, say=typer.echo), dry_run=dry_run)


def pull(project: "Project", *, accept_removals: bool = False, dry_run: bool = False, say: Say = lambda _: None) -> Pulled:
    """Read everything first, then journal, then snapshot, then DVC: killed anywhere, the next pull ends in the same place.

    Raises:
        EthoLoopError: no server, or it went away in the middle; nothing was changed then.
    """
    from filelock import FileLock

    from etholoop.commands.labels_behaviours import read_history
    from etholoop.core import label_diff
    from etholoop.io import label_studio_journal as journal
    from etholoop.io import snapshot
    from etholoop.io.vocabulary import read_ethogram
    from etholoop.services import label_studio, label_studio_server

    with FileLock(str(label_studio_server.place(project).root / "pull.lock")):
        known, seen = journal.versions(journal_folder(project))
        with label_studio.connect(project) as client:
            pulled, facts = _read_all(project, client, known)
        lines = _unknown_lines(pulled.lines, known, seen)
        gone = _gone(pulled, known)
        old = snapshot.canonical(snapshot.read_or_empty(project.snapshot))
        points = {item.name for item in read_ethogram(project.ethogram).behaviours if item.kind == "point"}
        new = _merged(old, pulled, gone if accept_removals else [], points, read_history(project))
        pulled.gone = [f"{line['uid']} by {line['annotator']}" for line in gone]
        pulled.changes = label_diff.changes(by_key(old), by_key(new))
        if accept_removals:
            lines += [_removal(line) for line in gone]
        if not dry_run:
            head = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "kind": "pull", **facts}
            if lines or pulled.changes:
                journal.append(journal_folder(project), head, lines, _change_lines(pulled.changes))
            _keep(project, new, facts | dict(sorted(pulled.counts.items())), changed=bool(pulled.changes), say=say)
    return pulled


# --- reading -----------------------------------------------------------------------------------------------------------------------


def _read_all(project: "Project", client: "Client", known: Mapping[tuple[str, str], Line]) -> tuple[Pulled, Line]:
    """Every answer of every kind of task, converted; and facts about where they are from. ``known``: answers by uid and annotator as
    they were journaled last; those that did not change are not kept in memory in the server's form."""
    from etholoop.commands.labels_push import project_key, screens_of
    from etholoop.errors import EthoLoopError
    from etholoop.services import label_studio_project as studio

    pulled, key = Pulled(), project_key(project)
    facts: Line = {"server": client.url, "version": client.version(), "projects": {}}
    names = names_of_users(project, client.users())
    for kind in KINDS:
        found = studio.find(client, key, kind)
        if found is None:
            continue
        facts["projects"][kind] = found["id"]
        if not any(studio.same_config(found["label_config"], screen) for screen in screens_of(project, kind)):
            pulled.remarks.append(
                f"the screen of '{found['title']}' is not the one of skeleton.yaml and ethogram.yaml; the next push puts it back"
            )
        page = f"{client.url}/projects/{found['id']}/data?task="
        reader = _Reader(project, kind, names, page, known)
        for task in client.all_annotated_tasks(found["id"]):
            reader.take(task, pulled)
    if not facts["projects"]:
        raise EthoLoopError(f"{client.url} holds no tasks of this project yet; `etholoop labels push` sends some. Nothing was changed.")
    return pulled, facts


class _Reader:
    """Turns tasks of one kind into told records and journal lines."""

    def __init__(self, project: "Project", kind: str, names: Mapping[int, str], page: str, known: Mapping[tuple[str, str], Line]):
        from etholoop.commands.labels_behaviours import read_history
        from etholoop.io.vocabulary import read_ethogram, read_skeleton

        self.kind, self.names, self.page, self.known = kind, names, page, known
        self.skeleton, self.ethogram = read_skeleton(project.skeleton), read_ethogram(project.ethogram)
        self.history = read_history(project)
        self.extents = _extents(project)

    def take(self, task: Line, pulled: Pulled) -> None:
        data = task.get("data") or {}
        if not data.get("uid") or data.get("kind") != self.kind:
            pulled.counts["tasks of others"] += 1
            return
        pulled.counts["tasks"] += 1
        pulled.counts["drafts"] += len(task.get("drafts") or [])
        for annotation in task.get("annotations") or []:
            if annotation.get("was_cancelled"):
                pulled.counts["skipped"] += 1
            else:
                self._take_annotation(task, annotation, pulled)

    def _take_annotation(self, task: Line, annotation: Line, pulled: Pulled) -> None:
        from etholoop.core.label_diff import Told
        from etholoop.io import label_studio_journal as journal

        data, annotator = task["data"], self._name(annotation.get("completed_by"))
        uid, results = data["uid"], annotation.get("result") or []
        pulled.counts["submitted"] += 1
        pulled.seen.add((uid, annotator))
        read = self._convert(data, results, annotator)
        if read.record is not None and not read.reasons:
            at = str(annotation.get("updated_at") or annotation.get("created_at") or "")
            pulled.told.append(Told(uid, annotator, at, int(annotation["id"]), read.record))
        else:
            pulled.refused += [f"{uid} by {annotator}: {reason}  {self.page}{task['id']}" for reason in read.reasons]
        pulled.remarks += [f"{uid} by {annotator}: {remark}" for remark in read.remarks]
        facts = {"uid": uid, "annotator": annotator, "kind": self.kind, "annotation": annotation["id"], "task": task["id"]}
        facts |= {"updated_at": annotation.get("updated_at"), "digest": journal.digest([uid, annotator, results])}
        taken = read.record if not read.reasons else None
        line = {**facts, "record": taken, "reasons": read.reasons}
        unchanged = (self.known.get((uid, annotator)) or {}).get("digest") == facts["digest"]
        pulled.lines.append(line if unchanged else {**line, "data": data, "result": results})

    def _convert(self, data: Line, results: list[Line], annotator: str) -> Any:
        from etholoop.core import labels
        from etholoop.core.ethogram_changes import today
        from etholoop.io import label_studio_annotations as annotations

        try:
            if self.kind == "frame":
                read = annotations.frame_record(data, results, annotator, self.skeleton)
            else:
                read = annotations.behaviour_record(data, results, annotator, self.ethogram, lambda word: today(word, self.history))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            return annotations.Read(
                reasons=[f"not readable as our labels ({type(error).__name__}: {error}); was the task changed by hand?"]
            )
        if read.record is not None and data["video_id"] in self.extents:  # one in quarantine waits in the snapshot until it is mended
            faults = labels.frame_faults if self.kind == "frame" else labels.behaviour_faults
            words: Any = self.skeleton if self.kind == "frame" else self.ethogram
            read.reasons += faults(read.record, words, self.extents)
        return read

    def _name(self, completed_by: Any) -> str:
        number = completed_by.get("id") if isinstance(completed_by, dict) else completed_by
        return self.names.get(number, f"user-{number}") if isinstance(number, int) else "nobody"


def names_of_users(project: "Project", users: Sequence[Mapping[str, Any]]) -> dict[int, str]:
    """Annotator by the server's user number: as ``label_studio/annotators.yaml`` says (e-mail: name), else the e-mail's first part.

    Raises:
        FaultsError: two people would get the same name.
    """
    from etholoop.errors import FaultsError
    from etholoop.params import read_yaml

    path = project / "label_studio/annotators.yaml"
    given = read_yaml(path) if path.is_file() else {}
    names = {int(user["id"]): str(given.get(user["email"]) or str(user["email"]).split("@")[0].strip().lower()) for user in users}
    count = Counter(names.values())
    faults = [f"'{names[int(user['id'])]}' would stand for {user['email']}" for user in users if count[names[int(user["id"])]] > 1]
    if faults:
        raise FaultsError("names of annotators", faults, f"Give them names in {path}, one line each: `e-mail: name`. Nothing was changed.")
    return names


def _extents(project: "Project") -> Any:
    """What there is of each source; nothing is known before the first `etholoop repro`."""
    from etholoop.io import tables
    from etholoop.schema.videos import Images, Videos
    from etholoop.stages import annotations

    if not (project.manifest / "videos.parquet").is_file():
        return {}
    videos = tables.read(project.manifest / "videos.parquet", Videos)
    return annotations.extents_of(videos, tables.read(project.manifest / "images.parquet", Images))


# --- merging -----------------------------------------------------------------------------------------------------------------------


def _merged(old: "Snapshot", pulled: Pulled, removals: Sequence[Line], points: set[str], history: "list[WordChange]") -> "Snapshot":
    """The snapshot with the newest answers in it, and without those whose removal was accepted; ``points``: behaviours without length."""
    from etholoop.commands.labels_behaviours import migrated
    from etholoop.core import label_diff
    from etholoop.io import snapshot

    latest, earlier = label_diff.newest(pulled.told)
    pulled.counts["taken"] = len(latest)
    if earlier:
        pulled.counts["replaced by a newer answer"] = len(earlier)
    frames = [item.record for item in latest if "uid" in item.record]
    behaviours = label_diff.joined_windows((item for item in latest if "video" in item.record), points)
    base = migrated(_without(old, removals), history).labels
    merged, _ = snapshot.merge(base, snapshot.Snapshot(frames, behaviours))
    return merged


def _unknown_lines(lines: Sequence[Line], known: Mapping[tuple[str, str], Line], seen: set[tuple[str, str, str]]) -> list[Line]:
    """Versions that the journal lacks; the newest one of a person and task also when an older one had said the same before it."""
    groups: dict[tuple[str, str], list[Line]] = {}
    for line in sorted(lines, key=lambda line: (line["uid"], line["annotator"], str(line["updated_at"]), line["annotation"])):
        groups.setdefault((line["uid"], line["annotator"]), []).append(line)
    unknown = []
    for key, group in groups.items():
        unknown += [line for line in group[:-1] if (*key, line["digest"]) not in seen]
        if (known.get(key) or {}).get("digest") != group[-1]["digest"]:
            unknown.append(group[-1])
    return unknown


def _gone(pulled: Pulled, known: Mapping[tuple[str, str], Line]) -> list[Line]:
    """Answers taken by an earlier pull that the server no longer has as submitted ones."""
    return [line for key, line in sorted(known.items()) if key not in pulled.seen and line.get("record") is not None]


def _without(old: "Snapshot", removals: Sequence[Line]) -> "Snapshot":
    """Take records out; one that something else changed since it was pulled stays."""
    from etholoop.core import label_diff
    from etholoop.io import snapshot

    state: dict[Any, Any] = by_key(old)
    for line in removals:
        record = line["record"]
        if "uid" in record:
            key: tuple[str, ...] = snapshot.frame_key(record)
            pulled = snapshot.canonical(snapshot.Snapshot([record])).frames[0]
            left = None if state.get(key) == pulled else state.get(key)
        else:
            key = snapshot.behaviour_key(record)
            left = label_diff.without_time(state[key], record["looked_at"]) if key in state else None
        state.pop(key, None)
        if left is not None:
            state[key] = left
    return from_keys(state)


def _removal(line: Line) -> Line:
    return {"uid": line["uid"], "annotator": line["annotator"], "kind": line["kind"], "removed": True, "record": None, "digest": "removed"}


def by_key(labels: "Snapshot") -> dict[tuple[str, ...], Line]:
    """Records of a snapshot by what makes them unique."""
    from etholoop.io import snapshot

    frames = {snapshot.frame_key(record): record for record in labels.frames}
    return {**frames, **{snapshot.behaviour_key(record): record for record in labels.behaviours}}


def from_keys(records: Mapping[tuple[str, ...], Line]) -> "Snapshot":
    from etholoop.io import snapshot

    frames = [record for record in records.values() if "uid" in record]
    return snapshot.canonical(snapshot.Snapshot(frames, [record for record in records.values() if "video" in record]))


def _change_lines(made: "Iterable[Change]") -> list[Line]:
    return [{"key": list(change.key), "before": change.before, "after": change.after} for change in made]


# --- keeping -----------------------------------------------------------------------------------------------------------------------


def journal_folder(project: "Project") -> Path:
    return project / "label_studio/journal"


def _keep(project: "Project", labels: "Snapshot", facts: Line, *, changed: bool, say: Say) -> None:
    from etholoop.io import atomic

    keep_snapshot(project, labels, changed=changed, say=say)
    atomic.write_text(project.snapshot.with_name("snapshot.meta.json"), json.dumps(facts, sort_keys=True, indent=2) + "\n")


def keep_snapshot(project: "Project", labels: "Snapshot", *, changed: bool, say: Say) -> None:
    """Write and version the snapshot, at a moment when no running `dvc repro` is reading it.

    DVC writes down what a stage has read after the stage has ended; a snapshot that changes in between would be taken for computed.
    """
    from etholoop.io import snapshot
    from etholoop.services import dvc

    _wait_for_readers(project, say)
    if changed or not project.snapshot.exists():
        snapshot.write(labels, project.snapshot)
    _patiently(lambda: dvc.add(project, project.snapshot), say)


def _wait_for_readers(project: "Project", say: Say) -> None:
    until, told = time.monotonic() + PATIENCE_S, False
    while _readers(project) and time.monotonic() < until:
        if not told:
            say("`dvc repro` is just reading the labels; waiting for it")
            told = True
        time.sleep(0.3)


def _readers(project: "Project") -> list[int]:
    """Processes that DVC has down as reading or writing the snapshot, and that are alive."""
    import psutil

    try:
        lock = json.loads((project / ".dvc/tmp/rwlock").read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return []
    path = str(project.snapshot)
    holders = [*lock.get("read", {}).get(path, []), *filter(None, [lock.get("write", {}).get(path)])]
    return [holder["pid"] for holder in holders if psutil.pid_exists(holder["pid"])]


def _patiently(work: Callable[[], None], say: Say) -> None:
    """Do it, waiting while another DVC holds its lock.

    Raises:
        EthoLoopError: DVC failed for another reason, or the lock was held for longer than anyone would wait.
    """
    from etholoop.errors import EthoLoopError

    until = time.monotonic() + PATIENCE_S
    while True:
        try:
            return work()
        except EthoLoopError as error:
            busy = any(word in str(error).lower() for word in ("unable to acquire lock", "is busy", "being blocked", "has been locked"))
            if not busy or time.monotonic() > until:
                raise
        say("another DVC command is at work; waiting for it")
        time.sleep(1.0)


# --- telling -----------------------------------------------------------------------------------------------------------------------


def tell(pulled: Pulled, *, dry_run: bool = False, shown: int = 20) -> None:
    """Say what came, who changed what, and what was not taken and why."""
    from etholoop.core.label_diff import counts_by_annotator

    typer.echo(", ".join(f"{number} {name}" for name, number in pulled.counts.items() if number) or "nothing on the server")
    for annotator, counts in counts_by_annotator(pulled.changes).items():
        would = "would be " if dry_run else ""
        typer.echo(
            f"  {annotator}: " + ", ".join(f"{counts[kind]} {would}{kind}" for kind in ("new", "changed", "removed") if counts[kind])
        )
    if not pulled.changes:
        typer.echo("  the snapshot is as it was")
    _tell_list("not taken, what was there before stays", pulled.refused, shown)
    _tell_list("gone from the server, kept here (--accept-removals takes them out)", pulled.gone, shown)
    _tell_list("remarks", pulled.remarks, shown)
    if pulled.changes and not dry_run:
        typer.echo("next: `etholoop repro`")


def _tell_list(title: str, items: Sequence[str], shown: int) -> None:
    if items:
        typer.echo(f"{len(items)} {title}:")
        for item in items[:shown]:
            typer.echo(f"  - {item}")
        if len(items) > shown:
            typer.echo(f"  … and {len(items) - shown} more")
