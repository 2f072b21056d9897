"""``etholoop kabr tracks_extractor``: a video and the boxes of its animals → one mini-scene for each animal."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from etholoop.commands._help import examples
from etholoop.commands._kabr_group import IMSHOW_HELP, kabr_group

if TYPE_CHECKING:
    from etholoop.io.cvat import Annotations
    from etholoop.io.video import VideoInfo

EXAMPLES = examples(
    "etholoop kabr tracks_extractor --video DJI_0001.mp4 --annotation DJI_0001.xml     one video",
    "etholoop kabr tracks_extractor --video videos --annotation annotations           every XML file below a folder",
    "etholoop kabr tracks_extractor --video videos --annotation annotations --dry-run  only say what would be made",
    "",
    "Each video gets a folder below mini-scenes/, named after the last three parts of its path:",
    "  <track>.mp4                 400x300 around one animal, at the video's own rate",
    "  <video>.mp4                 the whole picture with numbers, trails and windows",
    "  actions/                    put the behaviour XML files of the mini-scenes here",
    "  metadata/                   the boxes, which frame shows which, a timeline",
    "Boxes marked outside are not cut. Animals too large for 400x300 are shown smaller; beyond the picture's edge it is black.",
)


def register(app: typer.Typer) -> None:
    kabr_group(app).command("tracks_extractor", short_help="Cut a mini-scene for each animal.", epilog=EXAMPLES)(command)


def command(  # noqa: PLR0917
    video: Path = typer.Option(..., "--video", help="A video, or a folder of videos."),
    annotation: Path = typer.Option(..., "--annotation", help="CVAT 1.1 XML, or a folder of them with the videos' relative paths."),
    tracking: bool = typer.Option(False, "--tracking", help="Give the animals new numbers by kabr-tools' tracker, whatever the file says."),
    imshow: bool = typer.Option(False, "--imshow", help=IMSHOW_HELP),
    output: Path = typer.Option(Path("mini-scenes"), "--output", help="Folder for the mini-scene folders."),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace folders that are there already; their actions/ are kept."),
    compat: bool = typer.Option(
        False, "--compat", help="Cut as kabr-tools does, faults included: boxes marked outside, animals stretched at the edges."
    ),
    dry_run: bool = typer.Option(False, "--dry-run", help="Only list what would be made."),
) -> None:
    """Cut one small video for each animal of each annotated video, with an overview, a timeline and metadata."""
    if imshow:
        typer.echo(f"--imshow: {IMSHOW_HELP}", err=True)
    jobs = plan(video, annotation, output, compat=compat, overwrite=overwrite)
    for job in jobs:
        if dry_run:
            typer.echo(f"{job.video} + {job.annotation} → {job.folder}")
            continue
        for line in extract(job, tracking=tracking, compat=compat):
            typer.echo(line)


@dataclass(frozen=True)
class Job:
    """One video with its boxes, and the folder to make."""

    video: Path
    annotation: Path
    folder: Path


def plan(video: Path, annotation: Path, output: Path, *, compat: bool = False, overwrite: bool = False) -> list[Job]:
    """Every pair of video and XML file; nothing is made when anything is wrong.

    Raises:
        FaultsError: files that are missing, XML files without a video, or folders that are there already.
    """
    from etholoop.errors import FaultsError

    pairs, faults = pairs_of(video, annotation)
    names = folder_names([path for path, _ in pairs], compat=compat)
    jobs = [Job(path, xml, output / name) for (path, xml), name in zip(pairs, names, strict=True)]
    if not overwrite:
        faults += [f"{job.folder} is there already; --overwrite replaces it and keeps its actions/" for job in jobs if job.folder.exists()]
    if faults:
        raise FaultsError("etholoop kabr tracks_extractor", faults, "Nothing was made.")
    return jobs


def pairs_of(video: Path, annotation: Path) -> tuple[list[tuple[Path, Path]], list[str]]:
    """Videos with their XML files, and what is wrong with them."""
    if not annotation.is_dir():
        faults = [f"{path}: file not found" for path in (video, annotation) if not path.is_file()]
        return [(video, annotation)], faults
    files = sorted(path for path in annotation.rglob("*") if path.suffix.lower() == ".xml" and path.is_file())
    if not files:
        return [], [f"{annotation}: the folder holds no XML files"]
    pairs, faults = [], []
    for xml in files:
        found = videos_named(video / xml.relative_to(annotation).parent, xml.stem)
        if len(found) == 1:
            pairs.append((found[0], xml))
        else:
            faults.append(f"{xml}: expected one video named {xml.stem} in {video / xml.relative_to(annotation).parent}, found {len(found)}")
    return pairs, faults


def videos_named(folder: Path, stem: str) -> list[Path]:
    """Videos of that name, with any extension in capitals or not."""
    from etholoop.io import raw

    return sorted(path for path in folder.glob("*") if path.stem == stem and raw.is_video(path)) if folder.is_dir() else []


def folder_names(videos: list[Path], *, compat: bool = False) -> list[str]:
    """The last three parts of each path joined by "_"; more of them where two videos would get one name.

    The path counts from the root of the disk, so that the session is in the name also when the command runs inside its folder;
    with ``compat`` as it was typed.
    """
    paths = [(path if compat else path.resolve()).with_suffix("") for path in videos]
    n_parts = [3] * len(paths)
    while True:
        names = ["_".join(path.parts[-n:]) for path, n in zip(paths, n_parts, strict=True)]
        same = [place for place, name in enumerate(names) if names.count(name) > 1 and len(paths[place].parts) > n_parts[place] + 1]
        if compat or not same:
            return names
        for place in same:
            n_parts[place] += 1


def extract(job: Job, *, tracking: bool = False, compat: bool = False) -> list[str]:
    """Make one folder; lines for people about what was made.

    Raises:
        FaultsError: boxes behind the end of the video, or an annotation of another picture size.
    """
    from dataclasses import replace
    from fractions import Fraction
    from functools import partial

    from etholoop.io import cvat
    from etholoop.io._video_sink import VideoSink
    from etholoop.io.miniscenes import write_folder
    from etholoop.io.video import VideoReader

    annotations = cvat.read(job.annotation)
    with VideoReader(job.video) as reader:
        info = reader.index.info
        check_fits(job, annotations, info)
        if tracking:
            annotations = retracked(annotations if compat else replace(annotations, tracks=cvat.without_hidden(annotations.tracks)))
        boxes = boxes_of(annotations, compat=compat)
        counts = write_folder(
            job.folder,
            job.video.stem,
            _progress(reader.stream(), job, info.n_frames),
            boxes,
            compat_cut if compat else our_cut,
            n_frames=info.n_frames,
            fps=info.fps or Fraction(30),
            original=str(job.video),
            write_tracks=_tracks_writer(job, annotations, copy=compat or not tracking),
            with_colours=not (compat and tracking),
            sink=partial(VideoSink, crf=6, as_bgr=True) if compat else VideoSink,
        )
    lines = [f"{job.folder}: {len(counts.frames)} mini-scenes, {sum(counts.frames.values())} frames"]
    lines += [f"  track {track}: {n} boxes lie in frames that the video cannot give" for track, n in counts.unreadable.items()]
    lines += [f"  track {track.id} is never in view and has no mini-scene" for track in annotations.tracks if track.id not in boxes]
    lines += [f"  {n} shapes of kind {kind} in {job.annotation} are not used" for kind, n in annotations.unread.items()]
    return lines


def check_fits(job: Job, annotations: "Annotations", info: "VideoInfo") -> None:
    """The annotation must be one of this video."""
    from etholoop.errors import FaultsError

    meta, faults = annotations.meta, []
    if None not in (meta.width, meta.height) and (meta.width, meta.height) != (info.width, info.height):
        faults.append(
            f"boxes are of a picture of {meta.width}x{meta.height}, the video has {info.width}x{info.height}; "
            "`etholoop kabr annotation_rescale` fits them"
        )
    for track in annotations.tracks:
        late = [shape.frame for shape in track.shapes if shape.frame >= info.n_frames and not shape.outside]
        if late:
            faults.append(f"track {track.id} has {len(late)} boxes from frame {late[0]} on, the video's last frame is {info.n_frames - 1}")
    if faults:
        raise FaultsError(f"{job.annotation} for {job.video}", faults, "Give the video that was annotated. Nothing was made.")


def boxes_of(annotations: "Annotations", *, compat: bool = False) -> dict[int, dict[int, tuple[float, ...]]]:
    """Track → frame → box in view; with ``compat`` also those marked outside."""
    from etholoop.io import cvat

    boxes = {
        track.id: {shape.frame: cvat.upright(shape) for shape in track.shapes if shape.kind == cvat.BOX and (compat or not shape.outside)}
        for track in annotations.tracks
    }
    return {track: own for track, own in boxes.items() if own}


def our_cut(image: Any, boxes: Any) -> tuple[list[Any], Any]:
    """Mini-scenes that keep their shape, with black beyond the picture, and their windows."""
    from etholoop.core import miniscene
    from etholoop.io.miniscenes import pixels

    windows = miniscene.windows(boxes)
    parts = miniscene.cuts(windows, image.shape[1], image.shape[0])
    return [pixels(image, parts, place) for place in range(len(parts))], windows


def compat_cut(image: Any, boxes: Any) -> tuple[list[Any], Any]:
    """Mini-scenes as kabr-tools cuts them, and the parts of the picture that it shows."""
    import numpy as np

    from etholoop.core import miniscene
    from etholoop.io.miniscenes import pixels

    parts = miniscene.compat_cuts(boxes, image.shape[1], image.shape[0])
    return [pixels(image, parts, place) for place in range(len(parts))], np.hstack([parts.corner, parts.corner + parts.size])


def retracked(annotations: "Annotations") -> "Annotations":
    """The boxes in view with new track numbers, from 1, by kabr-tools' tracker (40 frames, 300 pixels).

    Where an animal is lost it has no box. Unlike the original this does not end at the first lost box, and the numbers are those of the
    boxes written beside the mini-scenes.
    """
    from dataclasses import replace

    import numpy as np

    from etholoop.core.tracking.centroid_kalman import NO_ROW, Settings, follow
    from etholoop.io import cvat

    shown: list[list[tuple[str, Any]]] = [[] for _ in range(annotations.n_frames)]
    for track in annotations.tracks:
        for shape in track.shapes:
            if shape.kind == cvat.BOX:
                shown[shape.frame].append((track.label, shape))
    boxes = [np.trunc(np.array([cvat.upright(shape) for _, shape in own]).reshape(-1, 4)).astype(np.int64) for own in shown]
    live, _ = follow(boxes, Settings())
    found: dict[int, list[tuple[str, Any]]] = {}
    for own, seen in zip(shown, live, strict=True):
        for one in seen:
            if one.row != NO_ROW:
                found.setdefault(one.id, []).append(own[one.row])
    made = []
    for number, own in sorted(found.items()):
        label = most_frequent([label for label, _ in own])
        made.append(cvat.Track(number, label, tuple(shape for _, shape in own), "auto"))
    return replace(annotations, tracks=tuple(made))


def most_frequent(labels: list[str]) -> str:
    """The label that comes most often; of equally frequent ones the first in the alphabet."""
    return max(sorted(set(labels)), key=labels.count)


def _tracks_writer(job: Job, annotations: "Annotations", *, copy: bool) -> "Callable[[Path], None]":
    import shutil

    from etholoop.io import cvat

    def write(path: Path) -> None:
        if copy and job.annotation.suffix.lower() == ".xml":
            shutil.copyfile(job.annotation, path)
        else:  # the numbers of the mini-scenes, not those of the file they came from
            cvat.write(path, annotations)

    return write


def _progress(images: Any, job: Job, n_frames: int) -> Any:
    from tqdm import tqdm

    return tqdm(images, total=n_frames, desc=job.video.name, unit="frame", disable=None)
