"""Reading CVAT 1.1 XML, element by element: no tree in memory, and no entity is ever expanded or fetched."""

import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from xml.parsers import expat

from etholoop.errors import EthoLoopError, FaultsError
from etholoop.io._cvat_records import BOX, KINDS, Annotations, Meta, Shape, Track

LEVELS = ("task", "job")
OTHER_SHAPES = ("mask", "ellipse", "cuboid", "skeleton")
BLOCK = 1 << 16


def read(path: Path) -> Annotations:
    """Read a file of the format "CVAT for video 1.1", exported from a task or from a job, with or without its meta part.

    A ``.zip`` as CVAT gives it to download is read without being unpacked.

    A file without tracks is good: nobody was seen. Frames are those of the video, as CVAT writes them; shapes are sorted by frame.

    Raises:
        EthoLoopError: the file is missing, is not XML, declares entities, or is another format.
        FaultsError: missing or impossible values, a track number or a frame of a track that comes twice; all with their line.
    """
    reading = _Reading(path)
    try:
        with _opened(path) as file:
            while block := file.read(BLOCK):
                reading.parser.Parse(block, False)
        reading.parser.Parse(b"", True)
    except FileNotFoundError:
        raise EthoLoopError(f"{path}: file not found.") from None
    except expat.ExpatError as error:
        raise EthoLoopError(f"{path}: not readable as XML ({error}). Export it again; nothing was used.") from None
    return reading.result()


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """The XML file, or the only one in a zip archive."""
    if path.suffix.lower() != ".zip":
        with path.open("rb") as file:
            yield file
        return
    try:
        with zipfile.ZipFile(path) as archive:
            inside = [name for name in archive.namelist() if name.lower().endswith(".xml")]
            if len(inside) != 1:
                raise EthoLoopError(f"{path}: expected one XML file in the archive, found {len(inside)}.")
            with archive.open(inside[0]) as file:
                yield file
    except zipfile.BadZipFile as error:
        raise EthoLoopError(f"{path}: not readable as a zip archive ({error}). Download it again; nothing was used.") from None


class _Reading:
    """The state while one file is read."""

    def __init__(self, path: Path):
        self.path = path
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        self.parser.StartDoctypeDeclHandler = self._doctype
        self.where: list[str] = []
        self.text: list[str] = []
        self.meta: dict[str, str] = {}
        self.faults: list[str] = []
        self.unread: dict[str, int] = {}
        self.tracks: dict[int, tuple[dict[str, str], dict[int, Shape]]] = {}
        self.shapes: dict[int, Shape] | None = None
        self.shape: tuple[dict[str, str], list[tuple[str, str]]] | None = None
        self.task_ids: set[str] = set()
        self.attribute = ""

    def result(self) -> Annotations:
        if len(self.task_ids) > 1:
            self.faults.append(f"holds tracks of {len(self.task_ids)} tasks, whose frame numbers are mixed; export each task by itself")
        meta = self._meta()
        if self.faults:
            raise FaultsError(str(self.path), self.faults, "Nothing of this file was used.")
        tracks = tuple(
            Track(number, given["label"], tuple(shapes[frame] for frame in sorted(shapes)), given.get("source", "manual"))
            for number, (given, shapes) in self.tracks.items()
        )
        return Annotations(tracks, meta, self.unread)

    def _doctype(self, *_: object) -> None:
        raise EthoLoopError(f"{self.path}: declares a document type, which CVAT never does; such a file may be an attack and is not read.")

    def _start(self, tag: str, given: dict[str, str]) -> None:
        if not self.where and tag != "annotations":
            raise EthoLoopError(f"{self.path}: expected CVAT 1.1 XML (root element 'annotations'), found '{tag}'.")
        if tag == "image" and len(self.where) == 1:
            raise EthoLoopError(f"{self.path}: this is 'CVAT for images 1.1', which knows no tracks; export as 'CVAT for video 1.1'.")
        self.where.append(tag)
        self.text = []
        if tag == "track":
            self._start_track(given)
        elif self.shapes is not None and tag in KINDS and len(self.where) == 3:
            self.shape = given, []
        elif tag == "attribute":
            self.attribute = given.get("name", "")
        elif self.shapes is not None and tag in OTHER_SHAPES and len(self.where) == 3:
            self.unread[tag] = self.unread.get(tag, 0) + 1

    def _start_track(self, given: dict[str, str]) -> None:
        number = self._whole(given, "id", "track")
        if "label" not in given:
            self._fault(f"track {given.get('id', '?')} has no label")
        if number in self.tracks:
            self._fault(f"track {number} comes twice")
        if "task_id" in given:
            self.task_ids.add(given["task_id"])
        self.shapes = {}
        self.tracks[number] = ({"label": "", **given}, self.shapes)

    def _end(self, tag: str) -> None:
        if self.where[:2] == ["annotations", "meta"]:
            self._end_meta()
        elif tag == "attribute" and self.shape is not None:
            self.shape[1].append((self.attribute, "".join(self.text)))
        elif self.shape is not None and tag in KINDS and len(self.where) == 3:
            self._end_shape(tag)
        elif tag == "track":
            self.shapes = None
        self.where.pop()
        self.text = []

    def _end_meta(self) -> None:
        inside = self.where[2:]
        if inside and inside[0] in (*LEVELS, "original_size", "source") and len(inside) <= 3:
            self.meta.setdefault("/".join(inside), "".join(self.text).strip())

    def _end_shape(self, kind: str) -> None:
        given, attributes = self.shape or ({}, [])
        self.shape = None
        faults = len(self.faults)
        frame = self._whole(given, "frame", kind)
        coordinates = self._box(given) if kind == BOX else self._points(given, kind)
        outside, occluded = self._flag(given, "outside", False), self._flag(given, "occluded", False)
        keyframe = self._flag(given, "keyframe", True)
        z_order, rotation = self._whole(given, "z_order", kind, 0), self._number(given, "rotation", kind, 0.0)
        if self.shapes is None or len(self.faults) > faults:
            return
        if frame in self.shapes:
            self._fault(f"frame {frame} comes twice in the track that holds it")
        self.shapes[frame] = Shape(frame, coordinates, kind, outside, occluded, keyframe, z_order, rotation, tuple(attributes))

    def _box(self, given: dict[str, str]) -> tuple[float, ...]:
        left, top, right, bottom = (self._number(given, name, BOX) for name in ("xtl", "ytl", "xbr", "ybr"))
        if right < left or bottom < top:
            where = f"box of frame {given.get('frame')}"
            self._fault(f"{where}: its lower right corner {right}, {bottom} lies before its upper left {left}, {top}")
        return left, top, right, bottom

    def _points(self, given: dict[str, str], kind: str) -> tuple[float, ...]:
        try:
            pairs = [tuple(map(float, pair.split(","))) for pair in given.get("points", "").split(";")]
        except ValueError:
            pairs = []
        if not pairs or any(len(pair) != 2 or not all(map(math.isfinite, pair)) for pair in pairs):
            self._fault(f"{kind} of frame {given.get('frame')}: expected points like '1.5,2;3,4', found {given.get('points')!r}")
            return ()
        return tuple(value for pair in pairs for value in pair)

    def _flag(self, given: dict[str, str], name: str, default: bool) -> bool:
        text = given.get(name, "1" if default else "0")
        if text not in ("0", "1"):
            self._fault(f"frame {given.get('frame')}: {name} must be 0 or 1, found {text!r}")
        return text == "1"

    def _whole(self, given: dict[str, str], name: str, what: str, default: int | None = None) -> int:
        text = given.get(name)
        if text is None and default is not None:
            return default
        try:
            number = int(text or "")
        except ValueError:
            number = -1
            self._fault(f"{what}: expected a whole number as {name}, found {text!r}")
            return number
        if number < 0 and name != "z_order":
            self._fault(f"{what}: {name} must not be negative, found {number}")
        return number

    def _number(self, given: dict[str, str], name: str, what: str, default: float | None = None) -> float:
        text = given.get(name)
        if text is None and default is not None:
            return default
        try:
            number = float(text or "")
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            self._fault(f"{what} of frame {given.get('frame')}: expected a number as {name}, found {text!r}")
            return 0.0
        return number

    def _text(self, text: str) -> None:
        self.text.append(text)

    def _fault(self, text: str) -> None:
        self.faults.append(f"line {self.parser.CurrentLineNumber}: {text}")

    def _meta(self) -> Meta:
        level = next((name for name in LEVELS if any(key.split("/")[0] == name for key in self.meta)), "")

        def text(name: str) -> str:
            return self.meta.get(f"{level}/{name}", self.meta.get(name, ""))

        def whole(name: str) -> int | None:
            value = text(name)
            if value and not value.isdecimal():
                self.faults.append(f"meta: expected a whole number as {name}, found {value!r}")
                return None
            return int(value) if value else None

        return Meta(
            level,
            text("name"),
            whole("size"),
            whole("original_size/width"),
            whole("original_size/height"),
            text("source"),
            whole("start_frame"),
            whole("stop_frame"),
        )
