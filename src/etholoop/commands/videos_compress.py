"""``etholoop videos compress``: smaller copies for the archive, compared with the original frame by frame before they count."""

import json
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from etholoop.commands._help import examples

if TYPE_CHECKING:
    from etholoop.io.sources import Source
    from etholoop.stages._normalise_make import Job

EXAMPLES = examples(
    "etholoop videos compress ~/rec --to ~/archive                    every video below a folder, H.264, crf 20",
    "etholoop videos compress a.avi --to . --codec hevc --crf 24      smaller and slower",
    "etholoop videos compress ~/rec --to ~/archive --least-psnr 40    be strict: worse copies are not kept",
    "etholoop videos compress frames_cage1 --to . --fps 29.97         a folder of images as a video",
    "",
    "Every frame is kept, in order, with its time. Originals are never touched or removed.",
)


def register(group: typer.Typer) -> None:
    group.command("compress", short_help="Make smaller copies, and check them.", epilog=EXAMPLES)(compress_command)


def compress_command(  # noqa: PLR0917
    paths: list[Path] = typer.Argument(..., help="Videos, folders of videos, or folders of images."),
    to: Path = typer.Option(..., "--to", help="Folder for the copies."),
    crf: int = typer.Option(20, "--crf", min=0, max=51, help="Constant quality; lower is better and larger."),
    codec: str = typer.Option("h264", "--codec", help="h264 or hevc."),
    encoder: str = typer.Option("cpu", "--encoder", help="cpu, auto (hardware if it works), or its name."),
    least_psnr: float = typer.Option(35.0, "--least-psnr", help="dB of brightness that the worst frame must reach."),
    fps: str = typer.Option("25", "--fps", help="Rate of videos made from images, or from videos without times."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON instead of lines."),
) -> None:
    """Make smaller copies; one that is worse than asked for, or has other frames, is not kept (exit code 1)."""
    from etholoop.errors import EthoLoopError

    if codec not in ("h264", "hevc"):
        raise EthoLoopError(f"--codec {codec}: expected h264 or hevc.")
    copies = [compressed(path, target, crf, codec, encoder, least_psnr, Fraction(fps)) for path, target in plan(paths, to)]
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in copies], indent=2, sort_keys=True))
    else:
        for one in copies:
            typer.echo(line(one))
    if not all(one.kept for one in copies):
        raise typer.Exit(1)


@dataclass(frozen=True)
class Copy:
    """One copy. ``worst_psnr`` and ``mean_psnr`` in dB of luma, None = identical; ``fault`` is empty where it is kept."""

    source: str
    path: str
    frames: int
    source_bytes: int
    bytes: int
    worst_psnr: float | None
    worst_frame: int
    mean_psnr: float | None
    fault: str = ""

    @property
    def kept(self) -> bool:
        return not self.fault


def plan(paths: list[Path], to: Path) -> list[tuple[Path, Path]]:
    """Each source with the path of its copy.

    Raises:
        FaultsError: files that are no videos, copies that would get one name, or that are there already.
    """
    from etholoop.errors import FaultsError
    from etholoop.io import images, raw

    pairs, faults = [], []
    for path in paths:
        videos = sorted(file for file in path.rglob("*") if raw.is_video(file)) if path.is_dir() else [path] * raw.is_video(path)
        if videos:
            pairs += [(file, to / (file.relative_to(path) if path.is_dir() else Path(file.name)).with_suffix(".mp4")) for file in videos]
        elif path.is_dir() and any(images.is_image(file) for file in path.iterdir()):
            pairs.append((path, to / f"{path.resolve().name}.mp4"))
        else:
            faults.append(f"{path}: neither a video nor a folder of videos or images")
    owners: dict[Path, Path] = {}
    for file, target in pairs:
        if owners.setdefault(target, file) != file:
            faults.append(f"{file}: {owners[target]} gets the same name {target}")
        elif target.exists():
            faults.append(f"{file}: {target} is there already")
    if faults:
        raise FaultsError("etholoop videos compress", faults, "Nothing was written.")
    return pairs


def compressed(  # noqa: PLR0917
    path: Path, target: Path, crf: int, codec: str, encoder: str, least_psnr: float, fps: Fraction
) -> Copy:
    """Make and check one copy; it gets its name only when it is good.

    Raises:
        EthoLoopError: the source cannot be read.
    """
    from etholoop.project import Project
    from etholoop.stages._normalise_make import Quality, make, place

    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".compressing-") as name:
        folder = Path(name)
        job = job_of(path, folder, fps)
        quality = Quality(codec, crf, gop=250, encoder=encoder)
        (made,) = make(Project(folder), [job], quality)
        new = folder / "copy.mp4"
        place(made, new)
        copy = compare(job, new, path, target, least_psnr)
        if copy.kept:
            new.replace(target)
    return copy


def job_of(path: Path, folder: Path, fps: Fraction) -> "Job":
    """Every usable frame of a file, each with its own time; ``folder`` holds its index meanwhile."""
    from etholoop.commands.videos_proxy import settings
    from etholoop.stages._normalise_make import Job
    from etholoop.stages._normalise_plan import plan as plan_of

    source = _images(path) if path.is_dir() else _video(path, folder)
    made = plan_of(source, settings(), {})
    if source.fps is None:
        from dataclasses import replace

        made = replace(made, tick=1 / fps)
    return Job(source, made, str(path))


def compare(job: "Job", new: Path, path: Path, target: Path, least_psnr: float) -> Copy:
    """Every frame of the copy beside that of the original."""
    from etholoop.core.picture_quality import psnr

    files = job.source.image_paths or (path,)
    errors = [(psnr(old, now), frame) for frame, old, now in _pairs(job, new)]
    worst, frame = min(errors)
    finite = [value for value, _ in errors if value != float("inf")]
    fault = "" if worst >= least_psnr else f"frame {frame} reaches {worst:.1f} dB, {least_psnr:g} were asked for; use a lower --crf"
    if len(errors) != job.plan.frame_map.n_frames:
        fault = f"the copy has {len(errors)} frames, the original {job.plan.frame_map.n_frames}"
    return Copy(
        source=str(path),
        path=str(target),
        frames=len(errors),
        source_bytes=sum(file.stat().st_size for file in files),
        bytes=new.stat().st_size,
        worst_psnr=None if worst == float("inf") else round(worst, 2),
        worst_frame=frame,
        mean_psnr=round(sum(finite) / len(finite), 2) if finite else None,
        fault=fault,
    )


def line(copy: Copy) -> str:
    """What became of one source."""
    from etholoop.commands.videos_stats import bytes_text

    if copy.fault:
        return f"{copy.source}: not kept, {copy.fault}"
    share = f"{bytes_text(copy.source_bytes)} → {bytes_text(copy.bytes)} ({copy.bytes / copy.source_bytes:.0%})"
    worst = "identical" if copy.worst_psnr is None else f"worst frame {copy.worst_frame}: {copy.worst_psnr:.1f} dB"
    return f"{copy.source} → {copy.path}: {copy.frames} frames, {share}, {worst}"


def _pairs(job: "Job", new: Path) -> Iterator[tuple[int, Any, Any]]:
    """Source frame, its picture and that of the copy, each RGB and as large as the source."""
    from tqdm import tqdm

    from etholoop.io.video import VideoReader

    originals = job.source.read(job.plan.frame_map.source.tolist())
    shown = tqdm(originals, total=job.plan.frame_map.n_frames, desc="comparing", unit="frame", disable=None)
    for (frame, old), (_, now) in zip(shown, VideoReader(new).stream(), strict=True):
        yield frame, old, now[: old.shape[0], : old.shape[1]]


def _video(path: Path, folder: Path) -> "Source":
    import numpy as np

    from etholoop.io import video
    from etholoop.io.sources import Source

    info, index = video.probe(path)
    index_path = folder / "index.npz"
    index.save(index_path)
    return Source("copy", "video", info.width, info.height, info.fps, "", path, np.flatnonzero(index.usable), index_path)


def _images(path: Path) -> "Source":
    import numpy as np

    from etholoop.io import images
    from etholoop.io.sources import Source

    files = tuple(sorted(file for file in path.iterdir() if images.is_image(file)))
    height, width = images.read_rgb(files[0]).shape[:2]
    return Source("copy", "images", width, height, None, "", path, np.arange(len(files)), image_paths=files)
