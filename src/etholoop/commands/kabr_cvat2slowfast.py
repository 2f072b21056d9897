"""``etholoop kabr cvat2slowfast``: mini-scenes and the behaviours marked in them → a data set that SlowFast can train on."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from etholoop.commands._help import examples
from etholoop.commands._kabr_group import kabr_group

if TYPE_CHECKING:
    from etholoop.io.charades import Clip
    from etholoop.io.cvat import Annotations

EXAMPLES = examples(
    "etholoop kabr cvat2slowfast --miniscene mini-scenes --dataset kabr --classes classes.json --old2new old2new.json",
    "etholoop kabr cvat2slowfast --miniscene mini-scenes --dataset kabr --classes classes.json --val_list val.txt --segment 90",
    "etholoop kabr cvat2slowfast --miniscene mini-scenes --dataset kabr --no_images   with the classes of the preset kabr",
    "",
    "Reads <mini-scene folder>/actions/<track>.xml beside <mini-scene folder>/<track>.mp4. Frames that are hidden, or whose",
    "behaviour is no class, end a clip: what was not adjacent in the video never becomes adjacent here. Everything left out is named.",
)

LEAST_FRAMES = 90


def register(app: typer.Typer) -> None:
    kabr_group(app).command("cvat2slowfast", short_help="Labelled mini-scenes to a training set.", epilog=EXAMPLES)(command)


def command(  # noqa: PLR0917
    miniscene: Path = typer.Option(..., "--miniscene", help="Folder with the mini-scene folders."),
    dataset: Path = typer.Option(..., "--dataset", help="Folder of the data set to make."),
    classes: Path = typer.Option(None, "--classes", help='JSON with class numbers: {"Walk": 0, …}; without it those of the preset kabr.'),
    old2new: Path = typer.Option(None, "--old2new", help='JSON that renames behaviours first: {"Walking": "Walk", …}.'),
    no_images: bool = typer.Option(False, "--no_images", help="Only write the tables."),
    least_frames: int = typer.Option(LEAST_FRAMES, "--least_frames", min=1, help="Mini-scenes with fewer labelled frames are left out."),
    least_run: int = typer.Option(16, "--least_run", min=1, help="Runs of adjacent frames shorter than this are left out."),
    drop_unmapped: bool = typer.Option(False, "--drop_unmapped", help="Leave out frames whose behaviour is in no table; else it stops."),
    val_list: Path = typer.Option(
        None, "--val_list", help="Text file with the val part, one a line: codes, or <folder>/<track>; makes train.csv and val.csv."
    ),
    segment: int = typer.Option(0, "--segment", min=0, help="Cut train.csv and val.csv into segments of so many frames; 0 = no."),
    attribute: str = typer.Option("", "--attribute", help="Attribute that holds the behaviour, where there are several."),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace the folder of the data set if it is there."),
    compat: bool = typer.Option(
        False, "--compat", help="As kabr-tools does: unusable frames are cut out of the middle, and the rest numbered through."
    ),
) -> None:
    """Write frames of labelled mini-scenes with their classes in the layout that SlowFast calls Charades."""
    from etholoop.errors import EthoLoopError

    if dataset.exists() and not overwrite:
        raise EthoLoopError(f"{dataset} is there already; --overwrite replaces it. Nothing was written.")
    rules = Rules.read(
        classes,
        old2new,
        least_frames=least_frames,
        least_run=1 if compat else least_run,
        drop_unmapped=drop_unmapped or compat,
        attribute=attribute,
        compat=compat,
    )
    scenes = find(miniscene, rules)
    made = make(dataset, scenes, rules, images=not no_images, val_list=val_list, segment=segment)
    for line in [*report(scenes, rules), *made]:
        typer.echo(line)


@dataclass(frozen=True)
class Rules:
    """What counts as labelled."""

    classes: dict[str, int]
    old2new: dict[str, str] | None
    least_frames: int = LEAST_FRAMES
    least_run: int = 16
    drop_unmapped: bool = False
    attribute: str = ""
    compat: bool = False

    @classmethod
    def read(cls, classes: Path | None, old2new: Path | None, **options: Any) -> "Rules":
        """From JSON files, or from the words of the preset ``kabr`` where no file is given.

        Raises:
            EthoLoopError: a file that cannot be used, or names to be replaced without classes.
        """
        from etholoop.errors import EthoLoopError
        from etholoop.io import charades

        if classes is None:
            if old2new is not None:
                raise EthoLoopError("--old2new without --classes: its new names are those of your own classes, so give both.")
            return cls(*preset_words(), **options)
        return cls(charades.read_classes(classes), charades.read_names(old2new) if old2new else None, **options)

    def is_known(self, behaviour: str) -> bool:
        """Whether the tables say something about it, if only that it is left out."""
        return behaviour in (self.classes if self.old2new is None else self.old2new)

    def class_of(self, behaviour: str) -> int | None:
        """Class number; None: the frame is left out."""
        new = behaviour if self.old2new is None else self.old2new.get(behaviour)
        return None if new is None else self.classes.get(new)


def preset_words() -> tuple[dict[str, int], dict[str, str]]:
    """Class numbers and new names of the preset ``kabr``; names that are no class stand for themselves, so they are left out and named.

    Raises:
        EthoLoopError: the preset is not there.
    """
    import json

    from etholoop.errors import EthoLoopError

    path = Path(__file__).resolve().parents[3] / "label_studio/presets/kabr/label_maps.json"
    if not path.is_file():
        raise EthoLoopError(f"{path}: file not found; say --classes and --old2new.")
    maps = json.loads(path.read_text(encoding="utf-8"))
    return maps["class_index"], maps["behaviours"] | {name: name for name in maps["behaviours_not_in_ethogram"]}


@dataclass
class Scene:
    """One mini-scene: ``frames``: (frame of the mini-scene, class) of all that can be used. ``why_not``: why it is left out."""

    folder: Path
    track: str
    label: str = ""
    frames: list[tuple[int, int]] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)
    short_runs: list[tuple[int, int]] = field(default_factory=list)
    why_not: str = ""

    @property
    def xml(self) -> Path:
        return self.folder / "actions" / f"{self.track}.xml"

    @property
    def video(self) -> Path:
        return self.folder / f"{self.track}.mp4"

    @property
    def name(self) -> str:
        return f"{self.folder.name}/{self.track}"

    def runs(self, rules: Rules) -> list[list[tuple[int, int]]]:
        """Stretches of adjacent frames; with ``compat`` everything as one."""
        if rules.compat:
            return [self.frames]
        runs: list[list[tuple[int, int]]] = []
        for place, (frame, number) in enumerate(self.frames):
            if place == 0 or frame != self.frames[place - 1][0] + 1:
                runs.append([])
            runs[-1].append((frame, number))
        return runs


def find(miniscene: Path, rules: Rules) -> list[Scene]:
    """All mini-scenes with a behaviour file, in natural order (scene_2 before scene_10), with what can be used of them.

    Raises:
        FaultsError: no mini-scenes, XML that cannot be read, behaviours that no table knows.
    """
    from etholoop.errors import FaultsError

    files = sorted(miniscene.glob("*/actions/*.xml"), key=lambda path: (natural(path.parent.parent.name), natural(path.stem)))
    if not files:
        raise FaultsError(str(miniscene), ["no <mini-scene folder>/actions/<track>.xml below it"], "Nothing was written.")
    scenes = [look(Scene(path.parent.parent, path.stem), rules) for path in files]
    if not rules.drop_unmapped:
        table = "--old2new" if rules.old2new is not None else "--classes"
        unknown: dict[str, list[str]] = {}
        for scene in scenes:
            for behaviour, n in sorted(scene.unknown.items()):
                unknown.setdefault(behaviour, []).append(f"{scene.name} ({n} frames)")
        faults = [f"'{behaviour}' is not in {table}: {', '.join(places)}" for behaviour, places in sorted(unknown.items())]
        if faults:
            remedy = "Add them to --old2new (a new name that is no class leaves them out), or say --drop_unmapped. Nothing was written."
            raise FaultsError("behaviours that no table knows", faults, remedy)
    return scenes


def natural(name: str) -> list[tuple[int, int, str]]:
    """Sorts numbers within names by their value."""
    import re

    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", name) if part]


def look(scene: Scene, rules: Rules) -> Scene:
    """Fill in what can be used of one mini-scene, and why it is left out if it is."""
    from etholoop.io import cvat

    if not scene.video.is_file():
        scene.why_not = "its video does not exist"
        return scene
    annotations = cvat.read(scene.xml)
    if not annotations.tracks:
        scene.why_not = "nothing is annotated"
        return scene
    scene.label = annotations.tracks[0].label
    for frame, behaviour in sorted(behaviours(annotations, scene, rules).items()):
        number = rules.class_of(behaviour)
        if number is not None:
            scene.frames.append((frame, number))
        elif rules.is_known(behaviour):
            scene.left_out[behaviour] += 1
        else:
            scene.unknown[behaviour] += 1
    if len(scene.frames) < rules.least_frames:
        scene.why_not = f"{len(scene.frames)} frames with a class, at least {rules.least_frames} are asked for"
    return scene


def behaviours(annotations: "Annotations", scene: Scene, rules: Rules) -> dict[int, str]:
    """The behaviour in each frame in view.

    Raises:
        FaultsError: several tracks say different things about one frame (with ``compat`` the last one wins).
    """
    from etholoop.errors import FaultsError
    from etholoop.io import cvat

    found: dict[int, str] = {}
    clashes = set()
    for track in annotations.tracks:
        for frame, behaviour in cvat.labels_by_frame(track, rules.attribute or None).items():
            if found.setdefault(frame, behaviour) != behaviour:
                clashes.add(frame)
                found[frame] = behaviour
    if clashes and not rules.compat:
        text = f"{len(clashes)} frames have two behaviours by different tracks, the first is frame {min(clashes)}"
        raise FaultsError(str(scene.xml), [text], "A mini-scene shows one animal; remove the other track. Nothing was written.")
    return found


def make(
    dataset: Path, scenes: list[Scene], rules: Rules, *, images: bool = True, val_list: Path | None = None, segment: int = 0
) -> list[str]:
    """Write the data set, all or nothing; lines about what was made."""
    from etholoop.io import atomic, charades

    kept = plan(scenes, rules)
    clips = [clip for clip, _, _ in kept]
    parts: dict[str, list[Clip]] = {}
    if val_list is not None:
        train, val = charades.split(clips, charades.read_folder_list(val_list), {clip.folder: scene.name for clip, scene, _ in kept})
        parts = {"train": train, "val": val}
    elif segment:
        parts = {"segments": clips}
    if segment:
        parts = {name: charades.segments(own, segment) for name, own in parts.items()}
    with atomic.new_folder(dataset) as new:
        (new / "annotation").mkdir()
        (new / "dataset/image").mkdir(parents=True)
        charades.write_classes(new / "annotation/classes.json", rules.classes)
        charades.write_table(new / "annotation/data.csv", clips)
        first = 1
        for name, own in parts.items():
            charades.write_table(new / f"annotation/{name}.csv", own, first)
            first += len(own)
        if not rules.compat:
            rows = ["code,miniscene,track,label,first_frame,n_frames"]
            rows += [f'{clip.name},"{s.folder.name}",{s.track},"{s.label}",{run[0][0]},{len(run)}' for clip, s, run in kept]
            atomic.write_text(new / "annotation/sources.csv", "\n".join([*rows, ""]))
        if images:
            for clip, scene, run in _progress(kept):
                write_images(new / "dataset/image", clip, scene, [frame for frame, _ in run])
    n_frames = sum(map(len, clips))
    lines = [f"{dataset}: {len(clips)} clips, {n_frames} frames{'' if images else ', no images as asked'}"]
    return lines + [f"  {name}: {len(own)} clips, {sum(map(len, own))} frames" for name, own in parts.items()]


def plan(scenes: list[Scene], rules: Rules) -> list[tuple["Clip", Scene, list[tuple[int, int]]]]:
    """Clips with their codes (first letter of the species and a number counted through), where each comes from, and its frames."""
    from etholoop.io.charades import Clip

    kept: list[tuple[Clip, Scene, list[tuple[int, int]]]] = []
    for scene in scenes:
        scene.short_runs = []
        for run in [] if scene.why_not else scene.runs(rules):
            if len(run) < rules.least_run:
                scene.short_runs.append((run[0][0], len(run)))
                continue
            code = f"{scene.label[:1].upper()}{len(kept) + 1:04d}"
            paths = tuple(f"{code}/{number}.jpg" for number in range(1, len(run) + 1))
            kept.append((Clip(code, paths, tuple((number,) for _, number in run)), scene, run))
    return kept


def write_images(folder: Path, clip: "Clip", scene: Scene, frames: list[int]) -> None:
    """The frames of one clip as JPEG.

    Raises:
        EthoLoopError: the mini-scene has fewer frames than were annotated.
    """
    import cv2

    from etholoop.errors import EthoLoopError
    from etholoop.io.video import VideoReader

    (folder / clip.name).mkdir()
    with VideoReader(scene.video) as reader:
        if frames[-1] >= reader.n_frames:
            last = reader.n_frames - 1
            raise EthoLoopError(f"{scene.xml}: frame {frames[-1]} has a behaviour, but {scene.video} ends with frame {last}.")
        for path, (_, image) in zip(clip.paths, reader.read(frames), strict=True):
            if not cv2.imwrite(str(folder / path), image[..., ::-1]):
                raise EthoLoopError(f"{folder / path}: could not be written.")


def report(scenes: list[Scene], rules: Rules) -> list[str]:
    """What was left out, and why: mini-scenes, short runs, behaviours."""
    lines = [f"left out: {scene.xml}: {scene.why_not}" for scene in scenes if scene.why_not]
    for scene in scenes:
        short = f"fewer than {rules.least_run} in a row"
        lines += [f"left out: {scene.name}: {n} frames from frame {frame} on, {short}" for frame, n in scene.short_runs]
    for title, counts in (("is no class", [s.left_out for s in scenes]), ("is in no table", [s.unknown for s in scenes])):
        total = sum(counts, Counter())
        lines += [f"left out: behaviour '{name}' {title}: {total[name]} frames" for name in sorted(total)]
    return lines


def _progress(kept: list) -> list:
    from tqdm import tqdm

    return tqdm(kept, desc="frames", unit="clip", disable=None)
