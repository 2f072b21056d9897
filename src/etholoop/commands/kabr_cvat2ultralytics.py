"""``etholoop kabr cvat2ultralytics``: annotated videos → a training set of boxes for YOLO detectors."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from etholoop.commands._help import examples
from etholoop.commands._kabr_group import kabr_group

if TYPE_CHECKING:
    import numpy as np

    from etholoop.io.cvat import Annotations

EXAMPLES = examples(
    "etholoop kabr cvat2ultralytics --video videos --annotation annotations --dataset zebras --label2index label2index.json",
    "etholoop kabr cvat2ultralytics --video videos --annotation annotations --dataset zebras --skip 30 --split_by video",
    "",
    "Sessions (the folders of the videos) stay whole, in train, val or test; neighbouring frames are never on two sides.",
    "Train with: yolo detect train data=zebras/zebras.yaml model=yolo11s.pt imgsz=1536",
)

ONE_CLASS = "Animal"


def register(app: typer.Typer) -> None:
    kabr_group(app).command("cvat2ultralytics", short_help="Annotated videos to a YOLO training set.", epilog=EXAMPLES)(command)


def command(  # noqa: PLR0917
    video: Path = typer.Option(..., "--video", help="Folder of videos (or one video)."),
    annotation: Path = typer.Option(..., "--annotation", help="Folder of CVAT 1.1 XML files with the same relative paths (or one file)."),
    dataset: Path = typer.Option(..., "--dataset", help="Folder of the data set to make."),
    skip: int = typer.Option(10, "--skip", min=1, help="Every so many frames one is taken."),
    label2index: Path = typer.Option(None, "--label2index", help='JSON with class numbers: {"Zebra": 0, …}; without it all are one class.'),
    split_by: str = typer.Option("session", "--split_by", help="What stays whole: session (the video's folder) or video."),
    val: float = typer.Option(0.07, "--val", min=0, max=1, help="Share of sessions for validation, about."),
    test: float = typer.Option(0.13, "--test", min=0, max=1, help="Share of sessions for the test, about."),
    seed: int = typer.Option(0, "--seed", min=0, help="Another seed gives another split."),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace the folder of the data set if it is there."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Only say how the sessions would be split."),
) -> None:
    """Write images, label files and the YAML file that Ultralytics wants."""
    from etholoop.errors import EthoLoopError

    if dataset.exists() and not overwrite and not dry_run:
        raise EthoLoopError(f"{dataset} is there already; --overwrite replaces it. Nothing was written or removed.")
    classes = Classes.read(label2index)
    sources = find(video, annotation, classes, skip)
    assign_splits(sources, split_by, test=test, val=val, seed=seed)
    for source in sources:
        typer.echo(f"{source.split:<6}{source.name}: {len(source.frames)} images{f' ({source.note})' if source.note else ''}")
    if not dry_run:
        for line in make(dataset, sources, classes):
            typer.echo(line)


@dataclass
class Classes:
    """Class numbers by label; None: all labels are one class."""

    numbers: dict[str, int] | None
    seen: Counter[str] = field(default_factory=Counter)

    @classmethod
    def read(cls, path: Path | None) -> "Classes":
        """From a JSON file.

        Raises:
            EthoLoopError: numbers that do not begin at 0 or leave one out.
        """
        import json

        from etholoop.errors import EthoLoopError

        if path is None:
            return cls(None)
        try:
            content = json.loads(path.read_text(encoding="utf-8-sig"))
        except FileNotFoundError:
            raise EthoLoopError(f"{path}: file not found.") from None
        except json.JSONDecodeError as error:
            raise EthoLoopError(f"{path}: not readable as JSON ({error}).") from None
        numbers = set(content.values()) if isinstance(content, dict) else set()
        if not numbers or any(type(number) is not int for number in numbers) or numbers != set(range(len(numbers))):
            raise EthoLoopError(f'{path}: expected labels with numbers 0, 1, 2, … without a gap, like {{"Zebra": 0}}, found {content!r}.')
        return cls(content)

    def number(self, label: str) -> int | None:
        """Class number of a label, capitals aside; None: the label is in no table."""
        if self.numbers is None:
            return 0
        if label in self.numbers:
            return self.numbers[label]
        same = {number for name, number in self.numbers.items() if name.casefold() == label.strip().casefold()}
        return same.pop() if len(same) == 1 else None

    def names(self) -> list[str]:
        """Name of each class: of several labels with one number the one with the most boxes, of equals the first."""
        if self.numbers is None:
            return [ONE_CLASS]
        known = list(self.numbers)
        return [
            max((name for name in known if self.numbers[name] == number), key=lambda name: (self.seen[name.casefold()], -known.index(name)))
            for number in range(len(set(self.numbers.values())))
        ]


@dataclass
class Source:
    """One video: ``frames`` to take, with classes and boxes. ``name`` is unique over all videos."""

    video: Path
    name: str
    session: str
    frames: dict[int, tuple[list[int], Any]] = field(default_factory=dict)
    split: str = ""
    note: str = ""


def find(video: Path, annotation: Path, classes: Classes, skip: int) -> list[Source]:
    """All annotated videos with the frames to take.

    Raises:
        FaultsError: videos that are missing, annotations that do not fit theirs, labels without a class.
    """
    from etholoop.commands.kabr_tracks_extractor import pairs_of
    from etholoop.errors import FaultsError

    pairs, faults = pairs_of(video, annotation)
    if faults:
        raise FaultsError("etholoop kabr cvat2ultralytics", faults, "Nothing was written.")
    top = video if video.is_dir() else video.parent
    sources, unknown = [], Counter[str]()
    for path, xml in pairs:
        below = path.relative_to(top)
        # the whole path is in the name: DJI_0001 comes in every session
        name = "_".join(below.with_suffix("").parts)
        source = Source(path, name, below.parent.as_posix() if below.parent.parts else path.resolve().parent.name)
        unknown += read_frames(source, xml, classes, skip)
        sources.append(source)
    names = [source.name for source in sources]
    faults = [f"two videos would get the name {name}" for name in sorted({name for name in names if names.count(name) > 1})]
    faults += [f"label '{label}' has no number in --label2index: {n} boxes" for label, n in sorted(unknown.items())]
    if faults:
        raise FaultsError("etholoop kabr cvat2ultralytics", faults, "Nothing was written.")
    return sources


def read_frames(source: Source, xml: Path, classes: Classes, skip: int) -> Counter[str]:
    """Fill in the frames of one video: every ``skip``-th from its first to its last annotated one, also without animals in view.

    After the last keyframe of a track CVAT goes on showing its last box, unless it was marked outside; nobody looked at those boxes. Frames
    with such a box are left out, because the animal may be anywhere in them.

    Returns:
        Boxes of labels without a class.
    """
    import numpy as np

    from etholoop.commands.kabr_tracks_extractor import Job, check_fits
    from etholoop.io import cvat
    from etholoop.io.video import probe

    annotations = cvat.read(xml)
    info, index = probe(source.video)
    check_fits(Job(source.video, xml, Path()), annotations, info)
    shapes = [(track.label, shape) for track in annotations.tracks for shape in track.shapes if shape.kind == cvat.BOX]
    if not shapes:
        source.note = "nothing is annotated"
        return Counter()
    unknown: Counter[str] = Counter()
    held = held_frames(annotations)
    first, last = min(shape.frame for _, shape in shapes), max(shape.frame for _, shape in shapes)
    found: dict[int, list[tuple[int, tuple[float, ...]]]] = {
        frame: [] for frame in range(first, min(last + 1, info.n_frames)) if frame % skip == 0 and frame not in held and index.usable[frame]
    }
    if held:
        source.note = f"{len(held)} frames left out, in which some box was only held after its last keyframe"
    for label, shape in shapes:
        if shape.outside or shape.frame not in found:
            continue
        number = classes.number(label)
        box = inside(cvat.upright(shape), info.width, info.height)
        if number is None:
            unknown[label] += 1
        elif box is not None:
            classes.seen[label.strip().casefold()] += 1
            found[shape.frame].append((number, box))
    source.frames = {
        frame: ([number for number, _ in own], np.array([box for _, box in own]).reshape(-1, 4)) for frame, own in found.items()
    }
    return unknown


def held_frames(annotations: "Annotations") -> set[int]:
    """Frames in which a track only goes on showing the last box that a person set.

    Where the boxes after the last keyframe move, another program made them (kabr-tools' own example is of this kind), and they count.
    """
    found: set[int] = set()
    for track in annotations.tracks:
        last = next((shape for shape in reversed(track.shapes) if shape.keyframe), None)
        rest = [shape for shape in track.shapes if last and shape.frame > last.frame and not shape.outside]
        if last and all(shape.coordinates == last.coordinates for shape in rest):
            found |= {shape.frame for shape in rest}
    return found


def inside(box: tuple[float, ...], width: int, height: int) -> tuple[float, ...] | None:
    """The part of a box that lies in the picture; None: there is none."""
    left, top, right, bottom = max(box[0], 0.0), max(box[1], 0.0), min(box[2], float(width)), min(box[3], float(height))
    return (left, top, right, bottom) if right > left and bottom > top else None


def assign_splits(sources: list[Source], by: str, *, test: float, val: float, seed: int) -> None:
    """Give every video its part by a stable hash of its session's name, so that a new session moves no other one.

    Raises:
        EthoLoopError: train or val would be empty; the message names a seed with which they are not, if there is one.
    """
    from etholoop.core.splits import split_of_group
    from etholoop.errors import EthoLoopError

    if by not in ("session", "video"):
        raise EthoLoopError(f"--split_by {by}: expected session or video.")
    used = [source for source in sources if source.frames]
    groups = sorted({source.session if by == "session" else source.name for source in used})
    needed = {"train"} | ({"val"} if val else set()) | ({"test"} if test else set())

    def parts(number: int) -> dict[str, str]:
        return {group: split_of_group(group, number, test, val) for group in groups}

    if not needed <= set(parts(seed).values()):
        other = next((number for number in range(1000) if needed <= set(parts(number).values())), None)
        missing = ", ".join(sorted(needed - set(parts(seed).values())))
        remedy = f"there are {len(groups)} in all; use --split_by video, or --test 0"
        if other is not None:
            remedy = f"--seed {other} gives some to each"
        raise EthoLoopError(f"with --seed {seed} no {by} falls to {missing}: {remedy}. Nothing was written.")
    for source in sources:
        source.split = parts(seed).get(source.session if by == "session" else source.name, "-")


def make(dataset: Path, sources: list[Source], classes: Classes) -> list[str]:
    """Write the data set, all or nothing."""
    import yaml

    from etholoop.io import atomic

    counts: Counter[str] = Counter()
    with atomic.new_folder(dataset) as new:
        for source, frame, image in _progress(sources):
            write_one(new, source, frame, image)
            counts[source.split] += 1
        names = dict(enumerate(classes.names()))
        content = {"path": str(dataset.resolve()), "train": "images/train", "val": "images/val"}
        content |= {"test": "images/test"} if counts["test"] else {}
        content |= {"nc": len(names), "names": names}  # type: ignore[dict-item]
        (new / f"{dataset.name}.yaml").write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return [f"{dataset}: " + ", ".join(f"{counts[part]} {part}" for part in ("train", "val", "test")) + f" images, {len(names)} classes"]


def write_one(folder: Path, source: Source, frame: int, image: "np.ndarray") -> None:
    """One image with its label file; a file without lines says that no animal is in view."""
    import cv2
    import numpy as np

    from etholoop.errors import EthoLoopError
    from etholoop.io import yolo_pose

    images, labels = folder / "images" / source.split, folder / "labels" / source.split
    images.mkdir(parents=True, exist_ok=True)
    labels.mkdir(parents=True, exist_ok=True)
    name = f"{source.name}_{frame}"
    if not cv2.imwrite(str(images / f"{name}.jpg"), image[..., ::-1]):
        raise EthoLoopError(f"{images / name}.jpg: could not be written.")
    numbers, boxes = source.frames[frame]
    lines = yolo_pose.lines(boxes, numbers, np.zeros((len(boxes), 0, 3)), image.shape[1], image.shape[0])
    (labels / f"{name}.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _progress(sources: list[Source]) -> "Iterator[tuple[Source, int, np.ndarray]]":
    from tqdm import tqdm

    from etholoop.io.video import VideoReader

    with tqdm(total=sum(len(source.frames) for source in sources), desc="images", unit="image", disable=None) as bar:
        for source in sources:
            if source.frames:
                with VideoReader(source.video) as reader:
                    for frame, image in reader.read(sorted(source.frames)):
                        yield source, frame, image
                        bar.update()
