"""Splits that a person, or a compatibility command, listed row by row."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from etholoop.core.splits import USED, interval, table_of
from etholoop.errors import FaultsError
from etholoop.params import nearest

COLUMNS = ("video_id", "start_frame", "stop_frame", "split")


def by_list(listed: pd.DataFrame, videos: pd.DataFrame, where: str) -> pd.DataFrame:
    """Splits as a person listed them; stretches of a listed source that no row covers become ``gap``.

    Args:
        listed: texts as read from the CSV: video_id, start_frame, stop_frame, split and, if given, group (default: the session).
            Other columns are left alone.
        where: name of the file, for the messages.

    Raises:
        FaultsError: every faulty row with its row number (row 1 is the header), overlaps, and sources that no row names.
    """
    missing = [column for column in COLUMNS if column not in listed.columns]
    if missing:
        remedy = "The first line must be: video_id,start_frame,stop_frame,split (and, if wanted, group)."
        raise FaultsError(where, [f"column '{column}' is missing" for column in missing], remedy)
    known = {video["video_id"]: video for video in videos.to_dict("records")}
    rows, faults = [], []
    for number, record in enumerate(listed.to_dict("records"), start=2):
        row, found = _row(record, known)
        faults += [f"row {number}: {fault}" for fault in found]
        rows += [(number, row)] if row else []
    faults += _overlaps(rows)
    named = {str(value).strip() for value in listed["video_id"]}
    faults += [f"source {video_id} has no row; give it one (split gap leaves it out)" for video_id in known if video_id not in named]
    if faults:
        raise FaultsError(where, faults, "Correct the file; no split was made.")
    of_source = {video_id: [row for _, row in rows if row["video_id"] == video_id] for video_id in known}
    return table_of([row for video_id, own in of_source.items() for row in _filled(own, int(known[video_id]["n_frames"]))])


def _row(record: Mapping[Any, Any], known: Mapping[str, Mapping[Any, Any]]) -> tuple[dict[str, Any] | None, list[str]]:
    """The row, or None and its faults."""
    video_id, split = str(record["video_id"]).strip(), str(record["split"]).strip()
    if video_id not in known:
        return None, [f"unknown source '{video_id}'; {nearest(video_id, list(known))}"]
    frames, faults = _frames(record, video_id, int(known[video_id]["n_frames"]))
    if split not in (*USED, "gap"):
        faults.append(f"unknown split '{split}'; {nearest(split, [*USED, 'gap'])}")
    group = str(record.get("group") or "").strip() or str(known[video_id]["session"])
    return (None if faults else interval(video_id, group, frames, split, "fixed")), faults


def _frames(record: Mapping[Any, Any], video_id: str, n_frames: int) -> tuple[tuple[int, int], list[str]]:
    try:
        start, stop = int(str(record["start_frame"])), int(str(record["stop_frame"]))
    except ValueError:
        return (0, 0), [f"start_frame {record['start_frame']!r} and stop_frame {record['stop_frame']!r} must be whole numbers"]
    if 0 <= start < stop <= n_frames:
        return (start, stop), []
    return (0, 0), [f"[{start}, {stop}) must lie inside [0, {n_frames}) of {video_id} and hold at least one frame"]


def _overlaps(rows: list[tuple[int, dict[str, Any]]]) -> list[str]:
    """Rows that begin before an earlier one of the same source has ended."""
    faults, longest = [], dict[str, tuple[int, int]]()
    for number, row in sorted(rows, key=lambda item: (item[1]["video_id"], item[1]["start_frame"], item[1]["stop_frame"])):
        stop, before = longest.get(row["video_id"], (0, 0))
        if row["start_frame"] < stop:
            faults.append(f"row {number}: {row['video_id']} [{row['start_frame']}, {row['stop_frame']}) overlaps row {before}")
        longest[row["video_id"]] = max((stop, before), (row["stop_frame"], number))
    return faults


def _filled(rows: list[dict[str, Any]], n_frames: int) -> list[dict[str, Any]]:
    """The rows of one source with ``gap`` rows between them; a gap has the group of the row before it, or of the first."""
    rows = sorted(rows, key=lambda row: row["start_frame"])
    result, position, group = [], 0, rows[0]["group"]
    for row in rows:
        if row["start_frame"] > position:
            result.append({**row, "group": group, "start_frame": position, "stop_frame": row["start_frame"], "split": "gap"})
        result.append(row)
        position, group = row["stop_frame"], row["group"]
    if position < n_frames:
        result.append({**rows[-1], "start_frame": position, "stop_frame": n_frames, "split": "gap"})
    return result
