"""DVC through its command line: the lock on the repository is taken and given back by each call."""

import hashlib
import json
from pathlib import Path
from typing import Any

import yaml

from etholoop.errors import EthoLoopError
from etholoop.project import Project
from etholoop.services import process


def init(project: Project) -> None:
    """Make the project's ``.dvc`` folder with quiet, private settings. Does nothing when it is there."""
    if (project / ".dvc/config").is_file():
        return
    process.run(["dvc", "init", "--quiet"], project.root)
    settings = {"core.analytics": "false", "core.check_update": "false", "core.autostage": "true"}
    for name, value in settings.items():
        process.run(["dvc", "config", name, value], project.root)


def add(project: Project, path: Path) -> None:
    """Version a file or folder; its ``.dvc`` file is staged in Git."""
    process.run(["dvc", "add", "--quiet", str(path.relative_to(project.root))], project.root)


def repro(project: Project, targets: list[str], *, dry: bool = False) -> None:
    """Rebuild what changed, output to the terminal.

    Raises:
        EthoLoopError: a stage failed; what it said stands above.
    """
    arguments = ["dvc", "repro", *(["--dry"] if dry else []), *targets]
    if process.stream(arguments, project.root) != 0:
        raise EthoLoopError("dvc repro stopped: the stage named above failed and said why. Nothing after it has been run.")


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
    return (yaml.safe_load(path.read_text(encoding="utf-8")) or {}).get("stages", {})


def lock_digest(project: Project) -> str:
    """MD5 of ``dvc.lock``, the kind of digest DVC itself uses."""
    return hashlib.md5((project / "dvc.lock").read_bytes(), usedforsecurity=False).hexdigest()


def output_digest(stages: dict[str, Any], stage: str, path: str) -> str | None:
    """Digest of one output in the lock, for example ``data/datasets/pose`` of ``pose_dataset``."""
    for out in stages.get(stage, {}).get("outs", []):
        if out["path"] == path:
            return out["md5"]
    return None
