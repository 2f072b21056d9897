"""Which part of which source is for training, for choosing a model, or for judging it.

Groups (sessions, subjects, …) go by a stable hash of their name, so adding videos never moves an old one.
"""

import hashlib
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from etholoop.errors import EthoLoopError, FaultsError
from etholoop.params import nearest

USED = ("train", "val", "test")


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


def by_group(videos: pd.DataFrame, column: str, *, seed: int, test: float, val: float, assign: Mapping[str, str]) -> pd.DataFrame:
    """Whole sources by the hash of their group; ``assign`` wins over the hash.

    Args:
        videos: table ``schema.videos.Videos``.

    Returns:
        Rows of ``schema.splits.Splits``, one per source.

    Raises:
        FaultsError: a source without a group, or an assigned group that does not exist.
    """
    groups = groups_of(videos, column)
    check_assigned(assign, sorted(set(groups)))
    split = {group: assign.get(group) or split_of_group(group, seed, test, val) for group in sorted(set(groups))}
    rows = [
        interval(video_id, group, (0, int(n_frames)), split[group], "group")
        for video_id, group, n_frames in zip(videos["video_id"], groups, videos["n_frames"], strict=True)
    ]
    return table_of(rows)


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
    if n_groups < len(USED):
        remedy = "set split.mode: blocks in params.yaml, or add recordings (`etholoop videos add`)"
        return [f"{n_groups} group{'s' * (n_groups != 1)} cannot fill train, val and test ({', '.join(missing)} empty): {remedy}"]
    return [
        f"no {name} group among {n_groups} groups: type `etholoop splits suggest` and set split.seed in params.yaml" for name in missing
    ]


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


def suggest_seed(
    sizes: Mapping[str, int], *, test: float, val: float, assign: Mapping[str, str], seeds: range = range(1000)
) -> tuple[int, dict[str, float]]:
    """The seed whose shares of frames come nearest to the wanted ones; it looks at sizes only, never at labels.

    Args:
        sizes: frames of each group.

    Returns:
        The seed (the lowest of equals) and the share of frames of each split.

    Raises:
        EthoLoopError: no seed fills every wanted split.
    """
    wanted = {"train": 1 - test - val, "val": val, "test": test}
    best: tuple[float, int, dict[str, float]] | None = None
    for seed in seeds:
        share = _shares(sizes, {group: assign.get(group) or split_of_group(group, seed, test, val) for group in sizes})
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


def _shares(sizes: Mapping[str, int], split: Mapping[str, str]) -> dict[str, float]:
    total = sum(sizes.values())
    return {name: sum(n for group, n in sizes.items() if split[group] == name) / total if total else 0.0 for name in USED}


def check_assigned(assign: Mapping[str, str], known: list[str]) -> None:
    """Raise FaultsError for names in ``split.assign`` that are no group; each with the nearest one."""
    faults = [f"split.assign: unknown group '{name}'; {nearest(name, known)}" for name in assign if name not in known]
    if faults:
        raise FaultsError("params.yaml", faults, "Correct the file; nothing has been run.")


def interval(video_id: str, group: str, frames: tuple[int, int], split: str, mode: str) -> dict[str, Any]:
    """One row of a table of splits; ``frames`` is (start, stop), half-open."""
    return {"video_id": video_id, "group": group, "start_frame": frames[0], "stop_frame": frames[1], "split": split, "mode": mode}


def table_of(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Rows as a sorted table; works for no rows too."""
    columns = ["video_id", "group", "start_frame", "stop_frame", "split", "mode"]
    return pd.DataFrame(rows, columns=columns).sort_values(["video_id", "start_frame"], ignore_index=True)
