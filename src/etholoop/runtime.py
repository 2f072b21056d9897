"""The process environment: what must be set before heavy libraries are imported, here and in every child process.

Nothing may phone home, nothing may install packages behind our back, foreign checkpoints are loaded safely, and
torchvision works beside a CPU build of torch. What a user has set in the environment wins.
"""

import contextlib
import faulthandler
import importlib.util
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from etholoop import _torchvision_cure

CHILDREN = Path(__file__).resolve().parent / "_children"
"""Folder with a ``sitecustomize.py`` for child processes."""

ENVIRONMENT = {
    "YOLO_OFFLINE": "true",
    "YOLO_AUTOINSTALL": "false",
    "YOLO_VERBOSE": "false",
    "ULTRALYTICS_SAFE_LOAD": "true",
    "GX_ANALYTICS_ENABLED": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "FIFTYONE_DO_NOT_TRACK": "true",
    "DVC_NO_ANALYTICS": "1",
    "NNCF_CI": "1",  # its name for "do not report to the makers"
    "MPLBACKEND": "Agg",
    # Threads of OpenMP that wait for each other spin for a while before they sleep. By default so long that any other work on the
    # machine makes a training ten times slower; so short, four times, and alone nothing is lost.
    "GOMP_SPINCOUNT": "1000",
}


WORKER = "ETHOLOOP_WORKER"
"""Set to its own process number by a worker of an engine."""


def prepare(root: Path | None = None) -> None:
    """Set up this process and its children. Call it before ultralytics, mlflow, great_expectations or dvc are imported.

    Args:
        root: project folder, its ``.cache/yolo`` holds the settings of Ultralytics; None = the user's cache folder.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    os.environ.setdefault("YOLO_CONFIG_DIR", str(_yolo_folder(root)))
    provide_font(Path(os.environ["YOLO_CONFIG_DIR"]))
    cure_torchvision()


def cure_torchvision() -> None:
    """Make ``import torchvision`` work here and in child processes, whichever way they are started.

    Forked children inherit the import hook; all others start with ``_children`` on PYTHONPATH.
    """
    _torchvision_cure.install()
    paths = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    if str(CHILDREN) not in paths:
        os.environ["PYTHONPATH"] = os.pathsep.join([*paths, str(CHILDREN)])


def provide_font(config: Path) -> None:
    """Put matplotlib's DejaVu Sans where Ultralytics looks for Arial, which it would download."""
    target = config / "Ultralytics/Arial.ttf"
    spec = None if target.exists() else importlib.util.find_spec("matplotlib")
    if spec is None or spec.origin is None:
        return
    source = Path(spec.origin).parent / "mpl-data/fonts/ttf/DejaVuSans.ttf"
    target.parent.mkdir(parents=True, exist_ok=True)
    # several processes may come here at once: copy under an own name, then rename
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.copyfile(source, temporary)
    temporary.replace(target)


def become_worker() -> None:
    """This process works through items of an engine, which notices its end and starts another."""
    os.environ[WORKER] = str(os.getpid())


@contextlib.contextmanager
def end_worker_after(patience_s: float) -> Iterator[None]:
    """End this process, with the place where it hangs in its log, if the block does not end in time; only in an engine's worker.

    A call into a library that never returns cannot be interrupted by Python, and the file that caused it must not hold up all others.
    """
    if os.environ.get(WORKER) != str(os.getpid()):
        yield
        return
    faulthandler.dump_traceback_later(patience_s, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


def torchvision_is_cured() -> bool:
    """Whether torchvision, once imported, runs on the operators defined here instead of its own (for ``doctor``)."""
    __import__("torchvision")
    spec = sys.modules["torchvision"].__spec__
    return type(spec.loader).__name__ == "_CuredLoader" if spec else False


def _yolo_folder(root: Path | None) -> Path:
    if root is not None:
        return root.resolve() / ".cache/yolo"
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "etholoop/yolo"
