"""Unpacking archives that may be hostile: members stay below the folder, links and devices are refused, sizes are bounded.

Nothing is unpacked by the libraries' own extraction: each member's name is checked, its bytes are copied and counted while they come out
(an archive may lie about sizes), and the folder appears under its name only when everything is in it.
"""

import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from etholoop.errors import EthoLoopError, FaultsError
from etholoop.io import atomic

BLOCK_BYTES = 1 << 20

DAMAGE = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError, NotImplementedError, RuntimeError)
"""What the libraries raise for damaged archives, unknown kinds of compression, and (RuntimeError) encrypted members."""


@dataclass(frozen=True)
class ArchiveLimits:
    """What an archive may hold. ``max_ratio``: unpacked bytes for each byte of the archive, looked at beyond ``free_bytes``."""

    max_members: int = 200_000
    max_bytes: int = 2 * 1024**4
    max_ratio: float = 1000.0
    free_bytes: int = 100 * 1024**2

    def allowed_bytes(self, archive_bytes: int) -> int:
        return min(self.max_bytes, max(self.free_bytes, int(self.max_ratio * archive_bytes)))


@dataclass(frozen=True)
class Member:
    """A file in an archive: its checked path with ``/`` between folders, and the size it claims."""

    path: str
    n_bytes: int
    entry: zipfile.ZipInfo | tarfile.TarInfo


def unpack(archive: Path, folder: Path, limits: ArchiveLimits | None = None) -> list[Path]:
    """Unpack a zip or tar file into a new ``folder``, all or nothing; gives the files, sorted.

    Raises:
        FaultsError: members with names that lead out of the folder, links, devices, or two members of one name; all of them are named.
        EthoLoopError: the folder exists, the file is no archive, is damaged, or is beyond the limits.
    """
    archive, folder, limits = Path(archive), Path(folder), limits or ArchiveLimits()
    if folder.exists():
        raise EthoLoopError(f"{folder}: exists already; an archive is unpacked into a new folder.")
    left = limits.allowed_bytes(archive.stat().st_size) if archive.is_file() else 0
    with _opened(archive) as package, atomic.new_folder(folder) as temporary:
        members = _members(archive, package, limits)
        for member in members:
            target = temporary / member.path
            target.parent.mkdir(parents=True, exist_ok=True)
            left -= _copy(archive, package, member, target, left)
    return sorted(folder / member.path for member in members)


Package = zipfile.ZipFile | tarfile.TarFile


@contextmanager
def _opened(archive: Path) -> Iterator[Package]:
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as package:
                yield package
        elif archive.is_file() and tarfile.is_tarfile(archive):
            with tarfile.open(archive) as package:
                yield package
        else:
            raise EthoLoopError(f"{archive}: not a zip or tar file.")
    except DAMAGE as error:
        raise EthoLoopError(f"{archive}: cannot be unpacked ({error}).") from error


def _members(archive: Path, package: Package, limits: ArchiveLimits) -> list[Member]:
    """The files of an archive, each with a path that is safe; folders are made as they are needed."""
    entries: list = package.infolist() if isinstance(package, zipfile.ZipFile) else _tar_entries(archive, package, limits)
    if len(entries) > limits.max_members:
        raise EthoLoopError(f"{archive}: {len(entries)} members, beyond the limit of {limits.max_members}.")
    members, faults, seen = [], [], set[str]()
    for entry in entries:
        name = entry.filename if isinstance(entry, zipfile.ZipInfo) else entry.name
        fault = _fault(name, entry)
        path = PurePosixPath(name).as_posix()
        if fault:
            faults.append(f"{name!r}: {fault}")
        elif not entry.is_dir() if isinstance(entry, zipfile.ZipInfo) else entry.isreg():
            if path.casefold() in seen:
                faults.append(f"{name!r}: a second member of that name")
            seen.add(path.casefold())
            members.append(Member(path, entry.file_size if isinstance(entry, zipfile.ZipInfo) else entry.size, entry))
    if faults:
        raise FaultsError(str(archive), faults, "Nothing was unpacked.")
    _refuse_files_as_folders(archive, members)
    return members


def _tar_entries(archive: Path, package: tarfile.TarFile, limits: ArchiveLimits) -> list[tarfile.TarInfo]:
    entries = []
    for entry in package:
        entries.append(entry)
        if len(entries) > limits.max_members:
            raise EthoLoopError(f"{archive}: more than {limits.max_members} members, which is the limit.")
    return entries


def _fault(name: str, entry: zipfile.ZipInfo | tarfile.TarInfo) -> str:
    """Why a member is refused, or ''."""
    if name.startswith("/") or "\\" in name or ":" in name.partition("/")[0]:
        return "an absolute path, a drive or backslashes"
    if ".." in name.split("/"):
        return "leads out of the folder"
    if not name.strip("./") or any(ord(sign) < 32 for sign in name):
        return "not a name"
    if isinstance(entry, zipfile.ZipInfo):
        kind = stat.S_IFMT(entry.external_attr >> 16)
        return "" if kind in (0, stat.S_IFREG, stat.S_IFDIR) else "a link or device"
    return "" if entry.isreg() or entry.isdir() else "a link or device"


def _refuse_files_as_folders(archive: Path, members: list[Member]) -> None:
    paths = {member.path.casefold() for member in members}
    faults = [
        f"'{member.path}': lies in '{parent}', which is a file"
        for member in members
        for parent in PurePosixPath(member.path).parents
        if parent.as_posix().casefold() in paths
    ]
    if faults:
        raise FaultsError(str(archive), faults, "Nothing was unpacked.")


def _copy(archive: Path, package: Package, member: Member, target: Path, left: int) -> int:
    """Copy one member, counting the bytes that really come; gives their number."""
    n_bytes = 0
    with _stream(package, member) as source, target.open("xb") as copy:
        while block := source.read(BLOCK_BYTES):
            n_bytes += len(block)
            if n_bytes > left:
                raise EthoLoopError(f"{archive}: '{member.path}' makes the archive grow beyond its limit; it was not unpacked.")
            copy.write(block)
    return n_bytes


def _stream(package: Package, member: Member) -> IO[bytes]:
    if isinstance(package, zipfile.ZipFile):
        assert isinstance(member.entry, zipfile.ZipInfo)
        return package.open(member.entry)
    assert isinstance(member.entry, tarfile.TarInfo)
    stream = package.extractfile(member.entry)
    assert stream is not None, "regular files have contents"
    return stream
