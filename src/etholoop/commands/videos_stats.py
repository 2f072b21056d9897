"""``etholoop videos stats``: how much there is, source by source, session by session, in total."""

import csv
import io
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from etholoop.commands._help import examples

if TYPE_CHECKING:
    from etholoop.project import Project

EXAMPLES = examples(
    "etholoop videos stats                       every source of the manifest, each session, the total",
    "etholoop videos stats ~/rec                 all videos below a folder, in a project or not",
    "etholoop videos stats ~/rec/a.mp4 b.mkv     these files",
    "etholoop videos stats --csv > videos.csv    one row per source, for a spreadsheet",
    "etholoop videos stats --json | jq .total    for programs",
)


def register(group: typer.Typer) -> None:
    group.command("stats", short_help="Frames, duration, size and bytes.", epilog=EXAMPLES)(stats_command)


def stats_command(
    paths: list[Path] = typer.Argument(None, help="Video files or folders of videos; default: the manifest of this project."),
    as_csv: bool = typer.Option(False, "--csv", help="Print one CSV row per source instead of tables."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON instead of tables."),
) -> None:
    """Show frames, duration, rate, size and bytes; exit code 1 if a given file is no usable video."""
    from etholoop.errors import EthoLoopError
    from etholoop.project import find_project

    if as_csv and as_json:
        raise EthoLoopError("--csv and --json: give one of them.")
    found, faults = of_files(paths) if paths else (of_manifest(find_project()), [])
    if as_csv:
        typer.echo(csv_text(found), nl=False)
    elif as_json:
        typer.echo(json.dumps(summary(found) | {"faults": faults}, indent=2, sort_keys=True))
    else:
        for line in lines(found):
            typer.echo(line)
    for fault in faults:
        typer.echo(fault, err=True)
    if faults:
        raise typer.Exit(1)


@dataclass(frozen=True)
class Stats:
    """One source. ``usable`` frames decode; ``duration_s`` and ``fps`` are None where there are no times."""

    source: str
    session: str
    frames: int
    usable: int
    duration_s: float | None
    fps: float | None
    variable_rate: bool
    width: int
    height: int
    codec: str
    bytes: int


def of_manifest(project: "Project") -> list[Stats]:
    """Every source of the manifest, in its order."""
    from etholoop.io import tables
    from etholoop.io.sources import open_sources
    from etholoop.schema.videos import Images, Videos

    videos = tables.read(project.manifest / "videos.parquet", Videos)
    sources = open_sources(project.root, videos, tables.read(project.manifest / "images.parquet", Images))
    found = []
    row: Any
    for row in videos.itertuples(index=False):
        source = sources[row.video_id]
        files = source.image_paths or (source.path,)
        n_bytes = sum(file.stat().st_size for file in files if file.is_file())
        fps = row.fps_num / row.fps_den if row.fps_num else None
        duration = None if row.duration_s is None or row.duration_s != row.duration_s else float(row.duration_s)
        frames = int(row.n_frames) if row.kind == "video" else len(source.frames)
        found.append(
            Stats(
                row.video_id,
                row.session,
                frames,
                len(source.frames),
                duration,
                fps,
                bool(row.variable_rate),
                int(row.width),
                int(row.height),
                row.codec,
                n_bytes,
            )
        )
    return found


def of_files(paths: Iterable[Path]) -> tuple[list[Stats], list[str]]:
    """Every video of these files and folders, and a sentence for each that cannot be used. The folder stands for the session."""
    from tqdm import tqdm

    from etholoop.io import raw, video

    files, faults = [], []
    for path in paths:
        inside = sorted(file for file in path.rglob("*") if raw.is_video(file)) if path.is_dir() else [path]
        files += inside
        faults += [] if inside else [f"{path}: the folder holds no file with the extension of a video"]
    found = []
    for file in tqdm(files, desc="looking at videos", unit="file", disable=None):
        try:
            info, index = video.probe(file, decode=False)
        except video.VideoFault as fault:
            faults.append(f"{file}: {fault.reason}. {fault.detail}")
            continue
        fps = float(info.fps) if info.fps else None
        found.append(
            Stats(
                str(file),
                str(file.parent),
                info.n_frames,
                int(index.usable.sum()),
                info.duration_s,
                fps,
                info.variable_rate,
                info.width,
                info.height,
                info.codec,
                file.stat().st_size,
            )
        )
    return found, faults


def totals(found: Iterable[Stats]) -> dict[str, Any]:
    """Sums over sources; sources without times add nothing to the seconds and are counted in ``untimed``."""
    found = list(found)
    return {
        "sources": len(found),
        "frames": sum(one.frames for one in found),
        "usable": sum(one.usable for one in found),
        "duration_s": round(sum(one.duration_s or 0.0 for one in found), 6),
        "untimed": sum(one.duration_s is None for one in found),
        "bytes": sum(one.bytes for one in found),
    }


def by_session(found: Iterable[Stats]) -> dict[str, dict[str, Any]]:
    """Sums of each session, by its name."""
    sessions: dict[str, list[Stats]] = {}
    for one in found:
        sessions.setdefault(one.session, []).append(one)
    return {name: totals(members) for name, members in sorted(sessions.items())}


def summary(found: list[Stats]) -> dict[str, Any]:
    """Everything as JSON-able values."""
    return {"sources": [asdict(one) for one in found], "sessions": by_session(found), "total": totals(found)}


def csv_text(found: list[Stats]) -> str:
    """One header line, one row per source; an empty cell where there are no times."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(Stats)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(one) for one in found)
    return text.getvalue()


def lines(found: list[Stats]) -> list[str]:
    """A table of sources, one of sessions (if they are fewer), and the total."""
    from etholoop.commands.videos import _aligned

    if not found:
        return ["no source"]
    rows: list[tuple[str, ...]] = [("source", "session", "frames", "duration", "fps", "size", "codec", "bytes")]
    rows += [
        (
            one.source, one.session, _frames(one.frames, one.usable), duration_text(one.duration_s), _rate(one),
            f"{one.width}x{one.height}", one.codec, bytes_text(one.bytes),
        )
        for one in found
    ]  # fmt: skip
    sessions = by_session(found)
    sums: list[tuple[str, ...]] = [("session", "sources", "frames", "duration", "bytes")]
    sums += [_sum_row(name, total) for name, total in sessions.items() if len(sessions) < len(found)]
    sums.append(_sum_row("total", totals(found)))
    return [*_aligned(rows), "", *_aligned(sums)]


def _sum_row(name: str, total: dict[str, Any]) -> tuple[str, ...]:
    length = duration_text(total["duration_s"]) + (f" + {total['untimed']} without times" if total["untimed"] else "")
    return name, str(total["sources"]), _frames(total["frames"], total["usable"]), length, bytes_text(total["bytes"])


def _frames(frames: int, usable: int) -> str:
    return str(frames) if frames == usable else f"{frames} ({frames - usable} cannot be used)"


def _rate(one: Stats) -> str:
    return "no times" if one.fps is None else f"{one.fps:.6g}{' varies' if one.variable_rate else ''}"


def duration_text(seconds: float | None) -> str:
    """``1:02:03.4``: hours, minutes, seconds."""
    if seconds is None:
        return "no times"
    tenths = round(seconds * 10)
    return f"{tenths // 36000}:{tenths // 600 % 60:02}:{tenths % 600 / 10:04.1f}"


def bytes_text(n: float) -> str:
    """``1.5 GB``: powers of 1000."""
    for unit in ("B", "kB", "MB", "GB"):
        if n < 999.5:
            return f"{n:.0f} {unit}" if unit == "B" else f"{n:.3g} {unit}"
        n /= 1000
    return f"{n:.3g} TB"
