"""``etholoop videos verify``: is every frame that is read by number the frame that decoding from the start gives?"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from etholoop.io.exactness import Verdict
    from etholoop.io.video import Gap, VideoIndex

SHOWN_WRONG = 10
"""Wrong frames that are printed per file; ``--json`` has all of them."""

EXAMPLES = (
    "Examples: `etholoop videos verify` checks every video of the manifest; `etholoop videos verify day1-a cage2` two of them by id; "
    "`etholoop videos verify ~/rec --accesses 1000` all videos of a folder, in a project or not; `--json > verify.json` for programs."
)


def register(group: typer.Typer) -> None:
    group.command("verify", short_help="Is every frame read by number the right one?", epilog=EXAMPLES)(verify_command)


def verify_command(
    videos: list[str] = typer.Argument(
        None, help="Video files, folders of videos, or ids of the manifest; all of the manifest if left out."
    ),
    accesses: int = typer.Option(200, "--accesses", min=1, help="Random requests per file; one asks for 1 to 12 frames."),
    seed: int = typer.Option(0, "--seed", help="Another seed asks for other frames."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON instead of a table."),
) -> None:
    """Compare frames read at random with decoding from the start, by checksum; exit code 1 if one is wrong.

    One pass through each file makes a checksum of every frame. Then frames are asked for one by one, in lists, slices, batches, by
    time and in threads. The table also says what the header claims and whether it is true, where frames cannot be used, whether
    the rate varies and when the video starts.
    """
    results = [_verified(file, accesses, seed) for file in _files(videos or [])]
    if as_json:
        typer.echo(json.dumps([_plain(result) for result in results], sort_keys=True, indent=2))
    else:
        for line in _report(results):
            typer.echo(line)
    if not all(result.right for result in results):
        raise typer.Exit(1)


@dataclass(frozen=True)
class File:
    """A video to check; ``index`` None = make it anew."""

    name: str
    path: Path
    index: Callable[[], "VideoIndex"] | None = None


@dataclass(frozen=True)
class Result:
    """A verdict, or in ``fault`` why there is none."""

    name: str
    verdict: "Verdict | None"
    fault: str = ""

    @property
    def right(self) -> bool:
        return self.verdict is not None and not self.verdict.wrong


def _files(videos: list[str]) -> list[File]:
    """Files by path, folder or id, each once.

    Raises:
        FaultsError: names that are neither; all of them are listed.
    """
    from etholoop.errors import FaultsError

    known = _manifest() if not videos or not all(Path(name).exists() for name in videos) else {}
    files: dict[Path, File] = {}
    faults = []
    for name in videos or list(known):
        found = [known[name]] if name in known else _on_disk(Path(name))
        if not found:
            faults.append(_why_not(name))
        files |= {file.path.resolve(): file for file in found}
    if faults:
        raise FaultsError(
            "etholoop videos verify", faults, "Give video files, folders of videos, or ids that `etholoop videos list` shows."
        )
    return list(files.values())


def _manifest() -> dict[str, File]:
    """Videos of the project's manifest by id; none outside a project or before its first `etholoop repro`."""
    from etholoop.errors import EthoLoopError
    from etholoop.io import sources, tables
    from etholoop.io.video import VideoIndex
    from etholoop.project import find_project
    from etholoop.schema.videos import Videos

    try:
        project = find_project()
    except EthoLoopError:
        return {}
    table = project.manifest / "videos.parquet"
    if not table.is_file():
        return {}

    def stored(video_id: str) -> Callable[[], VideoIndex]:
        return lambda: VideoIndex.load(sources.index_path(project.manifest, video_id))

    rows: Any = tables.read(table, Videos).itertuples(index=False)
    return {row.video_id: File(row.video_id, project / "data/raw" / row.path, stored(row.video_id)) for row in rows if row.kind == "video"}


def _on_disk(path: Path) -> list[File]:
    from etholoop.io import raw

    if path.is_dir():
        return [File(str(file), file) for file in sorted(path.rglob("*")) if file.is_file() and raw.is_video(file)]
    return [File(str(path), path)] if path.is_file() else []


def _why_not(name: str) -> str:
    return (
        f"{name}: the folder holds no videos" if Path(name).is_dir() else f"{name}: no such file, and no video of the manifest has this id"
    )


def _verified(file: File, accesses: int, seed: int) -> Result:
    from tqdm import tqdm

    from etholoop.errors import EthoLoopError
    from etholoop.io import exactness, video

    try:
        index = file.index() if file.index else video.probe(file.path)[1]
        with tqdm(total=int(index.usable.sum()) + accesses, desc=file.name, unit="", disable=None, leave=False) as bar:
            return Result(file.name, exactness.verify(file.path, index, accesses=accesses, seed=seed, tell=bar.update))
    except EthoLoopError as error:
        return Result(file.name, None, error.detail if isinstance(error, video.VideoFault) else str(error))


def _report(results: list[Result]) -> list[str]:
    """A table, then what is to be known about single files in words, then a summary."""
    if not results:
        return ["no videos to check; give files or folders, or run this in a project after `etholoop repro`"]
    rows = [("file", "frames", "header", "in gaps", "accesses", "compared", "wrong"), *map(_row, results)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    words = [line for result in results for line in _paragraph(result)]
    n_wrong = sum(not result.right for result in results)
    n_compared = sum(result.verdict.compared for result in results if result.verdict)
    verdict = f"{n_wrong} of {len(results)} files failed" if n_wrong else f"all {n_compared} frames compared are right"
    return [*lines, *words, "", verdict]


def _paragraph(result: Result) -> list[str]:
    """What is to be known about one file, below its name; nothing about a file without peculiarities."""
    words = _words(result)
    return ["", f"{result.name}:", *(f"  {sentence}" for sentence in words)] if words else []


def _row(result: Result) -> tuple[str, ...]:
    if result.verdict is None:
        return (result.name, "–", "–", "–", "–", "–", "not read")
    verdict, info = result.verdict, result.verdict.index.info
    header = "none" if info.n_frames_header is None else str(info.n_frames_header)
    numbers = (info.n_frames - verdict.n_usable, verdict.accesses, verdict.compared, len(verdict.wrong))
    return (result.name, str(info.n_frames), header, *map(str, numbers))


def _words(result: Result) -> list[str]:
    """Sentences about one file."""
    if result.verdict is None:
        return [result.fault]
    verdict, index = result.verdict, result.verdict.index
    info = index.info
    words = []
    if info.n_frames_header not in (None, info.n_frames):
        words.append(f"the header claims {info.n_frames_header} frames, the file holds {info.n_frames}")
    words += [f"{_span(gap)} cannot be used ({gap.reason})" for gap in index.gaps]
    if info.variable_rate:
        words.append(f"the frame rate varies, {float(info.fps or 0):.6g} per second on average")
    if not index.timed:
        words.append("no usable times; every reading starts at the beginning, and frames have no seconds")
    elif verdict.start_s and abs(verdict.start_s) >= 0.001:
        words.append(f"the first frame is at {verdict.start_s:.3f} s of the file's clock; EthoLoop counts seconds from it")
    if verdict.repeated:
        what = "1 frame has" if verdict.repeated == 1 else f"{verdict.repeated} frames have"
        words.append(f"{what} the same bytes as the one before; a checksum cannot tell such neighbours apart")
    words += [f"WRONG: asked for frame {wrong.asked} ({wrong.way}), got {wrong.got}" for wrong in verdict.wrong[:SHOWN_WRONG]]
    if len(verdict.wrong) > SHOWN_WRONG:
        words.append(f"WRONG: … and {len(verdict.wrong) - SHOWN_WRONG} more")
    return words


def _span(gap: "Gap") -> str:
    last = gap.stop_frame - 1
    return f"frame {last}" if last == gap.start_frame else f"frames {gap.start_frame} to {last}"


def _plain(result: Result) -> dict[str, Any]:
    """A result as JSON knows it; without one, ``fault`` says why and the numbers are null."""
    from dataclasses import asdict

    if result.verdict is None:
        return {"file": result.name, "right": False, "fault": result.fault}
    verdict, index = result.verdict, result.verdict.index
    return {
        "file": result.name,
        "right": result.right,
        "fault": "",
        "n_frames": index.info.n_frames,
        "n_frames_header": index.info.n_frames_header,
        "n_usable": verdict.n_usable,
        "gaps": [asdict(gap) for gap in index.gaps],
        "fps": str(index.info.fps) if index.info.fps else None,
        "variable_rate": index.info.variable_rate,
        "timed": index.timed,
        "start_s": verdict.start_s,
        "repeated": verdict.repeated,
        "accesses": verdict.accesses,
        "compared": verdict.compared,
        "wrong": [asdict(wrong) for wrong in verdict.wrong],
    }
