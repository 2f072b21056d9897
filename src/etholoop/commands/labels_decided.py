"""``etholoop labels finalise`` and ``labels import predictions``: behaviour labels that a person decides on without the screen."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from etholoop.commands._help import examples

if TYPE_CHECKING:
    from etholoop.project import Project

Record = dict[str, Any]
Interval = tuple[int, int]

BOUTS = "data/bouts/bouts.parquet"
"""What a behaviour model says; columns video_id, track (-1 = the whole video), family, behaviour, start_frame, stop_frame."""

LAST = 1 << 60
"""A frame after the end of any video."""

ANNOTATOR = typer.Option(..., "--annotator", help="Who says so: the name that stands at the labels.")
DRY_RUN = typer.Option(False, "--dry-run", help="Say what would change; change nothing.")
FINALISE_EXAMPLES = examples("etholoop labels finalise cage1 --annotator anna", "etholoop labels finalise --annotator anna")
IMPORT_EXAMPLES = examples(
    "etholoop labels import predictions cage1 --annotator anna --only-unlabelled",
    "etholoop labels import predictions cage1 cage2 --annotator anna --dry-run",
)


def register(app: typer.Typer) -> None:
    from etholoop.commands._labels_group import labels_group

    group = labels_group(app)
    group.command("finalise", short_help="The rest of a video is looked at: no behaviour there.", epilog=FINALISE_EXAMPLES)(
        finalise_command
    )
    imports = next((known.typer_instance for known in group.registered_groups if known.name == "import"), None)
    if imports is None:
        imports = typer.Typer(help="Merge labels of another program into the snapshot.", no_args_is_help=True)
        group.add_typer(imports, name="import")
    imports.command("predictions", short_help="Behaviour predictions as labels.", epilog=IMPORT_EXAMPLES)(import_command)


def finalise_command(
    video_ids: list[str] = typer.Argument(None, help="Videos; without: say which ones are not final yet."),
    annotator: str = ANNOTATOR,
    subject: str = typer.Option("", help="The animal, where each has a record of its own."),
    dry_run: bool = DRY_RUN,
) -> None:
    """Say that a person has looked at all of a video: time without a label becomes 'none of these behaviours'."""
    from etholoop.project import find_project

    project = find_project()
    for line in finalise(project, video_ids or [], annotator, subject, dry_run=dry_run) if video_ids else []:
        typer.echo(line)
    open_ones = unfinished(project, annotator, subject)
    typer.echo(f"not final yet: {', '.join(open_ones)}" if open_ones else f"everything is final for {annotator}")


def import_command(
    video_ids: list[str] = typer.Argument(..., help="Videos whose predictions to take."),
    *,
    annotator: str = ANNOTATOR,
    only_unlabelled: bool = typer.Option(
        False, "--only-unlabelled", help="Take only time that nobody has looked at; default: all, over old labels."
    ),
    family: str = typer.Option("", help="Which behaviour model, where there are several."),
    file: Path = typer.Option(None, "--file", help=f"Table of bouts; default: {BOUTS}."),
    dry_run: bool = DRY_RUN,
) -> None:
    """Take a model's bouts as labels of a person, who answers for them. Time of which the model says something counts as looked at."""
    from etholoop.project import find_project

    for line in import_predictions(
        find_project(), video_ids, annotator, only_unlabelled=only_unlabelled, family=family, file=file, dry_run=dry_run
    ):
        typer.echo(line)


# --- finalise ----------------------------------------------------------------------------------------------------------------------


def finalise(project: "Project", video_ids: Sequence[str], annotator: str, subject: str = "", *, dry_run: bool = False) -> list[str]:
    """Unlabelled time of these videos becomes looked at, with nothing in it; one line per video.

    Raises:
        EthoLoopError: an unknown video.
    """
    extents = _known(project, video_ids)

    def decide(old: list[Record]) -> list[Record]:
        return [
            _says(video, subject, annotator, _unseen(old, (video, subject), extents[video].n_frames, annotator), []) for video in video_ids
        ]

    return _decide(project, decide, f"finalise {' '.join(video_ids)}", dry_run)


def unfinished(project: "Project", annotator: str, subject: str = "") -> list[str]:
    """Videos of which this person has looked at a part, not all."""
    from etholoop.io import snapshot

    records = snapshot.read_or_empty(project.snapshot).behaviours
    extents = _known(project, [])
    mine = {record["video"] for record in records if record["annotator"] == annotator and record["subject"] == subject}
    return sorted(video for video in mine & set(extents) if _unseen(records, (video, subject), extents[video].n_frames, annotator))


# --- predictions -------------------------------------------------------------------------------------------------------------------


def import_predictions(
    project: "Project",
    video_ids: Sequence[str],
    annotator: str,
    *,
    only_unlabelled: bool,
    family: str = "",
    file: Path | None = None,
    dry_run: bool = False,
) -> list[str]:
    """Predicted bouts as labels of ``annotator``: everywhere, or only in time that nobody has looked at.

    Raises:
        EthoLoopError: no predictions of these videos, or answers on the server that would come back over them.
        FaultsError: the labels would not be true (unknown words, frames that do not exist, two exclusive things at once).
    """
    from etholoop.core.label_diff import union
    from etholoop.core.labels import outside

    extents = _known(project, video_ids)
    path = file or project / BOUTS
    predicted = _predicted(project, video_ids, family, path)
    silent = _silent(project, path, family)
    if not only_unlabelled:
        _refuse_answered(project, predicted, annotator)

    def decide(old: list[Record]) -> list[Record]:
        records = []
        for (video, subject), bouts in sorted(predicted.items()):
            whole = [(0, extents[video].n_frames)]
            free = _unseen(old, (video, subject), extents[video].n_frames) if only_unlabelled else whole
            records.append(_says(video, subject, annotator, outside(free, union(silent.get((video, subject), []))), bouts))
        return records

    return _decide(project, decide, f"import predictions {' '.join(video_ids)}", dry_run)


def _predicted(project: "Project", video_ids: Sequence[str], family: str, path: Path) -> dict[tuple[str, str], list[Record]]:
    """Bouts by video and subject; a video of the table with no bout has none, one that it does not name is a fault."""
    import pandas as pd

    from etholoop.errors import EthoLoopError

    if not path.is_file():
        raise EthoLoopError(f"{path}: no predicted bouts. Run `etholoop repro` with a behaviour model, or name a table with --file.")
    table = pd.read_parquet(path)
    missing = {"video_id", "track", "behaviour", "start_frame", "stop_frame"} - set(table.columns)
    if missing:
        raise EthoLoopError(f"{path}: columns {', '.join(sorted(missing))} are missing; this is no table of bouts.")
    families = sorted(set(table["family"])) if "family" in table else []
    if family and family not in families:
        raise EthoLoopError(f"{path}: no bouts of '{family}'; there are {', '.join(families) or 'no families'}.")
    if not family and len(families) > 1:
        raise EthoLoopError(f"{path}: bouts of {', '.join(families)}; say which with --family.")
    table = table[table["family"] == family] if family else table
    absent = sorted(set(video_ids) - set(table["video_id"]))
    if absent:
        raise EthoLoopError(f"{path}: nothing is predicted for {', '.join(absent)}. Nothing was changed.")
    names = _names_of_tracks(project)
    found: dict[tuple[str, str], list[Record]] = {}
    for row in table[table["video_id"].isin(list(video_ids))].to_dict("records"):
        subject = _subject(names, row["video_id"], row["track"])
        bout = {"behaviour": row["behaviour"], "start": int(row["start_frame"]), "stop": int(row["stop_frame"])}
        found.setdefault((row["video_id"], subject), []).append(bout)
    return found


def _silent(project: "Project", bouts: Path, family: str) -> dict[tuple[str, str], list[Interval]]:
    """Time of which the model says nothing, and time before and after an animal's track: nobody has looked at it."""
    import pandas as pd

    found: dict[tuple[str, str], list[Interval]] = {}
    names = _names_of_tracks(project)
    for (video, _), (subject, start, stop) in names.items():
        found.setdefault((video, subject), []).extend([(0, start), (stop, LAST)] if start else [(stop, LAST)])
    path = bouts.with_name("unsure.parquet")
    for row in pd.read_parquet(path).to_dict("records") if path.is_file() else []:
        if not family or row["family"] == family:
            subject = _subject(names, row["video_id"], row["track"])
            found.setdefault((row["video_id"], subject), []).append((int(row["start_frame"]), int(row["stop_frame"])))
    return found


def _subject(names: Mapping[tuple[str, int], tuple[str, int, int]], video: str, track: int) -> str:
    return "" if track < 0 else names.get((video, track), (f"track{track}", 0, 0))[0]


def _names_of_tracks(project: "Project") -> dict[tuple[str, int], tuple[str, int, int]]:
    """Name (given by a person, else ``track<number>``), first frame and frame after the last one of each track."""
    from etholoop.io import tables
    from etholoop.schema.tracks import TrackNames

    path = project / "data/tracks/names.parquet"
    rows = tables.read(path, TrackNames).to_dict("records") if path.is_file() else []
    return {
        (row["video_id"], row["track"]): (
            row["name"] if isinstance(row["name"], str) else f"track{row['track']}",
            int(row["start_frame"]),
            int(row["stop_frame"]),
        )
        for row in rows
    }


def _refuse_answered(project: "Project", predicted: Iterable[tuple[str, str]], annotator: str) -> None:
    """A pull always takes what stands on the server, so labels that overrule an answer must be made there."""
    from etholoop.commands.labels_pull import journal_folder
    from etholoop.errors import EthoLoopError
    from etholoop.io import label_studio_journal as journal

    wanted = {(video, subject, annotator) for video, subject in predicted}
    last, _ = journal.versions(journal_folder(project))
    records = [(line["uid"], line.get("record") or {}) for line in last.values()]
    answered = sorted(uid for uid, told in records if (told.get("video"), told.get("subject"), told.get("annotator")) in wanted)
    if answered:
        raise EthoLoopError(
            f"{annotator} answered {len(answered)} windows of these videos on the server ({answered[0]} …), and the next pull would take "
            "those answers again. Use --only-unlabelled, another --annotator, or correct the windows there. Nothing was changed."
        )


# --- shared ------------------------------------------------------------------------------------------------------------------------


def _known(project: "Project", video_ids: Sequence[str]) -> Any:
    """Extents of all sources.

    Raises:
        EthoLoopError: one of the videos is not among them.
    """
    from etholoop.commands.labels_pull import _extents
    from etholoop.errors import FaultsError
    from etholoop.params import nearest

    extents = _extents(project)
    faults = [f"no such source '{name}'; {nearest(name, list(extents))}" for name in video_ids if name not in extents]
    if faults:
        raise FaultsError("videos", faults, "Nothing was changed. `etholoop videos list` names the sources.")
    return extents


def _unseen(records: Sequence[Record], who: tuple[str, str], n_frames: int, annotator: str | None = None) -> list[Interval]:
    """Time of a subject that nobody (or that this person) has looked at."""
    from etholoop.core.label_diff import union
    from etholoop.core.labels import outside

    seen = union(
        (start, stop)
        for record in records
        if (record["video"], record["subject"]) == who and annotator in (None, record["annotator"])
        for start, stop in record["looked_at"]
    )
    return outside([(0, n_frames)], seen)


def _says(video: str, subject: str, annotator: str, free: Sequence[Interval], bouts: Sequence[Record]) -> Record:
    """A record about the free time only."""
    own = [
        {**bout, "start": max(bout["start"], start), "stop": min(bout["stop"], stop)}
        for bout in bouts
        for start, stop in free
        if bout["start"] < stop and start < bout["stop"]
    ]
    return {"video": video, "subject": subject, "annotator": annotator, "looked_at": [list(part) for part in free], "bouts": own}


def _decide(project: "Project", decide: Callable[[list[Record]], list[Record]], why: str, dry_run: bool) -> list[str]:
    """Merge decided records into the snapshot, with an entry in the journal; what was done, one line per record."""
    from filelock import FileLock

    from etholoop.commands import labels_pull
    from etholoop.core import label_diff, labels
    from etholoop.errors import FaultsError
    from etholoop.io import label_studio_journal as journal
    from etholoop.io import snapshot
    from etholoop.io.vocabulary import read_ethogram
    from etholoop.services import label_studio_server

    with FileLock(str(label_studio_server.place(project).root / "pull.lock")):
        old = snapshot.canonical(snapshot.read_or_empty(project.snapshot))
        records = [record for record in decide(old.behaviours) if record["looked_at"]]
        ethogram, extents = read_ethogram(project.ethogram), _known(project, [])
        points = {item.name for item in ethogram.behaviours if item.kind == "point"}
        merged = snapshot.Snapshot(old.frames, label_diff.filled(old.behaviours, records, points))
        faults = [fault for record in merged.behaviours for fault in labels.behaviour_faults(record, ethogram, extents)]
        if faults:
            raise FaultsError("labels", faults, "Nothing was changed.")
        done = label_diff.changes(labels_pull.by_key(old), labels_pull.by_key(snapshot.canonical(merged)))
        told = [_line(record) for record in records] or ["nothing left to say: all of it was looked at"]
        if dry_run:
            return [*told, "nothing was changed (--dry-run)"]
        if done:
            head = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "kind": "decided", "why": why}
            journal.append(labels_pull.journal_folder(project), head, [], labels_pull._change_lines(done))
            labels_pull.keep_snapshot(project, merged, changed=True, say=typer.echo)
    return told


def _line(record: Record) -> str:
    n_frames = sum(stop - start for start, stop in record["looked_at"])
    subject = f" {record['subject']}" if record["subject"] else ""
    return f"{record['video']}{subject} by {record['annotator']}: {n_frames} more frames looked at, {len(record['bouts'])} bouts in them"
