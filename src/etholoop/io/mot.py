"""MOTChallenge text, in and out: one line for each box, ``frame, id, left, top, width, height, confidence, x, y, z``.

Frames and ids count from 1, ours from 0. Coordinates are taken as they stand: the challenge's own pages count pixels from 1, most programs
that write the format do not. A confidence of -1 means that none is known. In a file of true tracks the confidence is a flag: 0 = this box
is not to be counted. Columns after the seventh (class, visibility or a place in the world) are neither read nor known: -1 is written.
"""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from etholoop.errors import EthoLoopError, FaultsError
from etholoop.io import atomic, tables
from etholoop.schema.tracks import DETECTED, HUMAN, NO_INSTANCE, Tracks

FIRST_FRAME = 1
UNKNOWN = -1.0
N_NEEDED = 6
COLUMNS = ("frame", "id", "left", "top", "width", "height", "confidence")
REMEDY = "Nothing was read."


def read(path: Path, *, video_id: str, species: str = "animal", truth: bool = False, first_id: int = 1) -> pd.DataFrame:
    """Table Tracks of one video.

    Args:
        truth: a file of true tracks: boxes with the flag 0 are left out, the others have the state "human".
        first_id: the id that becomes track 0; some programs count from 0.

    Raises:
        EthoLoopError: no such file.
        FaultsError: every faulty line: too few numbers, frames or ids below the first, boxes without area, a confidence above 1, two boxes
            of one id in one frame.
    """
    rows = _numbers(path)
    faults = [f"line {line}: {fault}" for line, row in rows for fault in _faults(row, first_id, truth)]
    faults += _twice(rows)
    if faults:
        raise FaultsError(str(path), faults, REMEDY)
    made = [_row(row, video_id, species, truth, first_id) for _, row in rows if not (truth and row[6] == 0)]
    return tables.from_rows(made, Tracks).sort_values(["track", "frame"], ignore_index=True)


def text(tracks: pd.DataFrame, *, first_id: int = 1) -> str:
    """The lines of one video's tracks, by frame and id.

    Raises:
        EthoLoopError: tracks of several videos.
    """
    videos = tracks["video_id"].unique().tolist() if "video_id" in tracks.columns else []
    if len(videos) > 1:
        raise EthoLoopError(f"MOT text holds one video, found {len(videos)}: {', '.join(sorted(videos)[:5])}. Write one file for each.")
    lines = []
    for row in tracks.sort_values(["frame", "track"]).to_dict("records"):
        box = (row["x_min"], row["y_min"], row["x_max"] - row["x_min"], row["y_max"] - row["y_min"])
        sure = UNKNOWN if math.isnan(row["confidence"]) else row["confidence"]
        numbers = ",".join(f"{value:.10g}" for value in (*box, sure))
        lines.append(f"{row['frame'] + FIRST_FRAME},{row['track'] + first_id},{numbers},-1,-1,-1\n")
    return "".join(lines)


def write(tracks: pd.DataFrame, path: Path, *, first_id: int = 1) -> None:
    """Write one video's tracks, all or nothing. Whether a box was interpolated is not kept: the format has no place for it."""
    atomic.write_text(path, text(tracks, first_id=first_id))


def _numbers(path: Path) -> list[tuple[int, list[float]]]:
    """Line number and at least seven numbers of every line that is not empty; a confidence left out is unknown."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        raise EthoLoopError(f"{path}: file not found. Expected MOTChallenge text (frame, id, left, top, width, height, …).") from None
    except UnicodeDecodeError as error:
        raise EthoLoopError(f"{path}: expected MOTChallenge text, found a file that is no text ({error.reason}).") from None
    rows, faults = [], []
    for line, content in enumerate(lines, 1):
        words = content.replace(",", " ").split()
        if not words:
            continue
        try:
            row = [float(word) for word in words]
        except ValueError:
            faults.append(f"line {line}: expected numbers, found '{content[:60]}'")
            continue
        if len(row) < N_NEEDED:
            faults.append(f"line {line}: expected at least {N_NEEDED} numbers ({', '.join(COLUMNS)}), found {len(row)}")
        rows.append((line, row if len(row) > N_NEEDED else [*row, UNKNOWN]))
    if faults:
        raise FaultsError(str(path), faults, REMEDY)
    return rows


def _faults(row: list[float], first_id: int, truth: bool) -> Iterator[str]:
    frame, identity, _, _, width, height, sure = row[:7]
    if not all(map(math.isfinite, row[:7])):
        yield f"expected finite numbers, found {row[:7]}"
        return
    if frame != int(frame) or frame < FIRST_FRAME:
        yield f"expected a whole frame number from {FIRST_FRAME} on, found {frame:g}"
    if identity != int(identity) or identity < first_id:
        yield f"expected a whole id from {first_id} on, found {identity:g}" + (
            " (a detection without a track)" if identity == UNKNOWN else ""
        )
    if width <= 0 or height <= 0:
        yield f"expected a box with area, found {width:g} x {height:g}"
    if not truth and sure != UNKNOWN and not 0 <= sure <= 1:
        yield f"expected a confidence from 0 to 1, or -1, found {sure:g}"


def _twice(rows: list[tuple[int, list[float]]]) -> Iterator[str]:
    first: dict[tuple[float, float], int] = {}
    for line, row in rows:
        before = first.setdefault((row[0], row[1]), line)
        if before != line:
            yield f"line {line}: id {row[1]:g} has a box in frame {row[0]:g} in line {before} already"


def _row(row: list[float], video_id: str, species: str, truth: bool, first_id: int) -> dict[str, object]:
    frame, identity, left, top, width, height, sure = row[:7]
    return {
        **{"video_id": video_id, "track": int(identity) - first_id, "frame": int(frame) - FIRST_FRAME},
        **{"x_min": left, "y_min": top, "x_max": left + width, "y_max": top + height},
        **{"species": species, "confidence": np.nan if truth or sure == UNKNOWN else sure},
        **{"state": HUMAN if truth else DETECTED, "instance": NO_INSTANCE},
    }
