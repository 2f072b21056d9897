"""The folder of a simulated project: one run at a time works in it, and only such a folder is ever emptied."""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import typer

from etholoop.errors import EthoLoopError

MARKER = "synthetic.json"
"""File in the root of a simulated project that says what it is."""


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep a folder, made where it is missing, for this process; the system lets go of it when the process ends, however it ends.

    Raises:
        EthoLoopError: another process keeps it, or it is a file.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except (FileExistsError, NotADirectoryError) as error:
        raise EthoLoopError(f"{folder} is a file. Give another place with --folder.") from error
    try:
        # the folder itself is locked, not a file in it: a file would go when the folder is emptied, and with it the lock
        fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(place)
        raise EthoLoopError(
            f"another demo or simulation is at work in {folder}, and this one would remove its files. "
            "Wait until it ends, stop it, or give another place with --folder."
        ) from error
    except OSError as error:
        typer.echo(f"{folder}: its file system knows no locks ({error.strerror}); see to it that no other demo works there.", err=True)
    try:
        yield
    finally:
        os.close(place)


def remove_old(folder: Path) -> None:
    """Empty the folder of an earlier demo, which :func:`alone_in` keeps; anything else is left alone.

    Raises:
        EthoLoopError: the folder holds something that is not an earlier demo.
    """
    if not folder.exists() or not any(folder.iterdir()):
        return
    if not (folder / MARKER).is_file():
        raise EthoLoopError(f"{folder} is not an earlier demo (it holds no {MARKER}). Remove it, or give another place with --folder.")
    # the marker goes last: what is left of a removal that was stopped is still known for a demo
    for path in sorted(folder.iterdir(), key=lambda path: path.name == MARKER):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
