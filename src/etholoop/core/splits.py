"""Which part of which source is for training, for choosing a model, or for judging it.

Groups (sessions, subjects, …) go by a stable hash of their name, so adding videos never moves an old one.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from etholoop.errors import EthoLoopError, FaultsError
from etholoop.params import nearest

USED = ("train", "val", "test")
FIXED_COLUMNS = ("video_id", "start_frame", "stop_frame", "split")


def unit_hash(seed: int, name: str) -> Fraction:
    """A number in [0, 1) that depends on the seed and the name only: SHA-256 of ``"<seed>|<name>"`` over 2**256."""
    return Fraction(int(hashlib.sha256(f"{seed}|{name}".encode()).hexdigest(), 16), 1 << 256)


def split_of_group(group: str, seed: int, test: float, val: float) -> str:
    """Split of one group: the first ``test`` of the unit interval is test, the next ``val`` is val, the rest train."""
    position = unit_hash(seed, group)
    if position < test:
        return "test"
    return "val" if position < test + val else "train"


def groups_of(videos: pd.DataFrame, column: str) -> pd.Series:
    """Group of each source.

    Raises:
        FaultsError: sources without a value in the grouping column; a group must not be guessed.
    """
    values = videos[column]
    missing = values.isna() | (values.astype(str).str.strip() == "")
    if missing.any():
        faults = [f"{video_id}: no {column}" for video_id in videos.loc[missing, "video_id"]]
        remedy = f"Fill the column '{column}' of data/raw/metadata.csv, or set split.group in params.yaml to a column that is complete."
        raise FaultsError(f"split.group: {column}", faults, remedy)
    return values.astype(str)


def by_group(videos: pd.DataFrame, column: str, seed: int, test: float, val: float, assign: Mapping[str, str]) -> pd.DataFrame:
    """Whole sources by the hash of their group; ``assign`` wins over the hash.

    Args:
        videos: table ``schema.videos.Videos``.

    Returns:
        Rows of ``schema.splits.Splits``, one per source.

    Raises:
        FaultsError: a source without a group, or an assigned group that does not exist.
    """
    groups = groups_of(videos, column)
    _check_assigned(assign, sorted(set(groups)))
    split = {group: assign.get(group) or split_of_group(group, seed, test, val) for group in sorted(set(groups))}
    rows = [
        _row(video_id, group, 0, n_frames, split[group], "group")
        for video_id, group, n_frames in zip(videos["video_id"], groups, videos["n_frames"], strict=True)
    ]
    return _sorted(rows)


def by_blocks(
    videos: pd.DataFrame,
    images: pd.DataFrame,
    blocks: int,
    gap_s: float,
    gap_frames: int,
    seed: int,
    test: float,
    val: float,
    assign: Mapping[str, str],
) -> pd.DataFrame:
    """Each source cut into ``blocks`` pieces of equally many existing frames; pieces of different splits are kept apart by a gap.

    The gap is ``gap_s`` seconds, or ``gap_frames`` frame numbers where the source has no frame rate (image folders). It is taken
    from the training piece where there is one, else from the later piece. Group names are ``<video_id>#<block number>``.

    Raises:
        FaultsError: sources too short for so many blocks or so long a gap, or an assigned block that does not exist.
    """
    of_folder = {video_id: np.sort(part["frame"].to_numpy()) for video_id, part in images.groupby("video_id")}
    _check_assigned(assign, [f"{video_id}#{block}" for video_id in sorted(videos["video_id"]) for block in range(blocks)])
    rows, faults = [], []
    for video in videos.sort_values("video_id").itertuples(index=False):
        frames = of_folder.get(video.video_id) if video.kind == "images" else np.arange(video.n_frames)
        if frames is None or len(frames) < blocks:
            n_existing = 0 if frames is None else len(frames)
            faults.append(f"{video.video_id}: {n_existing} frames cannot be cut into {blocks} blocks")
            continue
        gap = math.ceil(Fraction(str(gap_s)) * Fraction(video.fps_num, video.fps_den)) if video.fps_num else gap_frames
        names = [f"{video.video_id}#{block}" for block in range(blocks)]
        splits = _splits_of_blocks(names, seed, test, val, assign)
        edges = _block_edges(frames, blocks, int(video.n_frames))
        pieces = _with_gaps(edges, splits, gap)
        lost = _lost_blocks(pieces, frames, blocks)
        faults += [f"{names[block]}: the gap of {gap} frames leaves nothing of [{edges[block]}, {edges[block + 1]})" for block in lost]
        rows += [_row(video.video_id, names[block], start, stop, split, "blocks") for block, start, stop, split in pieces]
    if faults:
        raise FaultsError("split.mode: blocks", faults, "Lower split.blocks, split.gap_s or split.gap_frames in params.yaml.")
    return _sorted(rows)


def by_hand(listed: pd.DataFrame, videos: pd.DataFrame, where: str) -> pd.DataFrame:
    """Splits as a person listed them; stretches of a listed source that no row covers become ``gap``.

    Args:
        listed: texts as read from the CSV: video_id, start_frame, stop_frame, split and, if given, group (default: the session).
            Other columns are left alone.
        where: name of the file, for the messages.

    Raises:
        FaultsError: every faulty row with its row number (row 1 is the header), overlaps, and sources that no row names.
    """
    missing = [column for column in FIXED_COLUMNS if column not in listed.columns]
    if missing:
        remedy = "The first line must be: video_id,start_frame,stop_frame,split (and, if wanted, group)."
        raise FaultsError(where, [f"column '{column}' is missing" for column in missing], remedy)
    known = videos.set_index("video_id")
    rows, faults = [], []
    for number, record in enumerate(listed.to_dict("records"), start=2):
        row, found = _row_by_hand(record, known)
        faults += [f"row {number}: {fault}" for fault in found]
        rows += [{**row, "number": number}] if row else []
    faults += _overlaps(rows)
    named = {str(value).strip() for value in listed["video_id"]}
    faults += [f"source {video_id} has no row; give it one (split gap leaves it out)" for video_id in known.index if video_id not in named]
    if faults:
        raise FaultsError(where, faults, "Correct the file; no split was made.")
    filled = [row for video_id in sorted(named) for row in _filled([r for r in rows if r["video_id"] == video_id], int(known.n_frames[video_id]))]
    return _sorted(filled)


def split_of(splits: pd.DataFrame, video_ids: Sequence[str] | pd.Series, frames: ArrayLike) -> NDArray[np.str_]:
    """Split of each frame: "train", "val", "test" or "gap".

    Raises:
        FaultsError: frames that no interval covers.
    """
    return splits["split"].to_numpy(dtype="<U5")[interval_of(splits, video_ids, frames)]


def group_of(splits: pd.DataFrame, video_ids: Sequence[str] | pd.Series, frames: ArrayLike) -> NDArray[np.object_]:
    """Group of each frame; raises as :func:`split_of`."""
    return splits["group"].to_numpy(dtype=object)[interval_of(splits, video_ids, frames)]


def interval_of(splits: pd.DataFrame, video_ids: Sequence[str] | pd.Series, frames: ArrayLike) -> NDArray[np.int64]:
    """Row position in ``splits`` of the interval that covers each frame; raises as :func:`split_of`."""
    ids, numbers = np.asarray(video_ids, dtype=object), np.asarray(frames, dtype=np.int64)
    result = np.full(len(ids), -1, np.int64)
    owner = splits["video_id"].to_numpy(dtype=object)
    starts, stops = splits["start_frame"].to_numpy(), splits["stop_frame"].to_numpy()
    for video_id in set(ids):
        rows = np.flatnonzero(owner == video_id)
        if not len(rows):
            continue
        rows = rows[np.argsort(starts[rows])]
        here = np.flatnonzero(ids == video_id)
        position = np.searchsorted(starts[rows], numbers[here], side="right") - 1
        inside = (position >= 0) & (numbers[here] < stops[rows[position]])
        result[here[inside]] = rows[position[inside]]
    outside = np.flatnonzero(result < 0)
    if len(outside):
        faults = [f"{ids[i]} frame {numbers[i]} lies in no interval" for i in outside]
        raise FaultsError("splits", faults, "Run `etholoop repro`; a frame beyond the end of its source is a fault of its label.")
    return result


def split_faults(splits: pd.DataFrame) -> list[str]:
    """What keeps a table of splits from serving train, choose and judge; empty = good. No sources at all is no fault."""
    if splits.empty:
        return []
    n_groups = splits.loc[splits["split"].isin(USED), "group"].nunique()
    missing = [name for name in USED if not (splits["split"] == name).any()]
    if not missing:
        return []
    if n_groups < 3:
        remedy = "set split.mode: blocks in params.yaml, or add recordings (`etholoop videos add`)"
        return [f"{n_groups} group{'s' * (n_groups != 1)} cannot fill train, val and test ({', '.join(missing)} empty): {remedy}"]
    return [f"no {name} group among {n_groups} groups: type `etholoop splits suggest` and set split.seed in params.yaml" for name in missing]


def summary(splits: pd.DataFrame) -> pd.DataFrame:
    """Per split: groups, videos, frames and share of all frames; every split is listed, empty ones with zeros."""
    frames = splits["stop_frame"] - splits["start_frame"]
    total = int(frames.sum())
    rows = []
    for name in (*USED, "gap"):
        here = splits["split"] == name
        n = int(frames[here].sum())
        rows.append(
            {
                "split": name,
                "groups": int(splits.loc[here, "group"].nunique()),
                "videos": int(splits.loc[here, "video_id"].nunique()),
                "frames": n,
                "share": n / total if total else float("nan"),
            }
        )
    return pd.DataFrame(rows)


def suggest_seed(sizes: Mapping[str, int], test: float, val: float, assign: Mapping[str, str], seeds: range = range(1000)) -> tuple[int, dict[str, float]]:
    """The seed whose shares of frames come nearest to the wanted ones; it looks at sizes only, never at labels.

    Args:
        sizes: frames of each group.

    Returns:
        The seed and the share of frames of each split.

    Raises:
        EthoLoopError: no seed fills every wanted split.
    """
    wanted = {"train": 1 - test - val, "val": val, "test": test}
    total = sum(sizes.values())
    best: tuple[float, int, dict[str, float]] | None = None
    for seed in seeds if total else ():
        share = dict.fromkeys(USED, 0.0)
        for group, n in sizes.items():
            share[assign.get(group) or split_of_group(group, seed, test, val)] += n / total
        if any(wanted[name] > 0 and share[name] == 0 for name in USED):
            continue
        distance = sum(abs(share[name] - wanted[name]) for name in USED)
        if best is None or distance < best[0] - 1e-12:
            best = (distance, seed, share)
    if best is None:
        raise EthoLoopError(
            f"no seed of {len(seeds)} puts a group in each of train, val and test: there are {len(sizes)} groups. "
            "Add recordings, name groups under split.assign, or set split.mode: blocks."
        )
    return best[1], best[2]


def _check_assigned(assign: Mapping[str, str], known: list[str]) -> None:
    faults = [f"split.assign: unknown group '{name}'; {nearest(name, known)}" for name in assign if name not in known]
    if faults:
        raise FaultsError("params.yaml", faults, "Correct the file; nothing has been run.")


def _splits_of_blocks(names: list[str], seed: int, test: float, val: float, assign: Mapping[str, str]) -> list[str]:
    """Exact numbers of test and val blocks, the blocks drawn by their hash; at least one of each that is wanted."""
    n = len(names)
    n_test = max(round(test * n), 1 if test > 0 else 0)
    n_val = max(round(val * n), 1 if val > 0 else 0)
    order = sorted(range(n), key=lambda block: unit_hash(seed, names[block]))
    result = ["train"] * n
    for block in order[:n_test]:
        result[block] = "test"
    for block in order[n_test : n_test + n_val]:
        result[block] = "val"
    return [assign.get(name, split) for name, split in zip(names, result, strict=True)]


def _block_edges(frames: NDArray[np.int64], blocks: int, n_frames: int) -> list[int]:
    """Start frames of the blocks and the end of the source; together they cover it from 0."""
    firsts = [int(frames[len(frames) * block // blocks]) for block in range(1, blocks)]
    return [0, *firsts, n_frames]


def _with_gaps(edges: list[int], splits: list[str], gap: int) -> list[tuple[int, int, int, str]]:
    """Pieces (block, start, stop, split) with the gaps cut out of the blocks; a piece swallowed by its gaps is left out."""
    starts, stops = list(edges[:-1]), list(edges[1:])
    for block in range(len(splits) - 1):
        if splits[block] == splits[block + 1]:
            continue
        if splits[block] == "train":
            stops[block] = max(stops[block] - gap, edges[block])
        else:
            starts[block + 1] = min(starts[block + 1] + gap, edges[block + 2])
    pieces = []
    for block, split in enumerate(splits):
        start, stop = starts[block], max(starts[block], stops[block])
        cut = [(edges[block], start, "gap"), (start, stop, split), (stop, edges[block + 1], "gap")]
        pieces += [(block, a, b, name) for a, b, name in cut if a < b]
    return pieces


def _lost_blocks(pieces: list[tuple[int, int, int, str]], frames: NDArray[np.int64], blocks: int) -> list[int]:
    """Blocks of which no existing frame is left outside the gaps."""
    kept = {block for block, start, stop, split in pieces if split != "gap" and np.searchsorted(frames, start) < np.searchsorted(frames, stop)}
    return [block for block in range(blocks) if block not in kept]


def _row_by_hand(record: Mapping[Any, Any], known: pd.DataFrame) -> tuple[dict[str, Any] | None, list[str]]:
    video_id = str(record["video_id"]).strip()
    if video_id not in known.index:
        return None, [f"unknown source '{video_id}'; {nearest(video_id, list(known.index)) if len(known) else 'the project has no sources'}"]
    n_frames = int(known.n_frames[video_id])
    faults = []
    try:
        start, stop = int(str(record["start_frame"])), int(str(record["stop_frame"]))
        if not 0 <= start < stop <= n_frames:
            faults.append(f"[{start}, {stop}) must lie inside [0, {n_frames}) of {video_id} and hold at least one frame")
    except ValueError:
        start, stop = 0, 0
        faults.append(f"start_frame {record['start_frame']!r} and stop_frame {record['stop_frame']!r} must be whole numbers")
    split = str(record["split"]).strip()
    if split not in (*USED, "gap"):
        faults.append(f"unknown split '{split}'; {nearest(split, [*USED, 'gap'])}")
    group = record.get("group")
    named = str(group).strip() if pd.notna(group) else ""
    return (None if faults else _row(video_id, named or str(known.session[video_id]), start, stop, split, "fixed")), faults


def _overlaps(rows: list[dict[str, Any]]) -> list[str]:
    ordered = sorted(rows, key=lambda row: (row["video_id"], row["start_frame"], row["stop_frame"]))
    faults = []
    furthest: dict[str, dict[str, Any]] = {}
    for row in ordered:
        before = furthest.get(row["video_id"])
        if before and row["start_frame"] < before["stop_frame"]:
            faults.append(f"row {row['number']}: {row['video_id']} [{row['start_frame']}, {row['stop_frame']}) overlaps row {before['number']}")
        if before is None or row["stop_frame"] > before["stop_frame"]:
            furthest[row["video_id"]] = row
    return faults


def _filled(rows: list[dict[str, Any]], n_frames: int) -> list[dict[str, Any]]:
    result, position = [], 0
    rows = sorted(rows, key=lambda row: row["start_frame"])
    for row in rows:
        if row["start_frame"] > position:
            result.append({**row, "start_frame": position, "stop_frame": row["start_frame"], "split": "gap"})
        result.append(row)
        position = row["stop_frame"]
    if position < n_frames:
        result.append({**rows[-1], "start_frame": position, "stop_frame": n_frames, "split": "gap"})
    return [{key: value for key, value in row.items() if key != "number"} for row in result]


def _row(video_id: str, group: str, start: int, stop: int, split: str, mode: str) -> dict[str, Any]:
    return {"video_id": video_id, "group": group, "start_frame": int(start), "stop_frame": int(stop), "split": split, "mode": mode}


def _sorted(rows: list[dict[str, Any]]) -> pd.DataFrame:
    columns = ["video_id", "group", "start_frame", "stop_frame", "split", "mode"]
    return pd.DataFrame(rows, columns=columns).sort_values(["video_id", "start_frame"], ignore_index=True)
