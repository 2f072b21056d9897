"""DVC through its command line: the lock on the repository is taken and given back by each call."""

import hashlib
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from etholoop import _warm
from etholoop.errors import EthoLoopError
from etholoop.params import read_yaml
from etholoop.project import Project
from etholoop.services import dvc_beside, dvc_plan, dvc_quick, process

TRAININGS = ("pose_train", "refine_train")
"""They do not need each other."""

SETTINGS = "[core]\n    analytics = false\n    check_update = false\n    autostage = true\n"


def init(project: Project) -> None:
    """Make the project's ``.dvc`` folder with quiet, private settings. Does nothing when it is there."""
    if (project / ".dvc/config").is_file():
        return
    process.run(["dvc", "init", "--quiet"], project.root)
    # a new config is empty; written here, because each `dvc config` is a program start for one line
    (project / ".dvc/config").write_text(SETTINGS, encoding="utf-8")
    process.run(["git", "add", ".dvc/config"], project.root)


def add(project: Project, *paths: Path) -> None:
    """Version files or folders; their ``.dvc`` files are staged in Git."""
    process.run(["dvc", "add", "--quiet", *(str(path.relative_to(project.root)) for path in paths)], project.root)


LINKS = "reflink,hardlink,copy"
"""DVC's ways to bring a file from its cache, the first that works. Linked files are read-only: programs must make new ones."""


def prefer_links(project: Project) -> None:
    """From now on DVC links files to its cache, in this project; a choice that was made already stays."""
    if not process.run(["dvc", "config", "cache.type"], project.root, ok=(0, 251)).strip():
        process.run(["dvc", "config", "cache.type", LINKS], project.root)
        process.run(["git", "add", ".dvc/config"], project.root)


def share(project: Project, files: Mapping[Path, Path]) -> None:
    """Make a versioned file, its object in the cache and the file it came from one and the same on disk (hard links).

    DVC copies a folder's files into its cache, so a linked recording would take its size twice. DVC makes what is in its cache
    read-only, and with it the file that it came from; it notices by the digest when that one is changed all the same.

    Args:
        files: where each file came from, by its place in a folder that was versioned with :func:`add`.

    Raises:
        EthoLoopError: the cache lies on another disk.
    """
    cache = (project.root / process.run(["dvc", "cache", "dir"], project.root).strip()) / "files/md5"
    digests: dict[Path, str] = {}
    for pointer in sorted({_pointer(project, place) for place in files}):
        folder = pointer.with_suffix("")
        content = yaml.safe_load(pointer.read_text(encoding="utf-8"))["outs"][0]["md5"]
        listed = json.loads((cache / content[:2] / content[2:]).read_text(encoding="utf-8"))
        digests |= {folder / item["relpath"]: item["md5"] for item in listed}
    for place, source in files.items():
        for other in (place, cache / digests[place][:2] / digests[place][2:]):
            if not other.samefile(source):
                _replace_by_link(other, source.resolve())


def _pointer(project: Project, place: Path) -> Path:
    """The ``.dvc`` file of the folder that holds a file."""
    return next(path for folder in place.relative_to(project.root).parents if (path := project.root / f"{folder}.dvc").is_file())


def _replace_by_link(path: Path, source: Path) -> None:
    temporary = path.with_name(f".{path.name}.link")
    temporary.unlink(missing_ok=True)
    try:
        temporary.hardlink_to(source)
    except OSError as error:
        raise EthoLoopError(f"{source}: is added, but cannot share its room with {path} ({error.strerror}).") from error
    temporary.replace(path)


def repro(project: Project, targets: list[str], *, alone: bool = False) -> None:
    """Rebuild what changed, output to the terminal; without targets the whole pipeline.

    Args:
        alone: do not look at what the targets need, because it is known to be up to date.

    Raises:
        EthoLoopError: a stage failed; what it said stands above.
    """
    with _warm.helpers():
        pair = None if alone else _beside_each_other(project, targets)
        status = dvc_beside.repro(project, *pair) if pair else 0
        status = status or process.stream([*dvc_quick.COMMAND, "repro", *(["--single-item"] if alone else []), *targets], project.root)
    if status != 0:
        raise EthoLoopError("dvc repro stopped: the stage named above failed and said why. Nothing after it has been run.")


def _beside_each_other(project: Project, targets: list[str]) -> tuple[str, str] | None:
    """The two trainings, where both seem due, each says how many threads it takes, and the processor has as many.

    Without such a number a training takes all cores, and two of them would be in each other's way.
    """
    sections, stages = read_yaml(project.params), read_yaml(project / "dvc.yaml")["stages"]
    if not hasattr(os, "sched_getaffinity") or not set(TRAININGS) <= dvc_plan.needed(stages, targets or stages):
        return None
    threads = [((sections.get(name) or {}).get("settings") or {}).get("threads") or math.inf for name in TRAININGS]
    fit = sum(threads) <= len(os.sched_getaffinity(0))
    return TRAININGS if fit and all(_seems_due(project, name, sections) for name in TRAININGS) else None


def _seems_due(project: Project, training: str, sections: dict[str, Any]) -> bool:
    """A quick look at what changes most, labels and settings. DVC decides; what this overlooks is trained one after the other."""
    if not project.snapshot.is_file() or not json.loads(project.snapshot.read_bytes()).get("frames"):
        return False
    stages = lock(project) if (project / "dvc.lock").is_file() else {}
    pointer = project.snapshot.with_name(f"{project.snapshot.name}.dvc")
    labels = read_yaml(pointer)["outs"][0]["md5"] if pointer.is_file() else None
    known = output_digest(stages, "annotations", str(project.snapshot.relative_to(project.root)), kind="deps")
    return known != labels or stages.get(training, {}).get("params", {}).get("params.yaml", {}).get(training) != sections.get(training)


def status(project: Project) -> dict[str, Any]:
    """What DVC would redo, by stage or ``.dvc`` file; empty when data and pipeline are up to date."""
    return json.loads(process.run(["dvc", "status", "--json"], project.root) or "{}")


def lock(project: Project) -> dict[str, Any]:
    """Content of ``dvc.lock``: per stage the command and the digests of its inputs, parameters and outputs.

    Raises:
        EthoLoopError: nothing has been computed yet.
    """
    path = project / "dvc.lock"
    if not path.is_file():
        raise EthoLoopError(f"{path}: not there, so nothing has been computed yet. Run `etholoop repro`.")
    return read_yaml(path).get("stages", {})


def lock_digest(project: Project) -> str:
    return file_md5(project / "dvc.lock")


def file_md5(path: Path) -> str:
    """MD5 of a file, the kind of digest DVC itself uses."""
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def output_digest(stages: dict[str, Any], stage: str, path: str, kind: str = "outs") -> str | None:
    """Digest of one output (or of what ``kind`` says) in the lock, for example ``data/datasets/pose`` of ``pose_dataset``."""
    for out in stages.get(stage, {}).get(kind, []):
        if out["path"] == path:
            return out["md5"]
    return None
