"""Memo for maps over videos: a result is kept under a digest of everything that went into it.

Adding one video computes one video; a kill loses at most the result in hand, because each result folder is built under a
temporary name and renamed when complete. Nothing here may depend on time, machine or order.

After a power cut a file system may show a renamed folder with empty or missing files in it. Each folder therefore lists the sizes
of its files; a result that does not fit its list is made again.
"""

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from etholoop.io import atomic


def digest(**ingredients: Any) -> str:
    """SHA-256 of JSON-able ingredients, independent of their order."""
    text = json.dumps(ingredients, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


LIST = ".complete.json"
"""File in each result: names and sizes of the others."""


@dataclass(frozen=True)
class Memo:
    """Results of one step, for example ``Memo(project.memo, "frames")``."""

    root: Path
    step: str

    def folder(self, key: str) -> Path:
        """Where the result with this key is, or would be."""
        return self.root / self.step / key

    def has(self, key: str) -> bool:
        """Whether the result is there with all its files in full length."""
        folder = self.folder(key)
        try:
            listed = json.loads((folder / LIST).read_text(encoding="utf-8"))
        except (FileNotFoundError, json.JSONDecodeError):
            return False
        return listed == _sizes(folder)

    def result(self, key: str, make: Callable[[Path], None]) -> Path:
        """Folder of the result; ``make(folder)`` is called only when there is none yet."""
        folder = self.folder(key)
        if not self.has(key):
            with atomic.new_folder(folder) as temporary:
                make(temporary)
                (temporary / LIST).write_text(json.dumps(_sizes(temporary), sort_keys=True), encoding="utf-8")
        return folder


def _sizes(folder: Path) -> dict[str, int]:
    """Size in bytes of each file of a result, by its path below the folder; the list itself is left out."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != LIST)
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}


def place(source: Path, target: Path) -> None:
    """Copy a memo file into a stage's output.

    A copy and not a link: DVC may later replace or protect the output, and that must not reach into the memo.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
