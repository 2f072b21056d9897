"""``etholoop kabr detector2cvat``: videos → the tracks of their animals as CVAT files, to be corrected by people."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from etholoop.commands._help import examples
from etholoop.commands._kabr_group import IMSHOW_HELP, kabr_group

if TYPE_CHECKING:
    import numpy as np

    from etholoop.core.tracking.detections import DetectionFrames
    from etholoop.io.cvat import Annotations, Meta
    from etholoop.io.video import VideoInfo

EXAMPLES = examples(
    "etholoop kabr detector2cvat --video videos --save annotations --yolo yolov8x.pt",
    "etholoop kabr detector2cvat --video videos --save annotations --yolo models/pose/best.pt --imgsz 1280",
    "etholoop kabr detector2cvat --video videos --save annotations --yolo yolov8x.pt --target_labels labels.json --label_map map.json",
    "etholoop kabr detector2cvat --video videos --save annotations --yolo yolov8x.pt --compat   as kabr-tools does it, faults included",
    "",
    "Each video gets <save>/<grandparent>/<parent>/<video>.xml (CVAT 1.1) and <video>_demo.mp4 at its own rate.",
    "--yolo takes any YOLO detect or pose checkpoint, of Ultralytics or of EthoLoop; it must be on this computer.",
)

TRACKER, COMPAT_TRACKER = "etholoop", "centroid_kalman"
LEAST_CONFIDENCE = 0.25
MOST_BOXES = 30_000
MOST_ANIMALS = 300
TRAIL_FRAMES = 20


def register(app: typer.Typer) -> None:
    kabr_group(app).command("detector2cvat", short_help="Detect and track the animals of videos, for CVAT.", epilog=EXAMPLES)(command)


def command(  # noqa: PLR0917
    video: Path = typer.Option(..., "--video", help="Folder of videos; folders and files whose names begin with ! are left out."),
    save: Path = typer.Option(..., "--save", help="Folder for the XML files and demo videos."),
    target_labels: Path = typer.Option(
        None, "--target_labels", help='JSON list of the labels that count; default ["zebra", "horse", "giraffe"].'
    ),
    label_map: Path = typer.Option(None, "--label_map", help='JSON with other names for labels; default {"horse": "zebra"}.'),
    yolo: Path = typer.Option(Path("yolov8x.pt"), "--yolo", help="Weights of the detector."),
    imshow: bool = typer.Option(False, "--imshow", help=IMSHOW_HELP),
    tracker: str = typer.Option(None, "--tracker", help=f"etholoop, bytetrack, …; default {TRACKER}, with --compat {COMPAT_TRACKER}."),
    tracker_settings: Path = typer.Option(None, "--tracker_settings", help="JSON with settings of the tracker."),
    imgsz: int = typer.Option(3840, "--imgsz", min=32, help="Long side in pixels that the detector sees."),
    confidence: float = typer.Option(0.5, "--confidence", min=0, max=1, help="Detections must be surer than this."),
    iou: float = typer.Option(0.5, "--iou", min=0, max=1, help="Two boxes that overlap more are one animal."),
    device: str = typer.Option("cpu", "--device", help="cpu, or cuda for a GPU."),
    demo: bool = typer.Option(True, "--demo/--no-demo", help="Write a video with the tracks drawn in."),
    compat: bool = typer.Option(
        False, "--compat", help="As kabr-tools: red and blue exchanged for the detector, its tracker, whole pixels, the last box hidden."
    ),
    overwrite: bool = typer.Option(False, "--overwrite", help="Make XML files anew that are there already."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Only list what would be made."),
) -> None:
    """Find the animals in every frame of every video, follow them, and write their tracks for CVAT."""
    if imshow:
        typer.echo(f"--imshow: {IMSHOW_HELP}", err=True)
    jobs, left_out = plan(video, save)
    for line in left_out:
        typer.echo(line, err=True)
    labels = Labels.read(target_labels, label_map)
    following = Following.of(tracker or (COMPAT_TRACKER if compat else TRACKER), tracker_settings, compat=compat)
    if dry_run:
        for job in jobs:
            typer.echo(f"{job.video} → {job.xml}")
        return
    todo = [job for job in jobs if overwrite or not job.xml.exists()]
    for job in jobs:
        if job not in todo:
            typer.echo(f"{job.xml} is there already and stays as it is; --overwrite makes it anew")
    if todo:
        look = Look.load(yolo, labels, device, imgsz=imgsz, confidence=confidence, iou=iou, swapped=compat)
        make_all(todo, look, following, demo=demo)


@dataclass(frozen=True)
class Job:
    """One video and the file to make of it."""

    video: Path
    xml: Path

    @property
    def demo(self) -> Path:
        return self.xml.with_name(f"{self.xml.stem}_demo.mp4")


def plan(video: Path, save: Path) -> tuple[list[Job], list[str]]:
    """Every video below the folder with its XML file, and lines about what was left out.

    Raises:
        EthoLoopError: no such folder, or no videos in it.
        FaultsError: two videos that would get one file.
    """
    from etholoop.errors import EthoLoopError, FaultsError
    from etholoop.io import raw

    if not video.is_dir():
        raise EthoLoopError(f"{video}: expected a folder of videos (--video), found {'a file' if video.exists() else 'nothing'}.")
    files = sorted(path for path in video.rglob("*") if path.is_file() and raw.is_video(path))
    asleep = [path for path in files if any(part.startswith("!") for part in path.relative_to(video).parts)]
    jobs = [Job(path, save.joinpath(*path.parts[-3:-1], f"{path.stem}.xml")) for path in files if path not in asleep]
    if not jobs:
        raise EthoLoopError(f"{video}: holds no videos" + (f" but {len(asleep)} whose names begin with !." if asleep else "."))
    owners: dict[Path, list[Path]] = {}
    for job in jobs:
        owners.setdefault(job.xml, []).append(job.video)
    faults = [f"{xml} would come from {' and from '.join(map(str, paths))}" for xml, paths in owners.items() if len(paths) > 1]
    if faults:
        raise FaultsError(str(video), faults, "Give them in parts, each with a --save folder of its own. Nothing was made.")
    return jobs, [f"left out, because its name begins with !: {path}" for path in asleep]


@dataclass(frozen=True)
class Labels:
    """Labels that count (None: nobody said) and their new names."""

    target: Sequence[str] | None
    names: Mapping[str, str] | None

    @classmethod
    def read(cls, target_labels: Path | None, label_map: Path | None) -> "Labels":
        """From the JSON files.

        Raises:
            EthoLoopError: a file that is missing, no JSON, or holds something else.
        """
        target = None if target_labels is None else _json(target_labels, list, 'a list of labels like ["zebra"]')
        names = None if label_map is None else _json(label_map, dict, 'names like {"horse": "zebra"}')
        return cls(target, names)

    def known_to(self, species: Sequence[str], where: Path) -> "Labels":
        """The labels of this detector. Where nobody chose, those of KABR, or all that a detector without any of those knows.

        Raises:
            EthoLoopError: a chosen label that the detector does not know.
        """
        from etholoop.core.tracking.kabr_detections import LABEL_MAP, TARGET_LABELS
        from etholoop.errors import EthoLoopError

        names = LABEL_MAP if self.names is None else self.names
        if self.target is None:
            return Labels([label for label in TARGET_LABELS if label in species] or list(species), names)
        strange = [label for label in self.target if label not in species]
        if strange:
            raise EthoLoopError(f"{where} knows no {', '.join(strange)}; it knows: {', '.join(species)}. Correct --target_labels.")
        return Labels(self.target, names)


def _json(path: Path, kind: type, expected: str) -> Any:
    import json

    from etholoop.errors import EthoLoopError

    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise EthoLoopError(f"{path}: file not found.") from None
    except ValueError as error:
        raise EthoLoopError(f"{path}: not readable as JSON ({error}).") from None
    if not isinstance(content, kind) or (isinstance(content, list) and not all(isinstance(label, str) for label in content)):
        raise EthoLoopError(f"{path}: expected {expected}, found {content!r}.")
    return content


@dataclass(frozen=True)
class Look:
    """The detector and what counts as found. ``swapped``: it is shown red for blue, as kabr-tools does.

    ``passed_over`` counts what did not count, by label, and as None what was not sure enough.
    """

    predictor: Any
    labels: Labels
    imgsz: int
    confidence: float
    iou: float
    swapped: bool
    passed_over: Counter[str | None] = field(default_factory=Counter)

    @classmethod
    def load(cls, weights: Path, labels: Labels, device: str, *, imgsz: int, confidence: float, iou: float, swapped: bool) -> "Look":
        from etholoop import registry, runtime

        runtime.prepare()
        predictor = registry.load("etholoop.modeling.detectors", "yolo").Predictor.load(weights, device)
        return cls(predictor, labels.known_to(predictor.species, weights), imgsz, confidence, iou, swapped)

    def at(self, image: "np.ndarray") -> tuple["np.ndarray", "np.ndarray", list[str]]:
        """Boxes (n, 4) in pixels, confidence and label of the animals in an RGB image, by falling confidence."""
        import numpy as np

        from etholoop.core.tracking.kabr_detections import kept, without_doubles

        shown = np.ascontiguousarray(image[..., ::-1]) if self.swapped else image
        least = min(LEAST_CONFIDENCE, self.confidence)
        found = self.predictor.predict([shown], confidence=least, iou=1.0, max_detections=MOST_BOXES, imgsz=self.imgsz)[0]
        sure = found.probabilities.max(axis=1, initial=0)
        rows = without_doubles(found.boxes, sure, self.iou)[:MOST_ANIMALS]
        names = [self.predictor.species[number] for number in found.probabilities[rows].argmax(axis=1)] if len(rows) else []
        target, others = self.labels.target or (), self.labels.names or {}
        good = kept(found.boxes[rows], sure[rows], names, target_labels=target, label_map=others, above=self.confidence)
        self.passed_over.update(
            None if label in target else label
            for row, label in enumerate(names)
            if row not in good.row and (label in target or sure[rows[row]] > self.confidence)
        )
        return found.boxes[rows[good.row]], sure[rows[good.row]], good.label

    def what_else(self) -> str:
        """What the detector saw that did not count, in words; for a video in which nothing counted."""
        others = ", ".join(f"{label} {n} ×" for label, n in self.passed_over.most_common(3) if label is not None)
        unsure = self.passed_over[None]
        seen = [f"other labels than {', '.join(self.labels.target or ())}: {others} (--target_labels)"] if others else []
        seen += [f"{unsure} not surer than {self.confidence:g} (--confidence)"] if unsure else []
        return f". The detector saw {'; '.join(seen)}" if seen else ". The detector saw nothing at all"


@dataclass(frozen=True)
class Following:
    """How detections become tracks. ``compat``: written as kabr-tools writes them."""

    name: str
    settings: Any
    compat: bool

    @classmethod
    def of(cls, name: str, settings: Path | None, *, compat: bool) -> "Following":
        """Checked settings of a tracker.

        Raises:
            EthoLoopError: no such tracker, or one that does not go with ``--compat``.
            FaultsError: faulty settings.
        """
        from etholoop.errors import EthoLoopError
        from etholoop.modeling.trackers import settings_of

        if compat and name != COMPAT_TRACKER:
            raise EthoLoopError(f"--compat writes what kabr-tools' own tracker finds, so it goes with --tracker {COMPAT_TRACKER} only.")
        given = {} if settings is None else _json(settings, dict, "settings of the tracker")
        return cls(name, settings_of(name, given, str(settings or "--tracker")), compat)

    def annotations(self, detections: "DetectionFrames", info: "VideoInfo", name: str) -> "Followed":
        """Tracks for CVAT, numbered from 1."""
        from etholoop.io.cvat import Meta

        meta = Meta("task", size=info.n_frames, width=info.width, height=info.height, source=name)
        return self._compat(detections, meta) if self.compat else self._ours(detections, meta, info.fps)

    def _ours(self, detections: "DetectionFrames", meta: "Meta", fps: Fraction | None) -> "Followed":
        from etholoop import registry
        from etholoop.io import cvat

        plugin = registry.load("etholoop.modeling.trackers", self.name)
        tracks = plugin.track(detections, self.settings, fps=float(fps or 30), width=meta.width, height=meta.height)
        tracks = tracks.assign(track=tracks["track"] + 1)
        sure = tracks[tracks["confidence"].notna()]
        confidence = dict(zip(zip(sure["track"], sure["frame"], strict=True), sure["confidence"], strict=True))
        return Followed(cvat.from_tracks(tracks, meta), confidence)

    def _compat(self, detections: "DetectionFrames", meta: "Meta") -> "Followed":
        import numpy as np

        from etholoop.core.tracking import centroid_kalman

        starts = np.searchsorted(detections.frame, np.arange(detections.n_frames + 1)).tolist()
        boxes = [detections.box[start:stop].astype(np.int64) for start, stop in pairwise(starts)]
        _, tracks = centroid_kalman.follow(boxes, centroid_kalman.Settings(**self.settings.model_dump()))
        labels = [detections.species[start:stop].tolist() for start, stop in pairwise(starts)]
        confidence = {
            (track.id, frame): float(detections.confidence[starts[frame] + row])
            for track in tracks
            for frame, row in enumerate(track.row, track.start_frame)
            if row >= 0
        }
        return Followed(compat_annotations(tracks, labels, meta), confidence)


@dataclass(frozen=True)
class Followed:
    """The tracks of a video, and the detector's confidence by (track, frame)."""

    annotations: "Annotations"
    confidence: Mapping[tuple[int, int], float]


def compat_annotations(tracks: Sequence[Any], labels: Sequence[Sequence[str]], meta: "Meta") -> "Annotations":
    """What kabr-tools writes: the label of the first detection, and the last entry of a track hidden if it has a box.

    Args:
        tracks: of :func:`etholoop.core.tracking.centroid_kalman.follow`.
        labels: of each detection of each frame.
    """
    from etholoop.io.cvat import Annotations, Shape, Track

    made = []
    for track in tracks:
        last = len(track.box) - 1
        shapes = tuple(
            Shape(track.start_frame + place, tuple(map(float, box)), outside=place == last, keyframe=not filled)
            for place, (box, filled) in enumerate(zip(track.box, track.filled, strict=True))
            if box is not None
        )
        first = next(place for place, row in enumerate(track.row) if row >= 0)
        made.append(Track(track.id, labels[track.start_frame + first][track.row[first]], shapes, "manual"))
    return Annotations(tuple(made), meta)


def make_all(jobs: Sequence[Job], look: Look, following: Following, *, demo: bool) -> None:
    """Make every video's files; one that fails does not stop the others.

    Raises:
        FaultsError: at the end, naming every video that failed.
    """
    from etholoop.errors import EthoLoopError, FaultsError

    faults = []
    for number, job in enumerate(jobs, 1):
        try:
            typer.echo(f"{number}/{len(jobs)} {make(job, look, following, demo=demo)}")
        except (EthoLoopError, OSError) as error:
            faults.append(f"{job.video}: {error}")
            typer.echo(f"{number}/{len(jobs)} {job.video}: failed", err=True)
    if faults:
        raise FaultsError("etholoop kabr detector2cvat", faults, f"{len(jobs) - len(faults)} of {len(jobs)} videos were done.")


def make(job: Job, look: Look, following: Following, *, demo: bool) -> str:
    """Make the files of one video; a line for people."""
    from etholoop.io import cvat
    from etholoop.io.video import VideoReader

    look.passed_over.clear()
    with VideoReader(job.video) as reader:
        info = reader.index.info
        detections = detect(_progress(reader.stream(), job, info.n_frames), look, info.n_frames)
        followed = following.annotations(detections, info, job.video.stem)
        job.xml.parent.mkdir(parents=True, exist_ok=True)
        if demo:
            write_demo(job, reader, followed)
        cvat.write(job.xml, followed.annotations)
    unseen = info.n_frames - len(detections.looked_at if detections.looked_at is not None else range(info.n_frames))
    note = f", {unseen} frames could not be decoded" if unseen else ""
    note += "" if detections.n else look.what_else()
    return f"{job.xml}: {len(followed.annotations.tracks)} tracks from {detections.n} detections in {info.n_frames} frames{note}"


def detect(images: Iterator[Any], look: Look, n_frames: int) -> "DetectionFrames":
    """The animals in every (frame, image) as the trackers want them; only numbers are kept."""
    import numpy as np

    from etholoop.core.tracking.detections import DetectionFrames

    frames, boxes, sure, labels, looked_at = [], [np.zeros((0, 4))], [np.zeros(0)], [], []
    for frame, image in images:
        box, confidence, label = look.at(image)
        looked_at.append(int(frame))
        frames += [int(frame)] * len(label)
        boxes.append(box)
        sure.append(confidence)
        labels += label
    frame_numbers = np.array(frames, np.int64)
    return DetectionFrames(
        frame=frame_numbers,
        box=np.concatenate(boxes).astype(np.float64),
        confidence=np.concatenate(sure).astype(np.float64),
        species=np.array(labels, dtype=object),
        instance=np.arange(len(frames)) - np.searchsorted(frame_numbers, frame_numbers),
        n_frames=n_frames,
        looked_at=np.array(looked_at, np.int64),
    )


def write_demo(job: Job, reader: Any, followed: Followed) -> None:
    """The video with trails, boxes, numbers, confidence and labels, at its own rate."""
    from etholoop.io._miniscene_drawing import KABR_COLOURS
    from etholoop.io.track_drawing import TrackPen
    from etholoop.io.video import write_video

    shown = by_frame(followed)
    pen = TrackPen(colours=KABR_COLOURS, trail=TRAIL_FRAMES)
    fps = Fraction(reader.index.info.fps or 30).limit_denominator(100_000)
    pictures = (
        pen.draw(image.copy(), frame, shown.get(frame, [])) for frame, image in _progress(reader.stream(), job, len(reader), "demo")
    )
    write_video(job.demo, pictures, fps)


def by_frame(followed: Followed) -> dict[int, list[Any]]:
    """What is drawn in each frame; the text is ``#number: confidence label``, without confidence where a box was interpolated."""
    import numpy as np

    from etholoop.io.track_drawing import Shown

    drawn: dict[int, list[Any]] = {}
    for track in followed.annotations.tracks:
        for shape in track.shapes:
            if shape.outside:
                continue
            sure = followed.confidence.get((track.id, shape.frame))
            text = f"#{track.id}: {'' if sure is None else f'{sure:.2f} '}{track.label}"
            drawn.setdefault(shape.frame, []).append(Shown(track.id, np.array(shape.coordinates), text, sure is not None))
    return drawn


def _progress(images: Any, job: Job, n_frames: int, what: str = "detect") -> Any:
    from tqdm import tqdm

    return tqdm(images, total=n_frames, desc=f"{job.video.name} {what}", unit="frame", disable=None)
