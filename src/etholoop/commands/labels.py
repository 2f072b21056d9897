"""``etholoop labels``: labels from other programs into the snapshot, out of it, and what there is.

Every import ends in the same three steps: look at everything first (one fault and nothing is changed), merge into the snapshot, version it.
Importing the same labels twice changes nothing.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from etholoop.commands._help import examples

if TYPE_CHECKING:
    from etholoop.core.labels import Extent
    from etholoop.io.snapshot import Changes
    from etholoop.project import Project
    from etholoop.schema.skeleton import Skeleton

VIDEO_PATTERN = r"(?P<video>.+?)_(?:frame_)?(?P<frame>\d+)"
"""Names like ``cage1_frame_120.jpg`` (BehavTrack) and ``cage1_00000120.png``; the whole name without its extension must fit."""

DLC_EXAMPLES = examples(
    "etholoop labels import dlc ~/openfield-Pranav-2018-10-30 --dry-run",
    "etholoop labels import dlc ~/openfield-Pranav-2018-10-30 --videos --write-skeleton",
)
BEHAVTRACK_EXAMPLES = examples(
    "etholoop labels import behavtrack ~/cage/annotations                   images named <video>_frame_<frame>, video added before",
    "etholoop labels import behavtrack ~/cage/annotations --copy-images     the images come along",
    "etholoop labels import behavtrack cage1_tracked.json --video cage1     one file per video, labels by frame number and id",
)
YOLO_EXAMPLES = examples(
    "etholoop labels import yolo ~/dataset/labels/train --annotator anna --copy-images",
    "etholoop labels import yolo runs/predict/labels --predictions",
)

Record = dict[str, Any]


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="Import, export and count labels.", no_args_is_help=True)
    imports = typer.Typer(
        help="Merge labels of another program into the snapshot; twice is the same as once.",
        short_help="Labels of another program.",
        no_args_is_help=True,
    )
    imports.command("dlc", short_help="A DeepLabCut project.", epilog=DLC_EXAMPLES)(import_dlc_command)
    imports.command("behavtrack", short_help="The annotation.json of BehavTrack.", epilog=BEHAVTRACK_EXAMPLES)(import_behavtrack_command)
    imports.command("yolo", short_help="YOLO label text, one file per image.", epilog=YOLO_EXAMPLES)(import_yolo_command)
    exports = typer.Typer(help="Write the labels in the form of another program.", no_args_is_help=True)
    exports.command(
        "behavtrack",
        short_help="An annotation.json of BehavTrack.",
        epilog=examples("etholoop labels export behavtrack out/annotation.json"),
    )(export_behavtrack_command)
    exports.command("yolo", short_help="YOLO label text, one file per frame.", epilog=examples("etholoop labels export yolo out/labels"))(
        export_yolo_command
    )
    group.command("show", epilog=examples("etholoop labels show"))(show_command)
    group.add_typer(imports, name="import")
    group.add_typer(exports, name="export")
    app.add_typer(group, name="labels")


# --- what people type --------------------------------------------------------------------------------------------------------------

SPECIES = typer.Option("", "--species", help="Class of the animals; needed when skeleton.yaml names several.")
DRY_RUN = typer.Option(False, "--dry-run", help="Check everything and say what would change; change nothing.")
EMPTY = typer.Option(False, "--empty-means-no-animal", help="An image without marks shows no animal (otherwise: not labelled yet).")
PATTERN = typer.Option(VIDEO_PATTERN, "--video-pattern", help="Regular expression with the groups video and frame for image names.")
COPY = typer.Option(False, "--copy-images", help="Copy the images to data/raw/images/<video>; for labels that came without their video.")


def import_dlc_command(
    path: Path = typer.Argument(..., help="DeepLabCut project folder, or its config.yaml."),
    *,
    species: str = SPECIES,
    write_skeleton: bool = typer.Option(False, "--write-skeleton", help="Replace label_studio/skeleton.yaml by the project's body parts."),
    videos: bool = typer.Option(False, "--videos", help="Add the project's videos too."),
    individuals_are_slots: bool = typer.Option(False, "--individuals-are-slots", help="Names of individuals are no identities."),
    outside_is_missing: bool = typer.Option(False, "--outside-is-missing", help="Leave out keypoints outside of the image."),
    margin: float = typer.Option(0.15, min=0.0, help="Margin of boxes around keypoints, as a share of the longer side of their extent."),
    empty_means_no_animal: bool = EMPTY,
    dry_run: bool = DRY_RUN,
) -> None:
    """Import a DeepLabCut project: labelled images, labels, body parts."""
    from etholoop.io.dlc import Reading
    from etholoop.project import find_project

    project = find_project()
    reading = Reading(
        species=_species(project, species, new_skeleton=write_skeleton),
        margin=margin,
        empty_means_no_animal=empty_means_no_animal,
        keep_individuals=not individuals_are_slots,
        outside_is_missing=outside_is_missing,
    )
    _tell(import_dlc(project, path, reading, write_skeleton=write_skeleton, videos=videos, dry_run=dry_run), dry_run)


def import_behavtrack_command(
    path: Path = typer.Argument(..., help="annotation.json, or the folder of images that holds it."),
    *,
    species: str = SPECIES,
    annotator: str = typer.Option("behavtrack", help="Who made these labels."),
    video_pattern: str = PATTERN,
    video: str = typer.Option("", "--video", help="Video id, for the tracked variant (one file per video)."),
    accept_predictions: bool = typer.Option(False, "--accept-predictions", help="Take animals that nobody corrected as labels."),
    empty_means_no_animal: bool = EMPTY,
    copy_images: bool = COPY,
    dry_run: bool = DRY_RUN,
) -> None:
    """Import the annotation.json of BehavTrack's page."""
    from etholoop.io.behavtrack import Reading
    from etholoop.project import find_project

    project = find_project()
    reading = Reading(_species(project, species), annotator, accept_predictions, empty_means_no_animal)
    done = import_behavtrack(project, path, reading, pattern=video_pattern, video=video, copy_images=copy_images, dry_run=dry_run)
    _tell(done, dry_run)


def import_yolo_command(
    path: Path = typer.Argument(..., help="Folder with label .txt files; images beside them, or in 'images' where the path says 'labels'."),
    *,
    annotator: str = typer.Option("yolo", help="Who made these labels."),
    video_pattern: str = PATTERN,
    copy_images: bool = COPY,
    predictions: bool = typer.Option(False, "--predictions", help="Text of predictions, keypoints with confidence; marked as such."),
    visible_above: float = typer.Option(0.90, min=0, max=1, help="For predictions: keypoints above are visible (.85 for videos)."),
    min_confidence: float = typer.Option(0.25, min=0, max=1, help="For predictions: boxes below are dropped."),
    dry_run: bool = DRY_RUN,
) -> None:
    """Import YOLO label text, one file per image; an empty file means no animal."""
    from etholoop.project import find_project

    thresholds = (visible_above, min_confidence) if predictions else None
    done = import_yolo(
        find_project(), path, annotator, pattern=video_pattern, copy_images=copy_images, thresholds=thresholds, dry_run=dry_run
    )
    _tell(done, dry_run)


def export_behavtrack_command(path: Path = typer.Argument(..., help="File to write, usually annotation.json.")) -> None:
    """Write an annotation.json with image names <video>_frame_<frame>.jpg."""
    from etholoop.project import find_project

    typer.echo(f"{export_behavtrack(find_project(), path)} images written to {path}")


def export_yolo_command(path: Path = typer.Argument(..., help="Folder for label files.")) -> None:
    """Write YOLO label text, one file <video>_<frame, 8 digits>.txt per labelled frame."""
    from etholoop.project import find_project

    typer.echo(f"{export_yolo(find_project(), path)} label files written to {path}")


def show_command() -> None:
    """Count labels by split, source and annotator."""
    from etholoop.project import find_project

    for line in listing(find_project()):
        typer.echo(line)


# --- imports -----------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Imported:
    """What an import did: changes of the snapshot, new files below ``data/raw``, and remarks for people."""

    changes: "Changes"
    new_files: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def import_dlc(
    project: "Project", path: Path, reading: Any = None, *, write_skeleton: bool = False, videos: bool = False, dry_run: bool = False
) -> Imported:
    """Images, labels and, if wanted, body parts and videos of a DeepLabCut project (``reading``: ``io.dlc.Reading``).

    Raises:
        FaultsError: faulty labels, body parts that are not those of skeleton.yaml, names taken by other files; nothing is changed.
    """
    from etholoop.io import dlc

    found = dlc.read_project(path, reading or dlc.Reading(), project.raw_images)
    fits = not _skeleton_faults(project, found.skeleton)
    if not fits and not write_skeleton:
        _refuse_skeleton(project, found.skeleton, path)
    images = {f"images/{folder}/{file.name}": file for folder, files in found.images.items() for file in files}
    remarks = [f"{len(found.empty_rows)} images without keypoints left out: not labelled, or no animal?"] if found.empty_rows else []
    remarks += [f"left out: {sentence}" for sentence in found.outside]
    wanted = {f"videos/{file.name}": file for file in found.videos if file.stem not in found.images} if videos else {}
    same_name = [file.name for file in found.videos if file.stem in found.images] if videos else []
    remarks += [f"video {name} not added: its labelled images are already a source of that name" for name in same_name]
    if not videos and found.videos:
        remarks.append(f"{len(found.videos)} videos not added; --videos brings them")
    numbers = {f"images/{folder}/{name}": number for folder, named in found.numbers.items() for name, number in named.items()}
    done = _merge(project, found.frames, images | wanted, remarks, numbers=numbers, dry_run=dry_run)
    if write_skeleton and fits:
        remarks.append("skeleton.yaml left as it is: it has these body parts")
    elif write_skeleton and not dry_run:
        _write_skeleton(project, found.skeleton)
    return done


def import_behavtrack(
    project: "Project",
    path: Path,
    reading: Any = None,
    *,
    pattern: str = VIDEO_PATTERN,
    video: str = "",
    copy_images: bool = False,
    dry_run: bool = False,
) -> Imported:
    """An annotation.json (``reading``: ``io.behavtrack.Reading``); the tracked variant needs the id of its video.

    Raises:
        FaultsError: faulty entries, or names that do not tell video and frame; nothing is changed.
    """
    from etholoop.errors import EthoLoopError
    from etholoop.io import behavtrack
    from etholoop.io.vocabulary import read_skeleton

    path = path / "annotation.json" if path.is_dir() else path
    skeleton = read_skeleton(project.skeleton)
    if behavtrack.is_tracked(path):
        if not video:
            raise EthoLoopError(f"{path}: labels by frame number and id, which say nothing of their video. Give its id with --video.")
        found = behavtrack.read_tracked(path, skeleton, video, reading)
        return _merge(project, found.frames, {}, _left_out(found.left_out), dry_run=dry_run)
    names = _names(pattern)
    found = behavtrack.read(path, skeleton, lambda name: _uid(names(name)), reading)
    images = [path.parent / name for name in behavtrack.image_names(path)] if copy_images else []
    targets, numbers = _image_targets(images, names)
    return _merge(project, found.frames, targets, _left_out(found.left_out), numbers=numbers, dry_run=dry_run)


def import_yolo(
    project: "Project",
    path: Path,
    annotator: str = "yolo",
    *,
    pattern: str = VIDEO_PATTERN,
    copy_images: bool = False,
    thresholds: tuple[float, float] | None = None,
    dry_run: bool = False,
) -> Imported:
    """A folder of YOLO label files; ``thresholds`` (visible above, least box confidence) for prediction text.

    Predictions are marked in their annotator, so that labels of people always come before them.

    Raises:
        FaultsError: faulty lines, labels without an image, names that do not tell video and frame; nothing is changed.
    """
    from etholoop.core.labels import PREDICTED
    from etholoop.errors import EthoLoopError, FaultsError
    from etholoop.io.vocabulary import read_skeleton

    if not path.is_dir():
        raise EthoLoopError(f"{path}: {'a file' if path.exists() else 'not found'}. Give the folder that holds the label files.")
    files = [file for file in sorted(path.glob("*.txt")) if file.stem not in ("classes", "README")]
    if not files:
        raise EthoLoopError(f"{path}: no .txt files here. Give the folder that holds the label files.")
    skeleton, names = read_skeleton(project.skeleton), _names(pattern)
    annotator = annotator if thresholds is None else f"{PREDICTED}{annotator}"
    frames, faults, dropped = [], [], Counter[str]()
    images: list[Path] = []
    extents = _extents(project)
    for file in files:
        uid, image = _uid(names(file.name)), _image_of(file)
        size = _size_of(image, uid, extents)
        if uid is None or size is None or (copy_images and image is None):
            faults.append(f"{file}: {'the name does not tell video and frame' if uid is None else NO_IMAGE}")
            continue
        try:
            instances = _yolo_instances(file, size, skeleton, thresholds, dropped)
        except FaultsError as error:
            faults += error.faults
            continue
        images += [image] if image and copy_images else []
        status = "animals" if instances else "no_animal"
        frames.append({"uid": uid, "annotator": annotator, "status": status, "note": "", "instances": instances})
    if faults:
        raise FaultsError(str(path), faults, "Nothing was imported. Correct these files, or give a --video-pattern that fits.")
    remarks = [f"dropped: {count} {what}" for what, count in sorted(dropped.items())]
    targets, numbers = _image_targets(images, names)
    return _merge(project, frames, targets, remarks, numbers=numbers, dry_run=dry_run)


NO_IMAGE = "no image of this name, and no source of this name in the manifest; one of them must tell the size in pixels"


def _size_of(image: Path | None, uid: str | None, extents: Mapping[str, "Extent"]) -> tuple[int, int] | None:
    """Width and height of a labelled frame: of its image, or else of its source."""
    from etholoop.io import images

    if image:
        height, width = images.read_rgb(image).shape[:2]
        return width, height
    extent = extents.get(uid.split(":")[0]) if uid else None
    return (extent.width, extent.height) if extent else None


def _yolo_instances(
    file: Path, size: tuple[int, int], skeleton: "Skeleton", thresholds: tuple[float, float] | None, dropped: Counter[str]
) -> list[Record]:
    from etholoop.io import behavtrack, yolo_pose

    width, height = size
    if thresholds is None:
        return yolo_pose.read(file, width, height, skeleton)
    text, where = file.read_text(encoding="utf-8"), str(file)
    found = behavtrack.predictions(
        text, skeleton.keypoint_names, width, height, visible_above=thresholds[0], min_confidence=thresholds[1], where=where
    )
    dropped.update(found.dropped)
    return behavtrack.instances_of(found, skeleton.species[0])


def _merge(
    project: "Project",
    frames: list[Record],
    files: Mapping[str, Path],
    remarks: list[str],
    *,
    numbers: Mapping[str, int] | None = None,
    dry_run: bool,
) -> Imported:
    """Bring files below ``data/raw``, merge records into the snapshot, version both; all checks come before the first change.

    Args:
        files: images and videos that come along, by their place below ``data/raw``; ``numbers`` are those the images must get.
    """
    from etholoop.commands.videos import known_numbers
    from etholoop.errors import FaultsError
    from etholoop.io import image_numbers, incoming, snapshot
    from etholoop.services import dvc

    raw = project / "data/raw"
    merged, changes = snapshot.merge(snapshot.read_or_empty(project.snapshot), snapshot.Snapshot(frames))
    there, faults = incoming.already_there(raw, files)
    lists, unnumbered = incoming.image_lists(raw, files, numbers, known_numbers(project))
    faults += incoming.id_faults(raw, files) + unnumbered + _untrue(project, frames, files)
    if faults:
        raise FaultsError("etholoop labels import", faults, "Nothing was imported.")
    new = {target: source for target, source in files.items() if target not in there}
    if not dry_run:
        incoming.bring(raw, new)
        for folder, content in lists.items():
            image_numbers.write_list(folder, content)
        # all of them, not only new ones: an import that was killed may have copied files without versioning them
        for kind in sorted({target.split("/", 1)[0] for target in files}):
            dvc.add(project, project / "data/raw" / kind)
        if changes or not project.snapshot.exists():
            snapshot.write(merged, project.snapshot)
        dvc.add(project, project.snapshot)
    return Imported(changes, sorted(new), remarks)


def _untrue(project: "Project", frames: Sequence[Record], files: Mapping[str, Path]) -> list[str]:
    """Labels of sources that are not there and do not come along, and labels that cannot be true of a source that was looked at."""
    from etholoop import params
    from etholoop.core import labels
    from etholoop.core.naming import source_id
    from etholoop.io import incoming, raw
    from etholoop.io.vocabulary import read_skeleton
    from etholoop.stages.annotations import Params

    coming = {source_id(path.split("/", 1)[1], is_folder=path.startswith("images/")) for path in map(incoming.source_path, files)}
    known = coming | {candidate.video_id for candidate in raw.scan(project / "data/raw")[0]}
    videos = Counter(record["uid"].split(":")[0] for record in frames)
    lost = {video: count for video, count in sorted(videos.items()) if video not in known}
    faults = [f"{count} labelled frames of '{video}', but there is no such source; {_hint(video, known)}" for video, count in lost.items()]
    clip = params.load(project.params, "annotations", Params).out_of_frame == "clip"
    extents = {video: extent for video, extent in _extents(project).items() if video not in coming}
    checked = [record for record in frames if record["uid"].split(":")[0] in extents]
    skeleton = read_skeleton(project.skeleton)
    return faults + [fault for record in checked for fault in labels.frame_faults(record, skeleton, extents, clip=clip)]


def _hint(video: str, known: set[str]) -> str:
    """What may have been meant, or what to do."""
    from etholoop.params import nearest

    words = nearest(video, sorted(known))
    add = "`etholoop videos add PATH` first, or --copy-images where the labels have their images"
    return words if words.startswith("did you mean") else add


def _extents(project: "Project") -> dict[str, "Extent"]:
    """Size and frames of the sources of the manifest; none before the first `etholoop repro`."""
    from etholoop.io import tables
    from etholoop.schema.videos import Images, Videos
    from etholoop.stages.annotations import extents_of

    videos, images = project.manifest / "videos.parquet", project.manifest / "images.parquet"
    if not videos.is_file():
        return {}
    return extents_of(tables.read(videos, Videos), tables.read(images, Images) if images.is_file() else tables.empty(Images))


def _tell(done: Imported, dry_run: bool) -> None:
    changes = done.changes
    would = "would be " if dry_run else ""
    typer.echo(f"labelled frames: {len(changes.new)} {would}new, {len(changes.changed)} {would}changed, {len(changes.unchanged)} as before")
    if done.new_files:
        typer.echo(f"{len(done.new_files)} files {'would be ' if dry_run else ''}added to data/raw")
    for remark in done.remarks[:20]:
        typer.echo(remark)
    if len(done.remarks) > 20:
        typer.echo(f"… and {len(done.remarks) - 20} more remarks")
    if changes and not dry_run:
        typer.echo("next: `etholoop repro`")


# --- skeleton ----------------------------------------------------------------------------------------------------------------------


def _species(project: "Project", given: str, *, new_skeleton: bool = False) -> str:
    """The class of imported animals: as given, or the only one of skeleton.yaml."""
    from etholoop.errors import EthoLoopError
    from etholoop.io.vocabulary import read_skeleton
    from etholoop.params import nearest

    known = list(read_skeleton(project.skeleton).species)
    if given and (given in known or new_skeleton):
        return given
    if given:
        raise EthoLoopError(f"--species '{given}' is not in {project.skeleton}; {nearest(given, known)}")
    if len(known) == 1:
        return known[0]
    raise EthoLoopError(f"{project.skeleton} names several classes ({', '.join(known)}). Say which one with --species.")


def _skeleton_faults(project: "Project", content: dict[str, Any]) -> list[str]:
    """Body parts and classes that skeleton.yaml lacks. What only skeleton.yaml has is just missing in the imported labels."""
    from etholoop.io.vocabulary import read_skeleton
    from etholoop.params import nearest

    skeleton = read_skeleton(project.skeleton)
    known = list(skeleton.keypoint_names)
    faults = [f"keypoint '{name}' is not in skeleton.yaml; {nearest(name, known)}" for name in content["keypoints"] if name not in known]
    return faults + [f"class '{name}' is not in skeleton.yaml" for name in content["species"] if name not in skeleton.species]


def _refuse_skeleton(project: "Project", content: dict[str, Any], path: Path) -> None:
    from etholoop.errors import FaultsError
    from etholoop.io.vocabulary import read_skeleton

    missing = [name for name in read_skeleton(project.skeleton).keypoint_names if name not in content["keypoints"]]
    faults = _skeleton_faults(project, content) + [f"keypoint '{name}' of skeleton.yaml is not in the project" for name in missing]
    remedy = "Nothing was imported. --write-skeleton replaces skeleton.yaml by the project's body parts (then look at its sigmas)."
    raise FaultsError(f"{path} and {project.skeleton}", faults, remedy)


def _write_skeleton(project: "Project", content: dict[str, Any]) -> None:
    import yaml

    from etholoop.io import atomic
    from etholoop.schema.skeleton import DEFAULT_SIGMA, skeleton_from

    skeleton_from(content, "the imported body parts")
    keypoints = [{"name": name, "sigma": DEFAULT_SIGMA} for name in content["keypoints"]]
    comment = (
        "# Body parts of an imported DeepLabCut project. Left-right pairs were found by name: check them.\n"
        f"# Sigma {DEFAULT_SIGMA} is a middle value; smaller for sharp points, larger for soft ones (docs: COCO's sigmas).\n"
    )
    text = yaml.safe_dump(content | {"keypoints": keypoints}, sort_keys=False, allow_unicode=True, default_flow_style=None)
    atomic.write_text(project.skeleton, comment + text)


# --- names -------------------------------------------------------------------------------------------------------------------------


def _names(pattern: str) -> Callable[[str], tuple[str, int] | None]:
    """Function from an image's name to video name and frame; None where the pattern does not fit.

    Raises:
        EthoLoopError: not a regular expression with the groups video and frame.
    """
    from etholoop.errors import EthoLoopError

    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise EthoLoopError(f"--video-pattern '{pattern}' is not a regular expression ({error}).") from None
    if not {"video", "frame"} <= set(compiled.groupindex):
        raise EthoLoopError(f"--video-pattern '{pattern}' needs the groups (?P<video>…) and (?P<frame>…).")

    def split(name: str) -> tuple[str, int] | None:
        match = compiled.fullmatch(Path(name).stem)
        return (match["video"], int(match["frame"])) if match and match["frame"].isdecimal() else None

    return split


def _uid(place: tuple[str, int] | None) -> str | None:
    from etholoop.core.naming import source_id
    from etholoop.schema.columns import frame_uid

    return frame_uid(source_id(place[0], is_folder=True), place[1]) if place else None


def _image_targets(images: Iterable[Path], names: Callable[[str], tuple[str, int] | None]) -> tuple[dict[str, Path], dict[str, int]]:
    """Where images go below ``data/raw``, one folder per video name, and the number that each must get there.

    Raises:
        FaultsError: images that are not there.
    """
    from etholoop.errors import FaultsError

    targets, numbers, faults = {}, {}, []
    for image in images:
        place = names(image.name)
        if not image.is_file():
            faults.append(f"{image}: labelled, but the image is not there")
        elif place:
            target = f"images/{place[0]}/{image.name}"
            targets[target], numbers[target] = image, place[1]
    if faults:
        raise FaultsError("images", faults, "Nothing was imported. Without --copy-images the labels go to the video that has this name.")
    return targets, numbers


def _image_of(label: Path) -> Path | None:
    """The image of a YOLO label file: beside it, or in the folder tree where ``labels`` is ``images``."""
    from etholoop.io.images import SUFFIXES

    folders = [label.parent]
    if "labels" in label.parts:
        last = len(label.parts) - 1 - label.parts[::-1].index("labels")
        folders.append(Path(*label.parts[:last], "images", *label.parts[last + 1 : -1]))
    candidates = [folder / f"{label.stem}{suffix}" for folder in folders for suffix in SUFFIXES]
    return next((path for path in candidates if path.is_file()), None)


def _left_out(reasons: Mapping[str, str]) -> list[str]:
    return [f"left out: {name}: {reason}" for name, reason in reasons.items()]


# --- exports -----------------------------------------------------------------------------------------------------------------------


def export_behavtrack(project: "Project", path: Path) -> int:
    """Write the labels of all frames (one annotator each, see ``annotations.prefer``); the number of images."""
    from etholoop.io import behavtrack
    from etholoop.io.vocabulary import read_skeleton

    skeleton = read_skeleton(project.skeleton)
    content: dict[str, list[Record]] = {}
    for record in _chosen(project):
        video, frame = record["uid"].split(":")
        content[f"{video}_frame_{int(frame)}.jpg"] = behavtrack.annotations_of(record, skeleton)
    behavtrack.write(path, content)
    return len(content)


def export_yolo(project: "Project", folder: Path) -> int:
    """Write one label file per frame (one annotator each, see ``annotations.prefer``); the number of files.

    Raises:
        FaultsError: labels of sources that the manifest does not have, whose size is not known; nothing is written.
    """
    from etholoop.errors import FaultsError
    from etholoop.io import atomic, yolo_pose
    from etholoop.io.vocabulary import read_skeleton

    sizes = {video: (extent.width, extent.height) for video, extent in _extents(project).items()}
    skeleton, chosen = read_skeleton(project.skeleton), _chosen(project)
    unknown = {record["uid"].split(":")[0] for record in chosen} - sizes.keys()
    faults = [f"no source '{video}' in the manifest" for video in sorted(unknown)]
    if faults:
        raise FaultsError("etholoop labels export yolo", faults, "Nothing was written. Run `etholoop repro`, or add these sources.")
    for record in chosen:
        video, frame = record["uid"].split(":")
        lines = yolo_pose.lines_of(record["instances"], skeleton, *sizes[video])
        atomic.write_text(folder / f"{video}_{frame}.txt", "".join(f"{line}\n" for line in lines))
    return len(chosen)


def _chosen(project: "Project") -> list[Record]:
    """One record per usable frame.

    Raises:
        EthoLoopError: there is none.
    """
    from etholoop import params
    from etholoop.core import labels
    from etholoop.errors import EthoLoopError
    from etholoop.io import snapshot
    from etholoop.stages.annotations import Params

    prefer = params.load(project.params, "annotations", Params).prefer
    chosen, _ = labels.one_per_frame(snapshot.read_or_empty(project.snapshot).frames, prefer)
    usable = [record for record in chosen if record["status"] != "unusable"]
    if not usable:
        raise EthoLoopError(f"there are no labels to write{' (all are unusable frames)' if chosen else ''}; `etholoop labels show`.")
    return usable


# --- show --------------------------------------------------------------------------------------------------------------------------


def listing(project: "Project") -> list[str]:
    """Lines of a table of labelled frames, animals and bouts by split, source and annotator."""
    from etholoop.io import snapshot

    given = snapshot.read_or_empty(project.snapshot)
    if not given.frames and not given.behaviours:
        return ["no labels yet; `etholoop labels import …` brings some"]
    split_of = _splits(project)
    rows: dict[tuple[str, str, str], Counter[str]] = {}
    for record in given.frames:
        video = record["uid"].split(":")[0]
        counts = rows.setdefault((split_of(record["uid"]), video, record["annotator"]), Counter())
        counts.update({"frames": 1, "animals": len(record["instances"]), record["status"]: 1})
    for record in given.behaviours:
        counts = rows.setdefault(("", record["video"], record["annotator"]), Counter())
        counts.update({"bouts": len(record["bouts"])})
    header = ("split", "source", "annotator", "frames", "animals", "no_animal", "unusable", "bouts")
    table = [header, *((*key, *(str(counts[name]) for name in header[3:])) for key, counts in sorted(rows.items()))]
    widths = [max(len(row[place]) for row in table) for place in range(len(header))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]


def _splits(project: "Project") -> Callable[[str], str]:
    """Split of a frame uid; '?' where there is none yet."""
    from etholoop.io import tables
    from etholoop.schema.columns import parse_frame_uid
    from etholoop.schema.splits import Splits

    intervals: dict[str, list[tuple[int, int, str]]] = {}
    if project.splits.is_file():
        for row in tables.read(project.splits, Splits).to_dict("records"):
            intervals.setdefault(row["video_id"], []).append((row["start_frame"], row["stop_frame"], row["split"]))

    def split(uid: str) -> str:
        video, frame = parse_frame_uid(uid)
        return next((name for start, stop, name in intervals.get(video, []) if start <= frame < stop), "?")

    return split
