"""What the manifest learns from the files themselves, piece by piece: digests, probes of videos, sizes of images.

Digests are remembered by path, size, inode and both times of a file. The time of the last change of the inode cannot be set by a
program, so an edit that puts size and modification time back is still seen. A file that changed a moment ago is waited for, because a
second change within one tick of the disk's clock would leave the same times. Disks without a change time (the FAT family) do not
keep this promise: remove ``.memo/digests`` after such an edit there.
"""

import hashlib
import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from etholoop import runtime
from etholoop.core.chunks import chunks
from etholoop.errors import EthoLoopError, FaultsError
from etholoop.io import images, video
from etholoop.io.memo import Memo, digest, file_digest
from etholoop.project import Project
from etholoop.stages._map import Failure, Unit, try_map_memo

if TYPE_CHECKING:
    from etholoop.io.raw import Candidate

Stamp = tuple[int, int, int, int]
Seen = dict[str, Any]

READ_RATE, DECODE_RATE = 500e6, 5e6
"""Bytes a second that are hashed, and that are decoded; rough."""

LIMITS = video.VideoLimits()

TICK_S = 0.1
"""Longer than one tick of the clocks that disks stamp with; those with whole seconds are given two seconds."""


def digests_of(project: Project, candidates: Sequence["Candidate"]) -> tuple[dict[Path, str], dict[Path, Failure]]:
    """SHA-256 of every file, and for files that cannot be read the failure."""
    raw = project / "data/raw"
    stamps = {path: _stamp(path) for candidate in candidates for path in candidate.files}
    _settle(stamps.values())
    units, files = [], {}
    for candidate in candidates:
        for part in _parts(candidate.files):
            named = [(path.relative_to(raw).as_posix(), stamps[path]) for path in part]
            size = sum(stamp[0] for _, stamp in named if stamp)
            unit = Unit(digest(files=named), _label(candidate, part), (part, [stamps[path] for path in part]), size / READ_RATE)
            units.append(unit)
            files[unit.key] = part
    done, failures = try_map_memo(Memo(project.memo, "digests"), units, hash_into, project, what="reading")
    found: dict[Path, str] = {}
    for key, folder in done.items():
        found |= dict(zip(files[key], json.loads((folder / "digests.json").read_text(encoding="utf-8")), strict=True))
    return found, {path: failure for failure in failures for path in files[failure.unit.key]}


def hash_into(folder: Path, paths: Sequence[Path], stamps: Sequence[Stamp | None]) -> None:
    """Write the digests of some files in their order."""
    try:
        found = [file_digest(path) for path in paths]
    except OSError as error:
        raise EthoLoopError(f"The file cannot be read: {error.strerror}.") from error
    _unchanged(paths, stamps)
    (folder / "digests.json").write_text(json.dumps(found), encoding="utf-8")


@dataclass(frozen=True)
class Probing:
    """How videos are probed: whether every frame is decoded (None = where that is cheap or needed), and what a file may cost."""

    decode: bool | None = None
    limits: video.VideoLimits = LIMITS


def probe_videos(
    project: Project, candidates: Sequence["Candidate"], digests: dict[Path, str], how: Probing
) -> tuple[dict[str, Path], dict[str, Failure]]:
    """Folder with ``probe.json`` (and ``index.npz`` of a usable video) by path of the candidate; failures of those that crash the reader.

    Raises:
        FaultsError: files that could not be read this time.
    """
    units = {candidate.path: _probe_unit(candidate, digests[candidate.files[0]], how) for candidate in candidates}
    done, failures = try_map_memo(Memo(project.memo, "manifest"), list(units.values()), probe_into, project, what="probing", isolate=True)
    crashed = _crashes(failures)
    return (
        {path: done[unit.key] for path, unit in units.items() if unit.key in done},
        {path: crashed[unit.key] for path, unit in units.items() if unit.key in crashed},
    )


def _probe_unit(candidate: "Candidate", sha256: str, how: Probing) -> Unit:
    path = candidate.files[0]
    stamp = _stamp(path)
    # the container is guessed from content and extension
    key = digest(version=video.PROBE_VERSION, sha256=sha256, suffix=path.suffix.lower(), how=asdict(how))
    return Unit(key, candidate.path, (path, stamp, how), (stamp[0] if stamp else 0) / DECODE_RATE)


def probe_into(folder: Path, path: Path, stamp: Stamp | None, how: Probing = Probing()) -> None:
    """Make the memo of one video: probe.json, and index.npz if it can be used."""
    try:
        with runtime.end_worker_after(_patience_s(path, how)):
            info, index = video.probe(path, decode=how.decode, limits=how.limits)
    except video.VideoFault as fault:
        content: Seen = {"fault": _fault(fault)}
    else:
        index.save(folder / "index.npz")
        content = {"info": {**asdict(info), "fps": str(info.fps) if info.fps else None}}
    _unchanged([path], [stamp])
    (folder / "probe.json").write_text(json.dumps(content, sort_keys=True), encoding="utf-8")


def _patience_s(path: Path, how: Probing) -> float:
    """The probe looks at the clock between two packets; a call into the decoder that never returns gets twice that time."""
    return 10 + 2 * max(0.0, how.limits.deadline(path).allowed_s) if path.is_file() else 10.0


def look_at_images(
    project: Project, candidates: Sequence["Candidate"], digests: dict[Path, str]
) -> tuple[dict[Path, Seen], dict[Path, Failure]]:
    """``size`` (width, height) or ``fault`` (reason, detail) of every image; failures of those that crash the reader.

    Raises:
        FaultsError: images that could not be read this time.
    """
    parts = [(candidate, part) for candidate in candidates for part in _parts(candidate.files)]
    found, crashed = _look(project, parts, digests)
    # one of the images in a part crashed the reader: which?
    suspects = [(candidate, [path]) for candidate, part in parts for path in part if path in crashed]
    seen, crashed = _look(project, suspects, digests) if suspects else ({}, {})
    return found | seen, crashed


def _look(
    project: Project, parts: Sequence[tuple["Candidate", list[Path]]], digests: dict[Path, str]
) -> tuple[dict[Path, Seen], dict[Path, Failure]]:
    units = [_images_unit(candidate, part, digests) for candidate, part in parts]
    done, failures = try_map_memo(Memo(project.memo, "manifest_images"), units, look_into, project, what="looking at images", isolate=True)
    found: dict[Path, Seen] = {}
    for unit, (_, part) in zip(units, parts, strict=True):
        if unit.key in done:
            found |= dict(zip(part, json.loads((done[unit.key] / "seen.json").read_text(encoding="utf-8")), strict=True))
    crashed = _crashes(failures)
    return found, {path: crashed[unit.key] for unit, (_, part) in zip(units, parts, strict=True) if unit.key in crashed for path in part}


def _images_unit(candidate: "Candidate", part: Sequence[Path], digests: dict[Path, str]) -> Unit:
    key = digest(version=images.READ_VERSION, sha256=[digests[path] for path in part])
    stamps = [_stamp(path) for path in part]
    size = sum(stamp[0] for stamp in stamps if stamp)
    return Unit(key, _label(candidate, part), (list(part), stamps), size / DECODE_RATE / 10)


def look_into(folder: Path, paths: Sequence[Path], stamps: Sequence[Stamp | None]) -> None:
    """Write size or fault of some images in their order."""
    seen: list[Seen] = []
    for path in paths:
        try:
            height, width = images.read_rgb(path).shape[:2]
            seen.append({"size": [width, height]})
        except images.ImageFault as fault:
            seen.append({"fault": _fault(fault)})
    _unchanged(paths, stamps)
    (folder / "seen.json").write_text(json.dumps(seen, sort_keys=True), encoding="utf-8")


def _fault(fault: video.VideoFault | images.ImageFault) -> dict[str, str]:
    if fault.reason == "unreadable":
        raise fault  # may be gone at the next run, so it must not be remembered
    return {"reason": fault.reason, "detail": fault.detail}


def _crashes(failures: Iterable[Failure]) -> dict[str, Failure]:
    """Failures in which the worker died, by key.

    Raises:
        FaultsError: all others.
    """
    failures = list(failures)
    others = [str(failure) for failure in failures if failure.kind != "died"]
    if others:
        raise FaultsError("data/raw", others, "Put right what is named above and run `etholoop repro` again.")
    return {failure.unit.key: failure for failure in failures}


def _parts(files: Sequence[Path]) -> list[list[Path]]:
    """At most 500 files each."""
    return [[files[place] for place in part] for part in chunks(range(len(files)))]


def _label(candidate: "Candidate", part: Sequence[Path]) -> str:
    return candidate.path if len(part) == len(candidate.files) else f"{candidate.path}, {part[0].name} to {part[-1].name}"


def _stamp(path: Path) -> Stamp | None:
    """What changes when a file changes; None if it is gone."""
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_size, state.st_ino, state.st_mtime_ns, state.st_ctime_ns


def _settle(stamps: Iterable[Stamp | None]) -> None:
    """Wait until a further change of the newest file would be stamped with another time."""
    newest = max((stamp[3] for stamp in stamps if stamp), default=0)
    tick_s = TICK_S if newest % 1_000_000_000 else 2.0
    age_s = time.time() - newest / 1e9
    if age_s < tick_s:
        time.sleep(min(tick_s, tick_s - age_s) if age_s >= 0 else tick_s)


def _unchanged(paths: Sequence[Path], stamps: Sequence[Stamp | None]) -> None:
    changed = [path.name for path, stamp in zip(paths, stamps, strict=True) if _stamp(path) != stamp]
    if changed:
        raise EthoLoopError(f"{', '.join(changed[:5])} changed while being read. Let the copy finish, then run again.")


def folder_digest(digests: Iterable[str]) -> str:
    """SHA-256 of the sorted digests of a folder's images."""
    return hashlib.sha256("".join(sorted(digests)).encode()).hexdigest()
