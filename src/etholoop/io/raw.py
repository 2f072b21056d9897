"""What lies in ``data/raw``: files that may be videos, and folders of images. Nothing is opened here."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from etholoop.core.naming import source_id
from etholoop.io import images
from etholoop.io.image_numbers import LIST, last_number

VIDEO_SUFFIXES = (
    *(".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".mjpeg", ".mjpg", ".ogv"),
    *(".asf", ".wmv", ".flv", ".3gp", ".dv", ".h264", ".264", ".hevc", ".h265", ".mxf", ".nut", ".y4m", ".ivf"),
)
"""Lower-case suffixes of files that are probed as videos; upper-case ones count too."""


@dataclass(frozen=True)
class Candidate:
    """A video file, or a folder with its images. ``path`` is below ``data/raw``, with ``/`` between folders."""

    kind: str
    path: str
    video_id: str
    files: tuple[Path, ...]


@dataclass(frozen=True)
class PutAside:
    """A file that is not used: a row of the quarantine table. ``frame``: number of a single image of a folder."""

    path: str
    reason: str
    detail: str
    frame: int | None = None


def scan(raw: Path) -> tuple[list[Candidate], list[PutAside]]:
    """All candidates and all files that cannot be one, both in the order of their paths. Hidden files and folders are ignored."""
    candidates: list[Candidate] = []
    aside: list[PutAside] = []
    for _, files in _folders(raw / "videos"):
        for path in files:
            _sort_in(_video(raw, path), candidates, aside)
    for folder, names in _folders(raw / "images"):
        files = [path for path in names if path.name != LIST or folder == raw / "images"]
        strays = {path: _stray_image(raw, path) for path in files}
        aside += [fault for fault in strays.values() if fault]
        pictures = tuple(path for path in files if strays[path] is None)
        if pictures:
            candidates.append(_image_folder(raw, folder, pictures))
    return sorted(candidates, key=lambda candidate: candidate.path), sorted(aside, key=lambda item: item.path)


def is_video(path: Path) -> bool:
    """Whether the name is that of a video; hidden files are not."""
    return path.suffix.lower() in VIDEO_SUFFIXES and not path.name.startswith(".")


def _folders(top: Path) -> Iterator[tuple[Path, list[Path]]]:
    """Each folder from ``top`` down with the files it holds, sorted; links to folders are not followed."""
    for name, folders, files in os.walk(top):
        folders[:] = sorted(folder for folder in folders if not folder.startswith("."))
        yield Path(name), [Path(name) / file for file in sorted(files) if not file.startswith(".")]


def _sort_in(found: Candidate | PutAside, candidates: list[Candidate], aside: list[PutAside]) -> None:
    if isinstance(found, Candidate):
        candidates.append(found)
    else:
        aside.append(found)


def _video(raw: Path, path: Path) -> Candidate | PutAside:
    below = path.relative_to(raw).as_posix()
    fault = _not_a_file(path, below)
    if fault:
        return fault
    if not is_video(path):
        hint = " Images belong into a folder below data/raw/images." if images.is_image(path) else ""
        return PutAside(below, "not_a_video", f"The extension '{path.suffix}' is not that of a video.{hint}")
    return Candidate("video", below, source_id(path.relative_to(raw / "videos").as_posix()), (path,))


def _image_folder(raw: Path, folder: Path, pictures: tuple[Path, ...]) -> Candidate:
    below = folder.relative_to(raw).as_posix()
    return Candidate("images", below, source_id(folder.relative_to(raw / "images").as_posix(), is_folder=True), pictures)


def _stray_image(raw: Path, path: Path) -> PutAside | None:
    """Why a file below ``data/raw/images`` is not an image of a folder; None if it is."""
    below = path.relative_to(raw).as_posix()
    fault = _not_a_file(path, below)
    if fault and images.is_image(path) and not (path.parent / LIST).is_file():
        return replace(fault, frame=last_number(path.name))
    if fault:
        return fault
    if not images.is_image(path):
        return PutAside(below, "not_an_image", f"The extension '{path.suffix}' is not that of an image.")
    if path.parent == raw / "images":
        return PutAside(below, "no_folder", "Images belong into a folder below data/raw/images: one folder is one source.")
    return None


def _not_a_file(path: Path, below: str) -> PutAside | None:
    """Names of files may be any bytes; those that are no UTF-8 cannot be written into a table. Pipes would block the reader."""
    if any("\ud800" <= sign <= "\udfff" for sign in below):
        readable = below.encode("utf-8", "backslashreplace").decode()
        return PutAside(readable, "unreadable", "The name is not valid UTF-8 text. Rename the file.")
    if not path.is_file():
        return PutAside(below, "unreadable", "This is not a plain file, or a link to nothing.")
    return None
