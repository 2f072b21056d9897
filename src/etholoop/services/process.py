"""Running other programs: no shell, output kept for the error message."""

import os
import subprocess
import sys
from pathlib import Path

from etholoop.errors import EthoLoopError


def environment(folder: Path) -> dict[str, str]:
    """The present environment with this Python's own programs (dvc, etholoop) first on the path, and the code of the project first."""
    own = str(Path(sys.executable).parent)
    found = {**os.environ, "PATH": os.pathsep.join([own, os.environ.get("PATH", "")]), "DVC_NO_ANALYTICS": "1"}
    code = folder.resolve() / "src"
    if (code / "etholoop/__main__.py").is_file() and found.get("ETHOLOOP_CODE") != str(code):
        # what `etholoop` does for itself by starting a second time, see __main__.run_project_code
        found["PYTHONPATH"] = os.pathsep.join(filter(None, [str(code), found.get("PYTHONPATH")]))
        found["ETHOLOOP_CODE"] = str(code)
    return found


def run(arguments: list[str], folder: Path, *, ok: tuple[int, ...] = (0,)) -> str:
    """Run a program and return what it printed.

    Raises:
        EthoLoopError: the program is missing or ended with an unexpected status; its last lines are in the message.
    """
    try:
        done = subprocess.run(arguments, cwd=folder, env=environment(folder), capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise EthoLoopError(f"{arguments[0]} is not installed. `etholoop doctor` says how to get it.") from None
    if done.returncode not in ok:
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-15:])
        raise EthoLoopError(f"`{' '.join(arguments)}` in {folder} ended with status {done.returncode}:\n{tail}")
    return done.stdout


def stream(arguments: list[str], folder: Path) -> int:
    """Run a program with its output going straight to the terminal; returns the exit status."""
    try:
        return subprocess.run(arguments, cwd=folder, env=environment(folder), check=False).returncode
    except FileNotFoundError:
        raise EthoLoopError(f"{arguments[0]} is not installed. `etholoop doctor` says how to get it.") from None
