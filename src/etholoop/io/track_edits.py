"""``label_studio/track_edits.csv``: what people said about tracks, one row each, kept by Git.

Columns: id, video_id, action (swap, merge, split, rename), frame (from it on), stop_frame (empty = to the end), then the two anchors
``track_a, frame_a, x_a, y_a`` and the same for b (track: its number when the edit was made, for people; x, y: centre of its box in source
pixels), name, who, note.
"""

import csv
import hashlib
import io
from collections.abc import Iterable
from pathlib import Path

from etholoop.core.tracking.edits import ACTIONS, RENAME, Anchor, Edit
from etholoop.errors import FaultsError
from etholoop.io import atomic
from etholoop.params import nearest

COLUMNS = (
    *("id", "video_id", "action", "frame", "stop_frame", "track_a", "frame_a", "x_a", "y_a", "track_b", "frame_b", "x_b", "y_b"),
    *("name", "who", "note"),
)
HEADER = ",".join(COLUMNS) + "\n"


def read(path: Path) -> list[Edit]:
    """Edits in the file's order; a missing file and one with only a header have none.

    Raises:
        FaultsError: all faulty rows together.
    """
    if not path.is_file():
        return []
    table = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline=""))
    if tuple(table.fieldnames or ()) != COLUMNS:
        found = ",".join(table.fieldnames or ()) or "nothing"
        raise FaultsError(str(path), [f"expected the columns {','.join(COLUMNS)}, found {found}"], "Put the first line right.")
    edits: list[Edit] = []
    faults: list[str] = []
    for row in table:
        try:
            edits.append(_edit(row))
        except (ValueError, TypeError) as error:
            faults.append(f"line {table.line_num}: {error}")
    ids = [edit.id for edit in edits]
    faults += [f"id '{name}' is there {ids.count(name)} times" for name in sorted(set(ids)) if ids.count(name) > 1]
    if faults:
        raise FaultsError(str(path), faults, "Correct the rows or remove them; nothing has been run.")
    return edits


def write(edits: Iterable[Edit], path: Path) -> None:
    """Write edits in their order, all or nothing."""
    atomic.write_text(path, dumps(edits))


def dumps(edits: Iterable[Edit]) -> str:
    """Edits as the text of the file."""
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    for edit in edits:
        stop = "" if edit.stop_frame is None else edit.stop_frame
        anchors = [*_cells(edit.a), *_cells(edit.b)]
        table.writerow([edit.id, edit.video_id, edit.action, edit.frame, stop, *anchors, edit.name, edit.who, edit.note])
    return text.getvalue()


def id_of(edit: Edit, taken: Iterable[str]) -> str:
    """A short id that two people who edit on two branches do not both give; the same edit made twice gets another one."""
    known = set(taken)
    for turn in range(len(known) + 1):
        name = hashlib.sha256(f"{dumps([edit])}{turn}".encode()).hexdigest()[:8]
        if name not in known:
            return name
    raise AssertionError("more ids taken than there are")


def _cells(anchor: Anchor | None) -> list[str]:
    if anchor is None:
        return ["", "", "", ""]
    return [str(anchor.track), str(anchor.frame), f"{anchor.x:.2f}", f"{anchor.y:.2f}"]


def _edit(row: dict[str, str]) -> Edit:
    if row["action"] not in ACTIONS:
        raise ValueError(f"unknown action '{row['action']}'; {nearest(row['action'], list(ACTIONS))}")
    if not row["id"] or not row["video_id"]:
        raise ValueError("id and video_id must not be empty")
    a, b = _anchor(row, "a"), _anchor(row, "b")
    if a is None:
        raise ValueError("the anchor frame_a, x_a, y_a is missing")
    if b is None and row["action"] != RENAME:
        raise ValueError(f"{row['action']} needs a second anchor frame_b, x_b, y_b")
    if row["action"] == RENAME and not row["name"]:
        raise ValueError("rename needs a name")
    stop = int(row["stop_frame"]) if row["stop_frame"] else None
    return Edit(row["id"], row["video_id"], row["action"], int(row["frame"]), a, b, stop, row["name"], row["who"], row["note"])


def _anchor(row: dict[str, str], side: str) -> Anchor | None:
    cells = [row[f"{name}_{side}"] for name in ("frame", "x", "y", "track")]
    if not any(cells):
        return None
    return Anchor(int(cells[0]), float(cells[1]), float(cells[2]), int(cells[3] or -1))
