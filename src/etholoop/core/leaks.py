"""Leaks: frames in two splits that a model could recognise instead of understanding them."""

from collections.abc import Iterable, Mapping
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from etholoop.core.duplicates import MAX_LEVEL, near_duplicates

COLUMNS = ("rule", "split_a", "split_b", "video_a", "frame_a", "video_b", "frame_b", "detail")
RULES = ("same_group", "neighbours", "near_duplicate", "same_bytes")
ORDER = ("train", "val", "test")
FIELDS = (("split", "split"), ("video", "video_id"), ("frame", "frame"))


def find_leaks(
    dataset_index: pd.DataFrame, thumbnails: NDArray[np.uint8] | None, *, min_gap_frames: int, max_level: float = MAX_LEVEL
) -> pd.DataFrame:
    """Every leak between two splits, one row each, with an example pair of frames; no rows = no leak.

    * ``same_group``: a group lies in two splits (one row per group and pair of splits).
    * ``neighbours``: frames of one video in different splits, closer than ``min_gap_frames`` (0 switches the rule off).
    * ``same_bytes``: equal image files.
    * ``near_duplicate``: nothing moved between the two images. Like ``same_bytes`` it has one row per image of the later split
      (order train, val, test), naming the first partner and how many there are.

    Args:
        dataset_index: table ``schema.dataset.PoseDataset``.
        thumbnails: (n, 48, 48) of ``core.duplicates.thumbnails`` in the rows' order; None leaves out ``near_duplicate``.
        max_level: grey levels, see ``near_duplicates``.
    """
    if thumbnails is not None and len(thumbnails) != len(dataset_index):
        raise ValueError(f"expected one thumbnail per row of the index, found {len(thumbnails)} for {len(dataset_index)} rows")
    table = dataset_index.reset_index(drop=True).sort_values(["video_id", "frame"])
    thumbnails = None if thumbnails is None else thumbnails[table.index]
    table = table.reset_index(drop=True)
    rows = [*_same_group(table), *_neighbours(table, min_gap_frames), *_same_bytes(table)]
    if thumbnails is not None:
        rows += _near_duplicates(table, thumbnails, max_level)
    rows.sort(key=_key)
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"frame_a": "int64", "frame_b": "int64"})


def _key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return (RULES.index(row["rule"]), *(row[name] for name in COLUMNS[1:]))


def _row(table: pd.DataFrame, rule: str, a: int, b: int, detail: str) -> dict[str, Any]:
    """A leak between rows ``a`` and ``b``; the earlier split is named first."""
    if ORDER.index(table.at[b, "split"]) < ORDER.index(table.at[a, "split"]):
        a, b = b, a
    sides = {f"{field}_{side}": table.at[row, name] for side, row in (("a", a), ("b", b)) for field, name in FIELDS}
    return {"rule": rule, **sides, "detail": detail}


def _same_group(table: pd.DataFrame) -> Iterable[dict[str, Any]]:
    for group, part in table.groupby("group"):
        sizes = part["split"].value_counts()
        for a, b in combinations([name for name in ORDER if name in sizes.index], 2):
            first, second = (part.index[part["split"] == name][0] for name in (a, b))
            yield _row(table, "same_group", first, second, f"group '{group}' has {sizes[a]} frames in {a} and {sizes[b]} in {b}")


def _neighbours(table: pd.DataFrame, min_gap_frames: int) -> Iterable[dict[str, Any]]:
    """Two frames closer than the gap in different splits imply such a pair among consecutive frames, so those are enough."""
    video, split = table["video_id"].to_numpy(), table["split"].to_numpy()
    distance = np.diff(table["frame"].to_numpy())
    for position in np.flatnonzero((video[1:] == video[:-1]) & (split[1:] != split[:-1]) & (distance < min_gap_frames)):
        detail = f"{distance[position]} frames apart, at least {min_gap_frames} are wanted"
        yield _row(table, "neighbours", int(position), int(position) + 1, detail)


def _same_bytes(table: pd.DataFrame) -> Iterable[dict[str, Any]]:
    for sha256, part in table.groupby("sha256"):
        for a, b in combinations(ORDER, 2):
            first, second = (part.index[part["split"] == name].tolist() for name in (a, b))
            for row in second if first else ():
                yield _row(table, "same_bytes", first[0], row, f"same image file, sha256 {str(sha256)[:12]}…, {_count(len(first), a)}")


def _near_duplicates(table: pd.DataFrame, thumbnails: NDArray[np.uint8], max_level: float) -> Iterable[dict[str, Any]]:
    splits = table["split"].to_numpy()
    for a, b in combinations(ORDER, 2):
        first, second = np.flatnonzero(splits == a), np.flatnonzero(splits == b)
        if not len(first) or not len(second):
            continue
        pairs = near_duplicates(thumbnails[first], thumbnails[second], max_level)
        for position in np.unique(pairs[:, 1]):
            partners = pairs[pairs[:, 1] == position, 0]
            detail = f"nothing changed by more than {max_level:g} grey levels; {_count(len(partners), a)}"
            yield _row(table, "near_duplicate", int(first[partners.min()]), int(second[position]), detail)


def _count(n: int, split: str) -> str:
    return f"{n} such image{'s' * (n != 1)} in {split}"
