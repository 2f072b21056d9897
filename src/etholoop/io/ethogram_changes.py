"""The ethogram's history, ``label_studio/ethogram_changes.yaml``, and changes to ``ethogram.yaml`` that keep its comments.

The history, oldest step first, kept by Git; ``control`` is where the old word stood on the labelling screen::

    changes:
      - {"kind": "rename", "old": "sniff", "new": "smell", "control": "behaviour_sniff"}
      - {"kind": "remove", "old": "dig", "new": "", "control": "group_ground"}

Bouts of a removed word wait in ``label_studio/removed_bouts.json`` until the word is added again.
"""

import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from etholoop.core.ethogram_changes import ADD, REMOVE, RENAME, WordChange
from etholoop.errors import EthoLoopError
from etholoop.io import atomic
from etholoop.params import read_yaml

FIELDS = ("kind", "old", "new", "control")
HEAD = "# What became of words of ethogram.yaml; `etholoop labels behaviours` writes it, labels made earlier are read by it.\n"
Bout = dict[str, Any]


def read(path: Path) -> list[WordChange]:
    """The history; empty when nothing was ever changed.

    Raises:
        EthoLoopError: not a history.
    """
    if not path.is_file():
        return []
    content: Any = read_yaml(path).get("changes")
    changes = []
    for number, item in enumerate(content or []):
        good = isinstance(item, Mapping) and set(item) == set(FIELDS) and item["kind"] in (ADD, RENAME, REMOVE)
        if not good:
            raise EthoLoopError(f"{path}: change {number} is {item!r}; expected kind (add, rename, remove), old, new and control.")
        changes.append(WordChange(*(str(item[name] or "") for name in FIELDS)))
    return changes


def write(path: Path, history: Iterable[WordChange]) -> None:
    lines = [json.dumps({name: getattr(change, name) for name in FIELDS}, ensure_ascii=False) for change in history]
    atomic.write_text(path, HEAD + "changes:\n" + "".join(f"  - {line}\n" for line in lines))


def read_removed(path: Path) -> list[Bout]:
    """Bouts of removed words, each with video, subject and annotator."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []


def write_removed(path: Path, bouts: Iterable[Bout]) -> None:
    lines = sorted({json.dumps(bout, sort_keys=True, ensure_ascii=False) for bout in bouts})
    atomic.write_text(path, "[\n" + ",\n".join(lines) + "\n]\n" if lines else "[]\n")


def added(text: str, behaviour: Mapping[str, Any]) -> str:
    """The text of an ethogram file with one more behaviour at its end."""
    return _edited(text, lambda items: items.append({key: value for key, value in behaviour.items() if value}))


def renamed(text: str, old: str, new: str) -> str:
    def change(items: list[Any]) -> None:
        next(item for item in items if item["name"] == old)["name"] = new

    return _edited(text, change)


def removed(text: str, name: str) -> str:
    return _edited(text, lambda items: items.remove(next(item for item in items if item["name"] == name)))


def _edited(text: str, change: Any) -> str:
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.width = 160
    yaml.preserve_quotes = True
    yaml.indent(mapping=2, sequence=4, offset=2)
    content = yaml.load(text)
    change(content["behaviours"])
    stream = io.StringIO()
    yaml.dump(content, stream)
    return stream.getvalue()
