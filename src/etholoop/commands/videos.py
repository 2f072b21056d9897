"""``etholoop videos``: add videos and folders of images, list what is there, check files before adding them."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from etholoop.io.metadata import Row
    from etholoop.project import Project

ADD_EXAMPLES = (
    "Examples: `etholoop videos add ~/rec/*.mp4` copies videos; `etholoop videos add ~/rec --as day1` a whole folder under one name; "
    "`etholoop videos add frames_cage1 --images` a folder of images; `--metadata sessions.csv` says session, subject, camera and "
    "start_time of each path; `--link` needs no extra room on the same disk."
)


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="Add, list and check videos and folders of images.", no_args_is_help=True)
    group.command("add", epilog=ADD_EXAMPLES)(add_command)
    group.command("list", epilog="Example: etholoop videos list")(list_command)
    group.command("check", epilog="Example: etholoop videos check ~/rec/*.mp4")(check_command)
    app.add_typer(group, name="videos")


def add_command(
    paths: list[Path] = typer.Argument(..., help="Videos, folders of videos, or folders of images."),
    link: bool = typer.Option(False, "--link", help="Hard links instead of copies (same disk only)."),
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
    if added.new:
        typer.echo("next: `etholoop repro`")


def list_command() -> None:
    """Show every source of the manifest, and every file put aside with the reason."""
    from etholoop.project import find_project

    for line in listing(find_project()):
        typer.echo(line)


def check_command(paths: list[Path] = typer.Argument(..., help="Video files, inside or outside a project.")) -> None:
    """Probe files as `etholoop repro` would, without adding them; exit code 1 if one would be put aside."""
    verdicts = [_check(path) for path in paths]  # all of them, also after the first fault
    if not all(verdicts):
        raise typer.Exit(1)


@dataclass(frozen=True)
class Added:
    """What :func:`add` did; paths are below ``data/raw``."""

    new: list[str] = field(default_factory=list)
    there: list[str] = field(default_factory=list)
    metadata_rows: int = 0


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
    from etholoop.services import dvc

    plan, faults = _plan([Path(path) for path in paths], images, _clean_folder(folder))
    there, taken = _already_there(project, plan)
    faults += taken + _id_faults(project, plan)
    rows, changed = _merged_metadata(project, plan, metadata) if metadata and not faults else ([], 0)
    if faults:
        raise FaultsError("etholoop videos add", faults, "Nothing has been added.")
    new = {target: source for target, source in plan.items() if target not in there}
    _bring(project, new, link)
    if changed:
        _write_metadata(project, rows)
    for path in sorted({project / "data/raw" / target.split("/", 1)[0] for target in new}):
        dvc.add(project, path)
    return Added(sorted(new), sorted(there), changed)


def listing(project: "Project") -> list[str]:
    """Lines of a table of all sources, then of all files put aside."""
    from etholoop.io import tables
    from etholoop.schema.videos import Quarantine, Videos

    videos = tables.read(project.manifest / "videos.parquet", Videos)
    aside = tables.read(project.manifest / "quarantine.parquet", Quarantine)
    splits = _splits(project)
    rows: list[tuple[str, ...]] = [("id", "session", "frames", "fps", "size", "split")]
    row: Any
    for row in videos.itertuples(index=False):
        fps = (
            f"{row.fps_num / row.fps_den:.6g}{' varies' if row.variable_rate else ''}" if row.fps_num else "images" * (row.kind == "images")
        )
        rows.append((row.video_id, row.session, str(row.n_frames), fps, f"{row.width}x{row.height}", splits.get(row.video_id, "")))
    lines = _aligned(rows) if len(rows) > 1 else ["no usable source; `etholoop videos add PATH…` brings some"]
    if len(aside):
        lines += ["", f"put aside ({len(aside)}):"]
        lines += [f"  {row.path}: {row.reason}. {row.detail}" for row in aside.itertuples(index=False)]
    return lines


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


def _already_there(project: "Project", plan: dict[str, Path]) -> tuple[set[str], list[str]]:
    """Targets that exist with the same content, and a fault for each that exists with another."""
    from etholoop.io.memo import file_digest

    there, faults = set(), []
    for target, source in plan.items():
        present = project / "data/raw" / target
        if not present.exists():
            continue
        if present.is_file() and (present.samefile(source) or file_digest(present) == file_digest(source)):
            there.add(target)
        else:
            faults.append(f"{source}: data/raw/{target} exists with other content; use --as, or rename the file")
    return there, faults


def _id_faults(project: "Project", plan: dict[str, Path]) -> list[str]:
    """Names that would get the id of another source, for example ``A.mp4`` beside ``a.mp4``."""
    from etholoop.core.naming import source_id
    from etholoop.io import raw

    owners = {candidate.video_id: candidate.path for candidate in raw.scan(project / "data/raw")[0]}
    faults = []
    for path in sorted({_source_path(target) for target in plan}):
        kind, _, name = path.partition("/")
        video_id = source_id(name, is_folder=kind == "images")
        if owners.setdefault(video_id, path) != path:
            faults.append(f"data/raw/{path}: its id '{video_id}' is that of data/raw/{owners[video_id]}; use --as, or rename the file")
    return faults


def _source_path(target: str) -> str:
    """The path that metadata.csv names: the video, or the folder of the image."""
    return target if target.startswith("videos/") else target.rsplit("/", 1)[0]


def _bring(project: "Project", new: dict[str, Path], link: bool) -> None:
    """Copy or link all files, each all or nothing, with one progress bar in bytes."""
    from tqdm import tqdm

    total = sum(source.stat().st_size for source in new.values())
    with tqdm(total=total, unit="B", unit_scale=True, desc="linking" if link else "copying", disable=None) as bar:
        for target, source in new.items():
            place = project / "data/raw" / target
            place.parent.mkdir(parents=True, exist_ok=True)
            if link:
                _hard_link(source, place)
                bar.update(source.stat().st_size)
            else:
                _copy(source, place, bar.update)


def _hard_link(source: Path, place: Path) -> None:
    from etholoop.errors import EthoLoopError

    try:
        place.hardlink_to(source.resolve())
    except OSError as error:
        raise EthoLoopError(f"{source}: cannot be linked to {place} ({error.strerror}). Leave out --link to copy it.") from error


def _copy(source: Path, place: Path, tell) -> None:
    from etholoop.io import atomic

    with atomic.new_file(place) as temporary, source.open("rb") as given, temporary.open("wb") as taken:
        while block := given.read(1 << 22):
            taken.write(block)
            tell(len(block))


def _merged_metadata(project: "Project", plan: dict[str, Path], given: Path) -> tuple[list["Row"], int]:
    """Rows of data/raw/metadata.csv with those of ``given`` added, and how many are new or changed.

    A path in ``given`` is one below data/raw, or the name or path of a file or folder as it was added.
    """
    from dataclasses import replace

    from etholoop.errors import EthoLoopError, FaultsError
    from etholoop.io import metadata, raw

    if not given.is_file():
        raise EthoLoopError(f"{given}: file not found.")
    present_sources = [candidate.path for candidate in raw.scan(project / "data/raw")[0]]
    names = _names(plan, present_sources)
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


def _names(plan: dict[str, Path], present: list[str]) -> dict[str, str]:
    """Ways to name a source in a CSV, each with its path below data/raw; ways that fit two sources are left out."""
    from etholoop.io.metadata import clean_path

    origins = {_source_path(target): source if target.startswith("videos/") else source.parent for target, source in plan.items()}
    ways: dict[str, set[str]] = {}
    for path in {*origins, *present}:
        for name in (path, path.split("/", 1)[1], path.rsplit("/", 1)[-1], str(origins.get(path, path))):
            ways.setdefault(clean_path(name), set()).add(path)
    exact = {clean_path(path): path for path in {*origins, *present}}
    return {name: next(iter(paths)) for name, paths in ways.items() if len(paths) == 1} | exact


def _write_metadata(project: "Project", rows: list["Row"]) -> None:
    from etholoop.io import metadata

    metadata.write(rows, project.metadata)
