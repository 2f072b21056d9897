"""``etholoop tracks``: look at tracks, go through what is doubtful, and say what is right."""

from typing import TYPE_CHECKING, Any

import typer

from etholoop.commands._help import examples

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from etholoop.core.tracking.edits import Anchor, Edit
    from etholoop.project import Project

EDITS = "label_studio/track_edits.csv"
AGAIN = "`etholoop repro track` puts it into the tracks."

VIDEO = typer.Argument(..., help="Source, as `etholoop videos list` names it.")
NOTE = typer.Option("", help="Why; kept with the edit.")
WHO = typer.Option("", help="Who says so; default: the name that Git knows.")
DRY_RUN = typer.Option(False, "--dry-run", help="Only say what would be written.")


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="Which animal is which, from frame to frame.", no_args_is_help=True)
    commands: list[tuple[str, Any, str, tuple[str, ...]]] = [
        ("show", show, "Tracks of each video, and what became of the edits.", ("etholoop tracks show", "etholoop tracks show cage1")),
        (
            "risks",
            risks,
            "Where two animals may have been exchanged.",
            ("etholoop tracks risks", "etholoop tracks risks cage1 --share 0.05", "etholoop tracks risks --csv > queue.csv"),
        ),
        ("swap", swap, "Two tracks are exchanged from a frame on.", ("etholoop tracks swap cage1 0 2 --frame 1500",)),
        ("merge", merge, "Two tracks are one animal.", ("etholoop tracks merge cage1 0 7",)),
        ("split", split, "A track is another animal from a frame on.", ("etholoop tracks split cage1 3 --frame 800",)),
        ("rename", rename, "Give the animal of a track a name.", ("etholoop tracks rename cage1 0 red",)),
        ("undo", undo, "Take an edit back.", ("etholoop tracks undo", "etholoop tracks undo 1a2b3c4d")),
    ]
    for name, command, short_help, lines in commands:
        group.command(name, short_help=short_help, epilog=examples(*lines))(command)
    app.add_typer(group, name="tracks")


def show(video_ids: list[str] = typer.Argument(None, help="Sources; default: all that are tracked.")) -> None:
    """One line per track, the estimated accuracy of identities per video, and edits that were not applied."""
    import json

    from etholoop.core.tracking.identity_accuracy import estimated
    from etholoop.project import find_project

    project = find_project()
    tracks, names, doubtful = _tables(project)
    for video_id in _chosen(video_ids, names):
        own = names[names["video_id"] == video_id]
        sure = estimated(tracks[tracks["video_id"] == video_id], doubtful[doubtful["video_id"] == video_id])
        typer.echo(
            f"{video_id}: {len(own)} tracks; estimated: {sure.accuracy:.2%} of identities right, {sure.n_switches:.1f} exchanges expected"
        )
        typer.echo(f"  {'track':>5}  {'name':12}{'species':12}{'frames':>17}{'detected':>10}{'drawn':>8}")
        for row in own.itertuples(index=False):
            name = row.name if isinstance(row.name, str) else ""
            extent = f"{row.start_frame}-{row.stop_frame}"
            typer.echo(f"  {row.track:>5}  {name:12}{row.species:12}{extent:>17}{row.n_detected:>10}{row.n_interpolated:>8}")
    status = json.loads((project / "data/tracks/status.json").read_text(encoding="utf-8"))
    for line in status["not_tracked"]:
        typer.echo(line)
    for name, reason in status["edits_not_applied"].items():
        typer.echo(f"edit {name} was not applied: {reason}")


def risks(
    video_ids: list[str] = typer.Argument(None, help="Sources; default: all."),
    share: float = typer.Option(0.05, min=0, max=1, help="Show as many as cover this share of the frames."),
    csv: bool = typer.Option(False, "--csv", help="As CSV, for other programs."),
) -> None:
    """The review queue: most risk for each frame to be looked at first, and how right identities are by its own estimate, without truth."""
    from etholoop.core.tracking.identity_accuracy import estimated, first_share
    from etholoop.project import find_project

    tracks, names, doubtful = _tables(find_project())
    chosen = _chosen(video_ids, names)
    doubtful = doubtful[doubtful["video_id"].isin(chosen)].sort_values("video_id", kind="stable")
    n_frames = int(tracks[tracks["video_id"].isin(chosen)].drop_duplicates(["video_id", "frame"]).shape[0])
    if csv:
        typer.echo(first_share(doubtful, share * n_frames).to_csv(index=False), nl=False)
        return
    for video_id in chosen:
        sure = estimated(tracks[tracks["video_id"] == video_id], doubtful[doubtful["video_id"] == video_id])
        typer.echo(f"{video_id}: estimated {sure.accuracy:.2%} of identities right, {sure.n_switches:.1f} exchanges expected")
    doubtful = first_share(doubtful, share * n_frames)
    for row in doubtful.itertuples(index=False):
        typer.echo(f"{row.risk:5.2f}  {row.video_id} frame {row.frame}: tracks {row.track_a} and {row.track_b} ({row.reasons})")
    if doubtful.empty:
        typer.echo("nothing is doubtful")


def swap(  # noqa: PLR0917 (options of a command)
    video_id: str = VIDEO,
    track_a: int = typer.Argument(..., help="Number of a track."),
    track_b: int = typer.Argument(..., help="Number of the other track."),
    frame: int = typer.Option(..., help="First frame in which they are exchanged."),
    stop_frame: int = typer.Option(None, help="First frame in which they are right again; default: none."),
    who: str = WHO,
    note: str = NOTE,
    dry_run: bool = DRY_RUN,
) -> None:
    """From a frame on, each of two tracks goes on as the other."""
    _add(video_id, "swap", (track_a, frame, "before"), (track_b, frame, "after"), dry_run, frame=frame, stop=stop_frame, who=who, note=note)


def merge(  # noqa: PLR0917 (options of a command)
    video_id: str = VIDEO,
    track_a: int = typer.Argument(..., help="Number that stays."),
    track_b: int = typer.Argument(..., help="Number that goes."),
    who: str = WHO,
    note: str = NOTE,
    dry_run: bool = DRY_RUN,
) -> None:
    """Two tracks that are never detected in the same frame are one animal."""
    _add(video_id, "merge", (track_a, 0, "after"), (track_b, 0, "after"), dry_run, frame=0, who=who, note=note)


def split(  # noqa: PLR0917 (options of a command)
    video_id: str = VIDEO,
    track: int = typer.Argument(..., help="Number of the track."),
    frame: int = typer.Option(..., help="First frame of the other animal."),
    who: str = WHO,
    note: str = NOTE,
    dry_run: bool = DRY_RUN,
) -> None:
    """From a frame on, a track is another animal, with a new number."""
    _add(video_id, "split", (track, frame, "before"), (track, frame, "after"), dry_run, frame=frame, who=who, note=note)


def rename(  # noqa: PLR0917 (options of a command)
    video_id: str = VIDEO,
    track: int = typer.Argument(..., help="Number of the track."),
    name: str = typer.Argument(..., help="Name of the animal."),
    who: str = WHO,
    note: str = NOTE,
    dry_run: bool = DRY_RUN,
) -> None:
    """Name the animal of a track."""
    _add(video_id, "rename", (track, 0, "after"), None, dry_run, frame=0, name=name, who=who, note=note)


def undo(edit_id: str = typer.Argument("", help="Id of the edit; default: the last one."), dry_run: bool = DRY_RUN) -> None:
    """Remove one edit from label_studio/track_edits.csv."""
    from etholoop.errors import EthoLoopError
    from etholoop.io import track_edits
    from etholoop.params import nearest
    from etholoop.project import find_project

    path = find_project() / EDITS
    edits = track_edits.read(path)
    if not edits:
        raise EthoLoopError(f"{EDITS} holds no edit.")
    edit_id = edit_id or edits[-1].id
    if edit_id not in {edit.id for edit in edits}:
        raise EthoLoopError(f"no edit '{edit_id}'; {nearest(edit_id, [edit.id for edit in edits])}")
    if not dry_run:
        track_edits.write([edit for edit in edits if edit.id != edit_id], path)
    typer.echo(f"{'would take back' if dry_run else 'taken back'}: {edit_id}. {AGAIN}")


def _add(
    video_id: str,
    action: str,
    a: tuple[int, int, str],
    b: tuple[int, int, str] | None,
    dry_run: bool,
    *,
    frame: int,
    stop: int | None = None,
    name: str = "",
    who: str = "",
    note: str = "",
) -> None:
    from dataclasses import replace

    from etholoop.core.tracking.edits import Edit, apply
    from etholoop.errors import EthoLoopError
    from etholoop.io import track_edits
    from etholoop.project import find_project

    project = find_project()
    tracks, names, _ = _tables(project)
    (video_id,) = _chosen([video_id], names)
    if b is not None and action in ("swap", "merge") and a[0] == b[0]:
        raise EthoLoopError(f"{action} needs two tracks, found track {a[0]} twice. `etholoop tracks show {video_id}` lists them.")
    own = tracks[tracks["video_id"] == video_id]
    edits = track_edits.read(project / EDITS)
    anchors = [None if place is None else _anchor(own, *place) for place in (a, b)]
    edit = Edit("", video_id, action, frame, anchors[0], anchors[1], stop, name, who or _git_name(project), note)  # type: ignore[arg-type]
    if name:
        _refuse_a_name_twice(edit, own, names[names["video_id"] == video_id], edits)
    edit = replace(edit, id=track_edits.id_of(edit, [known.id for known in edits]))
    lost = apply(own, [edit]).lost
    if lost:
        raise EthoLoopError(f"{action} cannot be done: {lost[edit.id]}")
    if not dry_run:
        track_edits.write([*edits, edit], project / EDITS)
    typer.echo(f"{'would write' if dry_run else 'written'}: {_in_words(edit)}. {AGAIN}")


def _refuse_a_name_twice(edit: "Edit", tracks: "pd.DataFrame", names: "pd.DataFrame", edits: "Sequence[Edit]") -> None:
    """Two tracks may be one animal, but not in the same frame."""
    from etholoop.errors import EthoLoopError

    called = dict(zip(names["track"].tolist(), names["name"].tolist(), strict=True))
    called |= {known.a.track: known.name for known in edits if known.video_id == edit.video_id and known.name}
    frames: dict[Any, set[int]] = tracks.groupby("track")["frame"].agg(set).to_dict()
    for track, name in called.items():
        shared = frames.get(track, set()) & frames[edit.a.track]
        if name == edit.name and track != edit.a.track and shared:
            where = f"in {len(shared)} frames, first {min(shared)}"
            raise EthoLoopError(f"track {track} is called '{name}' already, and both are there {where}: they cannot be one animal.")


def _in_words(edit: "Edit") -> str:
    places = " and ".join(f"track {place.track} (frame {place.frame})" for place in (edit.a, edit.b) if place is not None)
    return f"{edit.id} {edit.action} {edit.video_id} {places}{' ' + edit.name if edit.name else ''}"


def _anchor(tracks: "pd.DataFrame", track: int, frame: int, side: str) -> "Anchor":
    from etholoop.core.tracking.edits import anchor_at
    from etholoop.errors import EthoLoopError

    known = sorted(set(tracks["track"]))
    if track not in known:
        raise EthoLoopError(f"no track {track} in this video; known: {', '.join(map(str, known))}")
    found = anchor_at(tracks, track, frame, side)
    if found is None:
        raise EthoLoopError(f"track {track} has no detection {'before frame' if side == 'before' else 'from this frame on:'} {frame}.")
    return found


def _tables(project: "Project") -> tuple["pd.DataFrame", "pd.DataFrame", "pd.DataFrame"]:
    from etholoop.io import tables
    from etholoop.schema.tracks import SwapRisks, TrackNames, Tracks

    folder = project / "data/tracks"
    return (
        tables.read(folder / "tracks.parquet", Tracks),
        tables.read(folder / "names.parquet", TrackNames),
        tables.read(folder / "swap_risks.parquet", SwapRisks),
    )


def _chosen(video_ids: list[str] | None, names: "pd.DataFrame") -> list[str]:
    from etholoop.errors import EthoLoopError
    from etholoop.params import nearest

    known = sorted(set(names["video_id"]))
    if not known:
        raise EthoLoopError("nothing is tracked yet: `etholoop repro track` tracks what a model has looked at (pose_predict.every: 1).")
    unknown = [f"'{name}': {nearest(name, known)}" for name in video_ids or [] if name not in known]
    if unknown:
        raise EthoLoopError(f"no tracks of {'; '.join(unknown)}")
    return list(video_ids or known)


def _git_name(project: "Project") -> str:
    import subprocess

    found = subprocess.run(["git", "config", "user.name"], cwd=project.root, capture_output=True, text=True, check=False)
    return found.stdout.strip()
