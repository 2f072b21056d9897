"""Splits of single recordings: each source cut in blocks, with a gap between blocks of different splits.

Blocks of one recording share the animals, the cage and the day, so figures made this way are milder than those of new recordings.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from etholoop.core.splits import check_assigned, interval, table_of, unit_hash
from etholoop.errors import FaultsError

Piece = tuple[int, int, int, str]
"""Number of the block, start and stop position in the list of existing frames, split."""


@dataclass(frozen=True)
class Cutting:
    """How sources are cut. The gap is ``gap_s`` seconds, or ``gap_frames`` images where there is no frame rate (image folders)."""

    blocks: int
    gap_s: float
    gap_frames: int
    seed: int
    test: float
    val: float
    assign: Mapping[str, str]

    def gap_of(self, video: Mapping[Any, Any]) -> int:
        """Existing frames to leave out, rounded up."""
        if not video["fps_num"]:
            return self.gap_frames
        return math.ceil(Fraction(str(self.gap_s)) * Fraction(int(video["fps_num"]), int(video["fps_den"])))


def by_blocks(videos: pd.DataFrame, images: pd.DataFrame, cutting: Cutting) -> pd.DataFrame:
    """Each source cut into blocks of equally many existing frames; blocks of different splits are kept apart by a gap.

    The gap is taken from the training block where there is one, else from the later block. Group names are
    ``<video_id>#<block number>``. How one source is cut does not depend on the others.

    Args:
        videos: table ``schema.videos.Videos``.
        images: table ``schema.videos.Images``.

    Raises:
        FaultsError: sources too short for so many blocks or so long a gap, or an assigned block that does not exist.
    """
    of_folder = {str(video_id): np.sort(part["frame"].to_numpy()) for video_id, part in images.groupby("video_id")}
    check_assigned(cutting.assign, [f"{video_id}#{block}" for video_id in sorted(videos["video_id"]) for block in range(cutting.blocks)])
    rows, faults = [], []
    for video in videos.to_dict("records"):
        frames = np.arange(video["n_frames"]) if video["kind"] == "video" else of_folder.get(video["video_id"], np.zeros(0, np.int64))
        cut, found = _cut(video["video_id"], frames, int(video["n_frames"]), cutting.gap_of(video), cutting)
        rows += cut
        faults += found
    if faults:
        raise FaultsError("split.mode: blocks", faults, "Lower split.blocks, split.gap_s or split.gap_frames in params.yaml.")
    return table_of(rows)


def _cut(video_id: str, frames: NDArray[np.int64], n_frames: int, gap: int, cutting: Cutting) -> tuple[list[dict[str, Any]], list[str]]:
    """Rows of one source, and what is wrong with them."""
    n = cutting.blocks
    if len(frames) < n:
        return [], [f"{video_id}: {len(frames)} frames cannot be cut into {n} blocks"]
    names = [f"{video_id}#{block}" for block in range(n)]
    edges = [len(frames) * block // n for block in range(n + 1)]
    pieces = _with_gaps(edges, _splits_of_blocks(names, cutting), gap)
    # intervals cover the source from 0 to its end, whatever numbers exist
    bounds = [0, *frames[1:].tolist(), n_frames]
    rows = [interval(video_id, names[block], (bounds[start], bounds[stop]), split, "blocks") for block, start, stop, split in pieces]
    lost = sorted(set(range(n)) - {block for block, _, _, split in pieces if split != "gap"})
    return rows, [f"{names[block]}: the gap of {gap} leaves nothing of its {edges[block + 1] - edges[block]} frames" for block in lost]


def _splits_of_blocks(names: list[str], cutting: Cutting) -> list[str]:
    """Exact numbers of test and val blocks, the blocks drawn by their hash; at least one of each that is wanted."""
    n = len(names)
    n_test = max(round(cutting.test * n), 1 if cutting.test > 0 else 0)
    n_val = max(round(cutting.val * n), 1 if cutting.val > 0 else 0)
    order = sorted(range(n), key=lambda block: unit_hash(cutting.seed, names[block]))
    result = ["train"] * n
    for block in order[:n_test]:
        result[block] = "test"
    for block in order[n_test : n_test + n_val]:
        result[block] = "val"
    return [cutting.assign.get(name, split) for name, split in zip(names, result, strict=True)]


def _with_gaps(edges: list[int], splits: list[str], gap: int) -> list[Piece]:
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
