"""Writing that is all or nothing: a kill or a full disk leaves the old file, never half a new one.

Work in progress has a hidden name that tells which process of which computer makes it. What a killed process left is swept away
by the next one that writes into the same folder.
"""

import functools
import hashlib
import os
import re
import secrets
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TEMPORARY = re.compile(r"^\..+\.(?P<computer>[0-9a-f]{8})-(?P<pid>[0-9]+)-[^/]*$", re.DOTALL)
"""How work in progress is named: ``.<final name>.<computer>-<process>-<random><suffix>``."""

FORGOTTEN_S = 7 * 24 * 3600
"""Work in progress that nobody touched for a week is nobody's, whichever computer it was made on."""

_swept: set[tuple[int, str]] = set()
_started_s = time.time()


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Give a temporary path beside ``path``; on success it takes its place, on failure it is removed."""
    temporary = _beside(path)
    # made here, so that a name without rights fails before the work and not after it
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666))
    try:
        yield temporary
        temporary.replace(path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        _name(error, path)
        raise


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Give a temporary folder beside ``path``; on success it takes the place of ``path``, on failure it is removed.

    An older folder is moved aside before it is removed, so that no half-removed one is ever seen under the name.
    """
    temporary = _beside(path)
    temporary.mkdir()
    try:
        yield temporary
        _swap(temporary, path)
    except BaseException as error:
        shutil.rmtree(temporary, ignore_errors=True)
        _name(error, path)
        raise


@contextmanager
def scratch_folder(parent: Path, name: str = "run") -> Iterator[Path]:
    """A folder for the time being, removed at the end; that of a killed process is swept away later."""
    folder = _beside(parent / name)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sweep(folder: Path) -> None:
    """Remove what killed processes of this computer left in ``folder`` under temporary names; what is being written stays."""
    if not folder.is_dir():
        return
    for entry in os.scandir(folder):
        found = TEMPORARY.match(entry.name)
        if found and _is_abandoned(entry, found["computer"], int(found["pid"])):
            _remove(Path(entry.path))


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text with ``\\n`` line ends, all or nothing."""
    with new_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_bytes(path: Path, content: bytes) -> None:
    """Write bytes, all or nothing."""
    with new_file(path) as temporary:
        temporary.write_bytes(content)


def _name(error: BaseException, path: Path) -> None:
    """A full disk does not say which file it was that found no room."""
    if isinstance(error, OSError) and error.errno is not None and error.filename is None:
        error.filename = str(path)


def _beside(path: Path) -> Path:
    """A free temporary name in the folder of ``path``, which is made if need be and swept once by each process."""
    path.parent.mkdir(parents=True, exist_ok=True)
    place = (os.getpid(), str(path.parent))
    if place not in _swept:
        _swept.add(place)
        sweep(path.parent)
    # file names hold 255 bytes; the final name is in it for people only
    name = path.name.encode()[:180].decode(errors="ignore")
    return path.with_name(f".{name}.{_computer()}-{os.getpid()}-{secrets.token_hex(4)}{path.suffix}")


def _swap(new: Path, path: Path) -> None:
    """Put a finished folder in place of another one, or of nothing."""
    while True:
        try:
            new.rename(path)
            return
        except OSError:
            if not path.exists():
                raise
        old = _beside(path)
        path.rename(old)
        try:
            new.rename(path)
            return
        except OSError:
            continue  # another process was faster: its folder is moved aside in turn
        finally:
            _remove(old)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _is_abandoned(entry: os.DirEntry[str], computer: str, pid: int) -> bool:
    try:
        changed_s = entry.stat(follow_symlinks=False).st_mtime
    except FileNotFoundError:
        return False
    if time.time() - changed_s > FORGOTTEN_S:
        return True
    if computer != _computer():
        return False
    # in a container every run may have the same process number
    return changed_s < _started_s if pid == os.getpid() else not _alive(pid)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@functools.cache
def _computer() -> str:
    """Which computer or container this is, in eight letters: a process number means nothing in another one."""
    try:
        numbering = os.readlink("/proc/self/ns/pid")  # noqa: PTH115 - it links to no path
    except OSError:
        numbering = ""
    return hashlib.sha256(f"{socket.gethostname()} {numbering}".encode()).hexdigest()[:8]
