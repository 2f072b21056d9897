"""``etholoop videos``: add videos and folders of images, list what is there, check files before adding them."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from etholoop.commands import videos_compress, videos_copy, videos_proxy, videos_rename, videos_stats, videos_verify
from etholoop.commands._help import examples

if TYPE_CHECKING:
    from collections.abc import Iterable

    from etholoop.io.metadata import Row
    from etholoop.project import Project

ADD_EXAMPLES = examples(
    "etholoop videos add ~/rec/*.mp4                            copy videos",
    "etholoop videos add ~/rec --as day1                        a whole folder, under one name",
    "etholoop videos add ~/rec/*.mp4 --metadata sessions.csv    who, when, which camera",
    "etholoop videos add ~/rec/*.mp4 --link                     no extra room, same disk only",
    "etholoop videos add frames_cage1 --images                  a folder of images",
    "",
    "sessions.csv starts with the line path,session,subject,camera,start_time; a path may be a file name, and empty cells are fine:",
    "  cage1.mp4,monday,mouse7,top,2026-05-01T09:30:00",
    "Videos of one session always stay together, in training or in testing.",
)


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="Add, list and check videos and folders of images.", no_args_is_help=True)
    group.command("add", short_help="Copy or link videos and images into the project.", epilog=ADD_EXAMPLES)(add_command)
    group.command("list", short_help="Every source, and every file put aside.", epilog=examples("etholoop videos list"))(list_command)
    group.command(
        "check",
        short_help="Probe files without adding them.",
        epilog=examples("etholoop videos check ~/rec/*.mp4", "etholoop videos check ~/rec"),
    )(check_command)
    group.command("number", short_help="Number images whose names tell none.", epilog=examples("etholoop videos number"))(number_command)
    for more in (videos_stats, videos_verify, videos_proxy, videos_copy, videos_rename, videos_compress):
        more.register(group)
    app.add_typer(group, name="videos")


def add_command(
    paths: list[Path] = typer.Argument(..., help="Videos, folders of videos, or folders of images."),
    link: bool = typer.Option(
        False, "--link", help="Hard links instead of copies, DVC's cache included; same disk only, and the originals become read-only."
    ),
    images: bool = typer.Option(False, "--images", help="Take the folders as folders of images, whatever else they hold."),
    metadata: Path = typer.Option(None, "--metadata", help="CSV: path,session,subject,camera,start_time."),
    folder: str = typer.Option("", "--as", help="Folder below data/raw/videos or data/raw/images to put everything in."),
) -> None:
    """Copy videos and folders of images into the project and version them with DVC."""
    from etholoop.project import find_project

    added = add(find_project(), paths, link=link, images=images, metadata=metadata, folder=folder)
    typer.echo(f"{len(added.new)} new, {len(added.there)} already there, {added.metadata_rows} metadata rows changed")
    for path in added.there:
        typer.echo(f"already there: {path}")
    for source, path in added.twins.items():
        typer.echo(f"not added: {source} has the same content as data/raw/{path}")
    for path in added.numbered:
        typer.echo(f"{path}: the names do not tell the images apart, so their numbers are kept in {path}/numbers.csv")
    if added.new:
        typer.echo("next: `etholoop repro manifest` looks at every file, `etholoop videos list` shows the result")


def list_command() -> None:
    """Show every source of the manifest, and every file put aside with the reason."""
    from etholoop.project import find_project

    for line in listing(find_project()):
        typer.echo(line)


def check_command(paths: list[Path] = typer.Argument(..., help="Video files or folders of videos, inside or outside a project.")) -> None:
    """Probe files as `etholoop repro` would, without adding them; exit code 1 if one would be put aside."""
    from etholoop.io import raw

    inside = [sorted(file for file in path.rglob("*") if raw.is_video(file)) if path.is_dir() else [path] for path in paths]
    for path, files in zip(paths, inside, strict=True):
        if not files:
            typer.echo(f"{path}: no_video. The folder holds no file with the extension of a video.")
    verdicts = [bool(files) for files in inside] + [_check(path) for files in inside for path in files]  # all, also after the first fault
    if not all(verdicts):
        raise typer.Exit(1)


def number_command() -> None:
    """Give a number to every image in data/raw/images whose name tells none; images that have one keep it."""
    from etholoop.project import find_project

    numbered = number(find_project())
    for path in numbered:
        typer.echo(f"{path}/numbers.csv is written")
    typer.echo("next: `etholoop repro`" if numbered else "every image has its number")


@dataclass(frozen=True)
class Added:
    """What :func:`add` did; paths are below ``data/raw``."""

    new: list[str] = field(default_factory=list)
    there: list[str] = field(default_factory=list)
    metadata_rows: int = 0
    twins: dict[str, str] = field(default_factory=dict)
    """Files left out, each with the source that has the same content."""
    numbered: list[str] = field(default_factory=list)
    """Folders of images whose list of numbers was written."""


def add(
    project: "Project",
    paths: "Iterable[Path]",
    *,
    link: bool = False,
    images: bool = False,
    metadata: Path | None = None,
    folder: str = "",
) -> Added:
    """Bring videos and folders of images into ``data/raw`` and version them; nothing is copied if anything is wrong.

    Args:
        images: take folders as folders of images; otherwise a folder with videos anywhere below is one of videos.
        metadata: CSV whose rows are merged into data/raw/metadata.csv.
        folder: name below data/raw/videos (or data/raw/images) to put everything in.

    Raises:
        FaultsError: files that are neither videos nor images, names that are taken by other content, metadata that does not fit.
    """
    from etholoop.errors import FaultsError
    from etholoop.io import image_numbers, incoming
    from etholoop.services import dvc

    raw = project / "data/raw"
    plan, faults = _plan([Path(path) for path in paths], images, _clean_folder(folder))
    twins = {} if faults else incoming.twins(raw, plan)
    left_out = {plan.pop(target): path for target, path in twins.items()}
    there, taken = incoming.already_there(raw, plan)
    lists, unnumbered = incoming.image_lists(raw, plan, known=known_numbers(project))
    faults += taken + incoming.id_faults(raw, plan) + unnumbered
    rows, changed = _merged_metadata(project, plan, left_out, metadata) if metadata and not faults else ([], 0)
    if faults:
        raise FaultsError("etholoop videos add", faults, "Nothing has been added.")
    new = {target: source for target, source in plan.items() if target not in there}
    if link:
        dvc.prefer_links(project)
    incoming.bring(raw, new, link=link)
    for place, numbers in lists.items():
        image_numbers.write_list(place, numbers)
    if changed:
        _write_metadata(project, rows)
    # all of them, not only new ones: an earlier call that was killed may have brought files without versioning them
    for kind in sorted({target.split("/", 1)[0] for target in plan}):
        dvc.add(project, raw / kind)
    if link:
        dvc.share(project, {raw / target: source for target, source in plan.items()})
    twin_names = {str(source): path for source, path in left_out.items()}
    return Added(sorted(new), sorted(there), changed, twin_names, [place.relative_to(project.root).as_posix() for place in lists])


def number(project: "Project") -> list[str]:
    """Write the lists of numbers that folders of images need; their paths below the project."""
    from etholoop.io import image_numbers, incoming, raw
    from etholoop.services import dvc

    candidates = [candidate for candidate in raw.scan(project / "data/raw")[0] if candidate.kind == "images"]
    plan = {f"{candidate.path}/{file.name}": file for candidate in candidates for file in candidate.files}
    lists, _ = incoming.image_lists(project / "data/raw", plan, known=known_numbers(project))
    for place, numbers in lists.items():
        image_numbers.write_list(place, numbers)
    if lists:
        dvc.add(project, project.raw_images)
    return [place.relative_to(project.root).as_posix() for place in lists]


def known_numbers(project: "Project") -> dict[str, int]:
    """Numbers of images in the last manifest, by their path below data/raw."""
    from etholoop.io import tables
    from etholoop.schema.videos import Images

    path = project.manifest / "images.parquet"
    images = tables.read(path, Images) if path.is_file() else tables.empty(Images)
    return dict(zip(images["path"], images["frame"].tolist(), strict=True))


def listing(project: "Project") -> list[str]:
    """Lines of a table of all sources, then of all files put aside, then of files that were not looked at yet."""
    from etholoop.io import tables
    from etholoop.schema.videos import Quarantine, Videos

    if not (project.manifest / "videos.parquet").is_file():
        return _unseen(project, set())[1:] or [NO_SOURCE]
    videos = tables.read(project.manifest / "videos.parquet", Videos)
    aside = tables.read(project.manifest / "quarantine.parquet", Quarantine)
    splits = _splits(project)
    rows = [_source_line(row, splits.get(str(row.video_id), "")) for row in videos.itertuples(index=False)]
    lines = _aligned([("id", "session", "frames", "fps", "size", "split"), *rows]) if rows else []
    if len(aside):
        lines += ["", f"put aside ({len(aside)}):"]
        lines += [f"  {row.path}: {row.reason}. {row.detail}" for row in aside.itertuples(index=False)]
    lines += _unseen(project, {*videos["path"], *aside["path"]})
    return lines or [NO_SOURCE]


NO_SOURCE = "no source yet; `etholoop videos add PATH…` brings some"


def _unseen(project: "Project", seen: set[str]) -> list[str]:
    """What lies in data/raw and is not in the manifest."""
    from etholoop.io import raw

    candidates, aside = raw.scan(project / "data/raw")
    paths = sorted(({item.path for item in candidates} | {item.path for item in aside}) - seen)
    return ["", f"not looked at yet ({len(paths)}), `etholoop repro manifest` does it:", *(f"  {path}" for path in paths)] if paths else []


def _source_line(row: Any, split: str) -> tuple[str, ...]:
    return row.video_id, row.session, str(row.n_frames), _rate_text(row), f"{row.width}x{row.height}", split


def _rate_text(row: Any) -> str:
    if row.kind == "images":
        return "images"
    return f"{row.fps_num / row.fps_den:.6g}{' varies' if row.variable_rate else ''}" if row.fps_num else "no times"


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _splits(project: "Project") -> dict[str, str]:
    from etholoop.io import tables
    from etholoop.schema.splits import Splits

    if not project.splits.is_file():
        return {}
    table = tables.read(project.splits, Splits)
    return {str(video_id): "/".join(dict.fromkeys(rows["split"])) for video_id, rows in table.groupby("video_id")}


def _check(path: Path) -> bool:
    from etholoop.io import video

    try:
        info, index = video.probe(path)
    except video.VideoFault as fault:
        typer.echo(f"{path}: {fault.reason}. {fault.detail}")
        return False
    header = f" (header says {info.n_frames_header})" if info.n_frames_header not in (None, info.n_frames) else ""
    rate = f"{float(info.fps):.6g} fps{' on average, varies' if info.variable_rate else ''}" if info.fps else "no times"
    slow = "" if index.timed else ", no usable times: reading goes from the start"
    typer.echo(f"{path}: {info.n_frames} frames{header}, {rate}, {info.width}x{info.height}, {info.codec}{slow}")
    for gap in index.gaps:
        typer.echo(f"{path}: frames {gap.start_frame} to {gap.stop_frame - 1} cannot be used ({gap.reason})")
    return True


def _clean_folder(folder: str) -> str:
    from etholoop.errors import EthoLoopError

    parts = Path(folder).parts
    if Path(folder).is_absolute() or any(part.startswith(".") for part in parts):
        raise EthoLoopError(f"--as '{folder}': expected the name of a folder below data/raw/videos, without '..' and leading dots.")
    return "".join(f"{part}/" for part in parts)


def _plan(paths: list[Path], images: bool, folder: str) -> tuple[dict[str, Path], list[str]]:
    """Sources by their target below ``data/raw``, and faults."""
    from etholoop.io import raw

    plan: dict[str, Path] = {}
    faults: list[str] = []
    for path in paths:
        if path.is_dir():
            pairs = _folder_pairs(path, images)
            if not pairs:
                faults.append(f"{path}: the folder holds no {'images' if images else 'videos or images'}")
        elif path.is_file() and raw.is_video(path):
            pairs = [("videos", path.name, path)]
        else:
            pairs = []
            faults.append(_file_fault(path))
        for kind, name, source in pairs:
            target = f"{kind}/{folder}{name}"
            if target in plan and plan[target].resolve() != source.resolve():
                faults.append(f"{source}: {plan[target]} would get the same name {target}; use --as, or rename one")
            plan[target] = source
    return plan, faults


def _file_fault(path: Path) -> str:
    from etholoop.io import images, raw

    if not path.exists():
        return f"{path}: not found"
    if images.is_image(path):
        return f"{path}: an image; give its folder, which becomes one source"
    return f"{path}: not a video by its extension (known: {' '.join(raw.VIDEO_SUFFIXES)})"


def _folder_pairs(folder: Path, images: bool) -> list[tuple[str, str, Path]]:
    """``(kind, name below the kind, file)`` of all videos below a folder, or, if it has none, of its images."""
    from etholoop.io import images as image_files
    from etholoop.io import raw

    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and not _hidden(path.relative_to(folder))]
    videos = [path for path in files if raw.is_video(path)]
    if videos and not images:
        return [("videos", path.relative_to(folder).as_posix(), path) for path in videos]
    pictures = [path for path in files if image_files.is_image(path)]
    name = folder.resolve().name
    return [("images", f"{name}/{path.relative_to(folder).as_posix()}", path) for path in pictures]


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _merged_metadata(project: "Project", plan: dict[str, Path], left_out: dict[Path, str], given: Path) -> tuple[list["Row"], int]:
    """Rows of data/raw/metadata.csv with those of ``given`` added, and how many are new or changed.

    A path in ``given`` is one below data/raw, or the name or path of a file or folder as it was added; ``left_out`` are files whose
    content is there under another path.
    """
    from dataclasses import replace

    from etholoop.errors import EthoLoopError, FaultsError
    from etholoop.io import metadata, raw

    if not given.is_file():
        raise EthoLoopError(f"{given}: file not found.")
    present_sources = [candidate.path for candidate in raw.scan(project / "data/raw")[0]]
    names = _names(plan, left_out, present_sources)
    rows = [replace(row, path=names.get(row.path, row.path)) for row in metadata.read(given)]
    faults = metadata.unknown_paths(rows, names.values())
    present = {row.path: row for row in metadata.read(project.metadata)}
    faults += [
        f"row {row.line}: '{row.path}' has other values in data/raw/metadata.csv: {present[row.path].fields}"
        for row in rows
        if row.path in present and present[row.path].fields != row.fields
    ]
    if faults:
        raise FaultsError(str(given), faults, "Nothing has been added. Change a row by editing data/raw/metadata.csv.")
    new = {row.path: row for row in rows if row.path not in present}
    return list((present | new).values()), len(new)


def _names(plan: dict[str, Path], left_out: dict[Path, str], present: list[str]) -> dict[str, str]:
    """Ways to name a source in a CSV, each with its path below data/raw; ways that fit two sources are left out."""
    from etholoop.io.incoming import source_path
    from etholoop.io.metadata import clean_path

    origins = {source_path(target): source if target.startswith("videos/") else source.parent for target, source in plan.items()}
    ways: dict[str, set[str]] = {}
    for path in {*origins, *present}:
        for name in (path, path.split("/", 1)[1], path.rsplit("/", 1)[-1], str(origins.get(path, path))):
            ways.setdefault(clean_path(name), set()).add(path)
    for source, path in left_out.items():
        for name in (source.name, str(source)):
            ways.setdefault(clean_path(name), set()).add(path)
    exact = {clean_path(path): path for path in {*origins, *present}}
    return {name: next(iter(paths)) for name, paths in ways.items() if len(paths) == 1} | exact


def _write_metadata(project: "Project", rows: list["Row"]) -> None:
    from etholoop.io import metadata

    metadata.write(rows, project.metadata)
