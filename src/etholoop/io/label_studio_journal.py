"""The journal of everything that was ever pulled: ``label_studio/journal/<number>.jsonl``, one file per pull, never changed again.

First line: when, from where, what it was. Then one line per annotation version not seen before (with its untouched Label Studio
regions, taken or refused) and one line per record of the snapshot that changed, before and after. The folder ignores itself in Git:
going back to an old cycle must not take the newer answers away.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from etholoop.errors import EthoLoopError
from etholoop.io import atomic

Line = dict[str, Any]
SERVERS_FORM = ("data", "result")
"""Keys of an annotation line that hold the task and the regions as Label Studio has them."""


@dataclass(frozen=True)
class Entry:
    """One pull (or restore): its number from 1, and its lines by kind."""

    number: int
    head: Line
    annotations: list[Line] = field(default_factory=list)
    changes: list[Line] = field(default_factory=list)


def append(folder: Path, head: Mapping[str, Any], annotations: Iterable[Line], changes: Iterable[Line]) -> int:
    """Write the next entry, all or nothing; its number."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / ".gitignore").is_file():
        atomic.write_text(folder / ".gitignore", "*\n")
    number = max((number for number, _ in _files(folder)), default=0) + 1
    lines = [{"line": "head", "number": number, **head}]
    lines += [{"line": "annotation", **line} for line in annotations]
    lines += [{"line": "change", **line} for line in changes]
    text = "".join(json.dumps(line, sort_keys=True, ensure_ascii=False, separators=(",", ":")) + "\n" for line in lines)
    atomic.write_text(folder / f"{number:06d}.jsonl", text)
    return number


def entries(folder: Path) -> Iterator[Entry]:
    """All entries, oldest first.

    Raises:
        EthoLoopError: a file that is not a journal entry any more, with its line.
    """
    for number, path in _files(folder):
        kinds: dict[str, list[Line]] = {"head": [], "annotation": [], "change": []}
        for kind, line in _lines(path):
            kinds[kind].append(line)
        yield Entry(number, kinds["head"][0], kinds["annotation"], kinds["change"])


def versions(folder: Path) -> tuple[dict[tuple[str, str], Line], set[tuple[str, str, str]]]:
    """The newest annotation line of each (uid, annotator), without the server's form of it, and (uid, annotator, digest) of all.

    Raises:
        EthoLoopError: as :func:`entries`.
    """
    last, seen = {}, set()
    for _, path in _files(folder):
        for kind, line in _lines(path):
            if kind == "annotation":
                key = line["uid"], line["annotator"]
                last[key] = {name: value for name, value in line.items() if name not in SERVERS_FORM}
                seen.add((*key, line["digest"]))
    return last, seen


def _lines(path: Path) -> Iterator[tuple[str, Line]]:
    """Kind and content of each line, one at a time."""
    n_heads = 0
    with path.open(encoding="utf-8") as stream:
        for place, text in enumerate(stream, start=1):
            try:
                line = json.loads(text)
                kind = line.pop("line")
                n_heads += kind == "head"
                if kind not in ("head", "annotation", "change"):
                    raise KeyError(kind)
            except (ValueError, KeyError, AttributeError, TypeError):
                raise EthoLoopError(
                    f"{path} line {place}: not a line of the journal. Restore the file from a backup, or move it away."
                ) from None
            yield kind, line
    if n_heads != 1:
        raise EthoLoopError(f"{path}: the first line, which says what this entry is, is missing. Restore the file, or move it away.")


def digest(content: Any) -> str:
    """SHA-256 of JSON content, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _files(folder: Path) -> list[tuple[int, Path]]:
    found = [(re.fullmatch(r"(\d{6,})\.jsonl", path.name), path) for path in folder.glob("*.jsonl")]
    return sorted((int(match[1]), path) for match, path in found if match)
