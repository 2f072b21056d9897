"""Data sets of labelled frames in the layout that SlowFast reads as "Charades", as KABR uses it.

    annotation/classes.json    {"Walk": 0, …}
    annotation/data.csv        separated by blanks: original_vido_id video_id frame_id path labels
    annotation/{train,val}.csv the same for each part of a split
    annotation/sources.csv     where each folder of frames comes from (ours; SlowFast does not look at it)
    dataset/image/<code>/<n>.jpg

``original_vido_id`` (spelt so: SlowFast wants it) is the folder of frames or, where those are cut into segments, ``<code>.<k>``;
``video_id`` counts videos or segments from 1, ``frame_id`` frames within one from 1; ``labels`` are class numbers joined by commas.
"""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from etholoop.errors import EthoLoopError, FaultsError
from etholoop.io import atomic

COLUMNS = ("original_vido_id", "video_id", "frame_id", "path", "labels")
SEGMENT_FRAMES = 90
"""Length of KABR's official segments."""


@dataclass(frozen=True)
class Clip:
    """A run of labelled frames: ``paths`` below dataset/image, in order, and the class numbers of each frame (one, or several)."""

    name: str
    paths: tuple[str, ...]
    labels: tuple[tuple[int, ...], ...]

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def folder(self) -> str:
        """The folder of frames, which is what a split must not tear apart."""
        return self.paths[0].rsplit("/", 1)[0] if self.paths else self.name


def segments(clips: Iterable[Clip], n_frames: int = SEGMENT_FRAMES) -> list[Clip]:
    """Each clip cut into pieces ``<name>.1``, ``<name>.2``, … of ``n_frames``, the last one shorter."""
    return [
        Clip(f"{clip.name}.{number}", clip.paths[start : start + n_frames], clip.labels[start : start + n_frames])
        for clip in clips
        for number, start in enumerate(range(0, len(clip), n_frames), 1)
    ]


def split(clips: Sequence[Clip], val_names: Iterable[str], groups: Mapping[str, str] | None = None) -> tuple[list[Clip], list[Clip]]:
    """Clips of the train part and of the val part.

    Args:
        val_names: folders of frames (as in KABR's official list), or names of groups.
        groups: by folder of frames what must not be torn apart, for example the mini-scene it was cut from; left out: the folder itself.

    Raises:
        FaultsError: a name that is neither a folder nor a group, or a group with folders on both sides.
    """
    wanted, own = set(val_names), {clip.folder: (groups or {}).get(clip.folder, clip.folder) for clip in clips}
    faults = [f"'{name}' is no folder of this data set" for name in sorted(wanted - set(own) - set(own.values()))]
    val = {folder for folder, group in own.items() if folder in wanted or group in wanted}
    for group in sorted({own[folder] for folder in val}):
        left = [folder for folder in own if own[folder] == group and folder not in val]
        if left:
            faults.append(f"folders of '{group}' lie on both sides: {', '.join(left)} would be train; name '{group}' itself")
    if faults:
        raise FaultsError("list of val folders", faults, "Correct the list; nothing was written.")
    return [clip for clip in clips if clip.folder not in val], [clip for clip in clips if clip.folder in val]


def read_folder_list(path: Path) -> list[str]:
    """Names of folders, one a line; empty lines and what follows a # count for nothing.

    Raises:
        EthoLoopError: the file is missing.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        raise EthoLoopError(f"{path}: file not found.") from None
    return [name for line in lines if (name := line.split("#", 1)[0].strip())]


def table_text(clips: Iterable[Clip], first_id: int = 1) -> str:
    """The content of a CSV file; ``first_id``: where a val file goes on counting after the train file."""
    lines = [" ".join(COLUMNS)]
    for number, clip in enumerate(clips, first_id):
        for frame, (path, labels) in enumerate(zip(clip.paths, clip.labels, strict=True), 1):
            lines.append(f"{clip.name} {number} {frame} {path} {','.join(map(str, labels))}")
    return "\n".join([*lines, ""])


def write_table(path: Path, clips: Sequence[Clip], first_id: int = 1) -> None:
    """Write a CSV file.

    Raises:
        FaultsError: names with blanks, which the format cannot hold, or that come twice.
    """
    names = [clip.name for clip in clips]
    faults = [f"'{name}' holds a blank" for name in names if any(sign.isspace() for sign in name)]
    faults += [f"'{name}' comes twice" for name in sorted({name for name in names if names.count(name) > 1})]
    if faults:
        raise FaultsError(str(path), faults, "Rename them; nothing was written.")
    atomic.write_text(path, table_text(clips, first_id))


def read_table(path: Path, n_classes: int | None = None) -> list[Clip]:
    """Clips of a CSV file, in its order.

    Raises:
        EthoLoopError: the file is missing or has other columns.
        FaultsError: rows that do not fit: frames that do not count 1, 2, 3, …, a clip in two places, classes that do not exist.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.reader(file, delimiter=" "))
    except FileNotFoundError:
        raise EthoLoopError(f"{path}: file not found. `etholoop kabr cvat2slowfast` makes it.") from None
    if not rows or tuple(rows[0]) != COLUMNS:
        found = " ".join(rows[0]) if rows else "nothing"
        raise EthoLoopError(f"{path}: expected the columns {' '.join(COLUMNS)}, separated by blanks, found {found}.")
    faults: list[str] = []
    clips = list(_clips(rows[1:], n_classes, faults))
    names = [clip.name for clip in clips]
    faults += [f"'{name}' stands in two places of the file" for name in sorted({name for name in names if names.count(name) > 1})]
    if faults:
        raise FaultsError(str(path), faults, "Nothing of this file was used.")
    return clips


def _clips(rows: Sequence[Sequence[str]], n_classes: int | None, faults: list[str]) -> Iterator[Clip]:
    name = ""
    paths: list[str] = []
    classes: list[tuple[int, ...]] = []
    for line, row in enumerate(rows, 2):
        if len(row) != len(COLUMNS):
            faults.append(f"line {line}: expected {len(COLUMNS)} columns, found {len(row)}")
            continue
        labels = _labels(row[4], n_classes)
        if labels is None:
            faults.append(f"line {line}: expected class numbers{f' below {n_classes}' if n_classes else ''}, found '{row[4]}'")
            continue
        if paths and name != row[0]:
            yield Clip(name, tuple(paths), tuple(classes))
            paths, classes = [], []
        name = row[0]
        paths.append(row[3])
        classes.append(labels)
        if row[2] != str(len(paths)):
            faults.append(f"line {line}: frame {row[2]} of {name} stands where frame {len(paths)} is expected; they count 1, 2, 3, …")
    if paths:
        yield Clip(name, tuple(paths), tuple(classes))


def _labels(text: str, n_classes: int | None) -> tuple[int, ...] | None:
    parts = text.split(",")
    if not all(part.isdecimal() for part in parts):
        return None
    numbers = tuple(map(int, parts))
    return numbers if n_classes is None or max(numbers) < n_classes else None


def read_classes(path: Path) -> dict[str, int]:
    """Class numbers by name.

    Raises:
        FaultsError: the file is missing or no JSON, or its numbers are not 0, 1, 2, … each once.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise EthoLoopError(f"{path}: file not found.") from None
    except json.JSONDecodeError as error:
        raise EthoLoopError(f"{path}: not readable as JSON ({error}).") from None
    numbers = list(content.values()) if isinstance(content, dict) else []
    if not numbers or any(type(number) is not int for number in numbers) or sorted(numbers) != list(range(len(numbers))):
        raise EthoLoopError(f'{path}: expected names with numbers 0, 1, 2, … each once, like {{"Walk": 0, "Graze": 1}}, found {content!r}.')
    return content


def read_names(path: Path) -> dict[str, str]:
    """A map from old names to new ones.

    Raises:
        EthoLoopError: the file is missing or holds something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise EthoLoopError(f"{path}: file not found.") from None
    except json.JSONDecodeError as error:
        raise EthoLoopError(f"{path}: not readable as JSON ({error}).") from None
    if not isinstance(content, dict) or not all(isinstance(value, str) for value in content.values()):
        raise EthoLoopError(f'{path}: expected old names with new ones, like {{"Walking": "Walk"}}, found {type(content).__name__}.')
    return content


def write_classes(path: Path, classes: Mapping[str, int]) -> None:
    atomic.write_text(path, json.dumps(dict(classes), ensure_ascii=False))
