"""Memo for maps over videos: a result is kept under a digest of everything that went into it.

Adding one video computes one video; a kill loses at most the result in hand, because each result folder is built under a
temporary name and renamed when complete. Nothing here may depend on time, machine or order.
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


@dataclass(frozen=True)
class Memo:
    """Results of one step, for example ``Memo(project.memo, "frames")``."""

    root: Path
    step: str

    def folder(self, key: str) -> Path:
        """Where the result with this key is, or would be."""
        return self.root / self.step / key

    def has(self, key: str) -> bool:
        return self.folder(key).is_dir()

    def result(self, key: str, make: Callable[[Path], None]) -> Path:
        """Folder of the result; ``make(folder)`` is called only when there is none yet."""
        folder = self.folder(key)
        if not folder.is_dir():
            with atomic.new_folder(folder) as temporary:
                make(temporary)
        return folder


def place(source: Path, target: Path) -> None:
    """Copy a memo file into a stage's output.

    A copy and not a link: DVC may later replace or protect the output, and that must not reach into the memo.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
