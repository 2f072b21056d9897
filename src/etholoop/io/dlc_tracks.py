"""DeepLabCut's results for whole videos: ``<video>DLC_….csv`` or ``.h5``, of one animal or of several.

The format: header rows scorer, (individuals,) bodyparts, coords; then one row for each frame, counted from 0, with x, y, likelihood of
every body part. Empty = not found. Pixels are shifted by half a pixel against ours, as in the labels (see ``io.dlc``).
"""

import gzip
import tempfile
from pathlib import Path

import numpy as np

from etholoop.errors import EthoLoopError, FaultsError
from etholoop.io import atomic, dlc
from etholoop.io.pose_tracks import PoseTracks

SCORER = "etholoop"
ONE_ANIMAL = "animal1"


def read(path: Path) -> PoseTracks:
    """Read a CSV (also gzipped) or H5 file.

    Raises:
        EthoLoopError: not such a file.
        FaultsError: rows that are no frame numbers, columns that are missing for some animal, body parts without an owner.
    """
    collected = _collected(path)
    faults = [f"row '{name}': expected the number of a frame" for name in collected.image_names if not name.isdecimal()][:20]
    names = list(dict.fromkeys(individual for individual, _, _ in collected.columns))
    parts = list(dict.fromkeys(part for individual, part, _ in collected.columns if individual != dlc.SINGLE))
    if dlc.SINGLE in names:
        faults.append(f"body parts of no animal (individual '{dlc.SINGLE}') have no place in tracks; export without them")
    place = {column: number for number, column in enumerate(collected.columns)}
    missing = [
        f"{name or 'the animal'} has no {axis} of {part}"
        for name in names
        for part in parts
        for axis in "xy"
        if (name, part, axis) not in place
    ]
    if faults or missing:
        raise FaultsError(str(path), faults + missing, "Nothing of this file was used.")
    frames = np.array([int(name) for name in collected.image_names], dtype=np.int64)
    if len(frames) and (np.diff(frames) <= 0).any():
        raise FaultsError(str(path), ["frame numbers do not rise from row to row"], "Nothing of this file was used.")
    points = np.full((len(frames), len(names), len(parts), 3), np.nan)
    for column, number in place.items():
        if column[2] in ("x", "y", "likelihood"):
            points[:, names.index(column[0]), parts.index(column[1]), ("x", "y", "likelihood").index(column[2])] = collected.values[
                :, number
            ]
    points[..., :2] += dlc.SHIFT_PX
    points[np.isnan(points[..., :2]).any(axis=-1)] = np.nan
    return PoseTracks(frames, points, tuple(name or ONE_ANIMAL for name in names), tuple(parts))


def _collected(path: Path) -> dlc.Collected:
    if not path.is_file():
        raise EthoLoopError(f"{path}: file not found.")
    if path.suffix == ".gz":
        with tempfile.TemporaryDirectory() as folder:
            plain = Path(folder) / path.stem
            try:
                plain.write_bytes(gzip.decompress(path.read_bytes()))
            except (OSError, EOFError) as error:
                raise EthoLoopError(f"{path}: not readable as gzip ({error}).") from None
            return dlc.read_csv(plain)
    return dlc.read_h5(path) if path.suffix in (".h5", ".hdf5") else dlc.read_csv(path)


def write_csv(path: Path, pose: PoseTracks, scorer: str = SCORER) -> None:
    """Write a CSV as DeepLabCut does for several animals; missing = empty."""
    columns = [(name, part, axis) for name in pose.names for part in pose.keypoints for axis in ("x", "y", "likelihood")]
    lines = [",".join([title, *cells]) for title, cells in _header(columns, scorer)]
    shifted = pose.points - [dlc.SHIFT_PX, dlc.SHIFT_PX, 0]
    for frame, row in zip(pose.frames.tolist(), shifted.reshape(len(pose.frames), -1).tolist(), strict=True):
        lines.append(",".join([str(frame), *("" if value != value else repr(value) for value in row)]))  # noqa: PLR0124 - NaN
    atomic.write_text(path, "\n".join([*lines, ""]))


def _header(columns: list[tuple[str, str, str]], scorer: str) -> list[tuple[str, list[str]]]:
    rows: list[tuple[str, list[str]]] = [("scorer", [scorer] * len(columns))]
    for place, title in enumerate(("individuals", "bodyparts", "coords")):
        rows.append((title, [_cell(column[place]) for column in columns]))
    return rows


def _cell(text: str) -> str:
    return f'"{text.replace(chr(34), chr(34) * 2)}"' if any(sign in text for sign in ',"\n\r') else text
