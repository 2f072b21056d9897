"""Two stages that do not need each other at the same time, each under a `dvc repro` of its own.

DVC runs one stage after another, but it leaves its repository open to others while a stage works. Only when it begins and when it
notes down what a stage made is it alone, and another one gives up after three seconds. So the second `dvc repro` starts when the
first stage is at work, and a stage that ends while DVC notes down what the other one made waits for that.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from etholoop.project import Project
from etholoop.services import dvc_quick, process

VARIABLE = "ETHOLOOP_BESIDE"
"""``<number of the process that started both>:<folder where both stages leave word>``."""

PAUSE_S, PATIENCE_S = 0.1, 10.0

Started = dict[str, subprocess.Popen[bytes]]
"""The `dvc repro` of each stage."""


# the side of the repro


def repro(project: Project, first: str, second: str) -> int:
    """Bring ``first`` and all that it needs up to date; once it is at work, bring ``second`` up to date beside it.

    What ``second`` says stands in ``runs/<second>.log`` and is shown when it has ended. If ``first`` has nothing to do, ``second`` is
    left alone. When one fails, the other one goes on to its end, so that no work is lost.

    Returns:
        exit status: 0, or that of the one that failed.
    """
    project.runs.mkdir(parents=True, exist_ok=True)
    log = project.runs / f"{second}.log"
    with tempfile.TemporaryDirectory(prefix="etholoop-") as name, log.open("wb") as output:
        folder, started = Path(name), Started()
        for stage in (first, second):
            (folder / stage).touch()
        environment = process.environment(project.root) | {VARIABLE: f"{os.getpid()}:{folder}"}

        def start(stage: str, *arguments: str, output: IO[bytes] | None = None) -> None:
            started[stage] = subprocess.Popen(
                [*dvc_quick.COMMAND, "repro", *arguments, stage], cwd=project.root, env=environment, stdout=output, stderr=output
            )

        start(first)
        try:
            while _at_work(started, folder, log):
                if second not in started and (folder / f"{first}.begun").exists():
                    print(f"Running stage '{second}' beside '{first}'; what it says: {log.relative_to(project.root)}", flush=True)
                    start(second, "--single-item", output=output)
                time.sleep(PAUSE_S)
        except BaseException:
            _wait_for_the_end(started)
            raise
    return max(abs(dvc.returncode) for dvc in started.values())


def _at_work(started: Started, folder: Path, log: Path) -> bool:
    """Whether one still runs; what has ended since the last look is told to the stages, and shown."""
    for place, (stage, dvc) in enumerate(started.items()):
        saved = folder / f"{stage}.saved"
        if dvc.poll() is None or saved.exists():
            continue
        saved.touch()
        if place == 1:
            sys.stdout.write(log.read_text(encoding="utf-8", errors="replace"))
        others = [name for name, other in started.items() if other.poll() is None]
        if dvc.returncode != 0 and others:
            print(f"Stage '{stage}' failed; '{others[0]}' goes on, so that its work is not lost (Ctrl-C stops it).")
        sys.stdout.flush()
    return any(dvc.returncode is None for dvc in started.values())


def _wait_for_the_end(started: Started) -> None:
    """After Ctrl-C, which has reached the stages too: they keep what they need to go on from there."""
    for dvc in started.values():
        try:
            dvc.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            dvc.kill()


# the side of the stages


@contextlib.contextmanager
def noted(stage: str) -> Iterator[None]:
    """The work of a stage. Beside another one it says that it has begun, and ends when DVC is free to note down what it made."""
    starter, _, name = os.environ.get(VARIABLE, "").partition(":")
    folder = Path(name)
    if not name or not (folder / stage).exists():
        yield
        return
    (folder / f"{stage}.begun").touch()
    yield
    _leave(folder, stage, int(starter))


def _leave(folder: Path, stage: str, starter: int) -> None:
    import fcntl

    # the starter may have gone, and its folder with it
    with contextlib.suppress(FileNotFoundError), (folder / "gate").open("w") as gate:
        fcntl.flock(gate, fcntl.LOCK_EX)
        for other in folder.glob("*.ended"):
            while not other.with_suffix(".saved").exists() and _alive(starter):
                time.sleep(PAUSE_S)
        (folder / f"{stage}.ended").touch()


def _alive(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    return True
