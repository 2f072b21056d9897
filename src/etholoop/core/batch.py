"""The next batch to label: what may be asked at all, and how priorities become a batch worth a person's time."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from etholoop.core.duplicates import MAX_LEVEL, SIZE, near_duplicates
from etholoop.core.splits import split_of

OFFERED = ("train", "val")
"""Splits whose frames people may be asked about; test groups have their own list (``core.held_out``), gap frames are used by nothing."""

RANDOM, VALIDATION, SPACED = "random", "validation", "random_spaced"
"""Names of the shares in column ``acquisition``. ``random`` is the unbiased sample only; when the acquisition function is itself
``random``, its picks are called ``random_spaced``, because they keep the gap and the quota."""


@dataclass(frozen=True)
class Batch:
    """Picks, one row each (rank, video_id, frame, session, split, acquisition, priority, reason), and what the filters refused."""

    picks: pd.DataFrame
    refused: dict[str, int]
    note: str
    """Why there are fewer picks than wanted; empty if there are not."""


def candidates_of(frames: pd.DataFrame, splits: pd.DataFrame, labelled: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    """Sampled frames that people may be asked about, with their split, and how many were left out for which reason.

    All three tables have video_id and frame (``splits``: ``schema.splits.Splits``). Sorted by video and frame.
    """
    table = frames.sort_values(["video_id", "frame"]).reset_index(drop=True)
    table["split"] = split_of(splits, table["video_id"], table["frame"]) if len(table) else np.zeros(0, dtype="<U5")
    known = pd.MultiIndex.from_frame(labelled[["video_id", "frame"]])
    done = pd.MultiIndex.from_frame(table[["video_id", "frame"]]).isin(known)
    offered = table["split"].isin(OFFERED).to_numpy()
    left_out = {
        "in test groups": int((table["split"] == "test").sum()),
        "in gaps between blocks": int((table["split"] == "gap").sum()),
        "labelled already": int((offered & done).sum()),
    }
    return table[offered & ~done].reset_index(drop=True), left_out


def pick_batch(
    candidates: pd.DataFrame,
    *,
    n: int,
    acquisition: str,
    share_random: float,
    min_gap_s: float,
    fps: Mapping[str, Fraction | None],
    quota_per_video: int,
    rng: np.random.Generator,
    thumbnails: NDArray[np.uint8] | None = None,
    labelled_thumbnails: NDArray[np.uint8] | None = None,
    near_duplicate_level: float = MAX_LEVEL,
) -> Batch:
    """Choose up to ``n`` frames; the order of the rows does not matter.

    Three shares:

    1. *random*: ``share_random`` of the batch, a plain uniform sample of all candidates, drawn before any priority is looked at and not
       filtered by anything, so that it estimates how often things really happen.
    2. *validation*: of the rest, as large a part as val groups have among the candidates, drawn by lot, so that what chooses the model
       looks like the recordings and not like the hard questions.
    3. the acquisition function: train frames by falling priority; equal priorities in an order drawn by lot.

    Shares 2 and 3 keep ``min_gap_s`` to every other pick of the same video (image folders have no clock and no gap), take at most
    ``quota_per_video`` frames of a video (random picks count), and no near-duplicate of a pick or a labelled frame. The gap is not kept
    to labelled frames: the model has learned from those, and a frame beside one that it still doubts is worth asking about.
    Ranks are interleaved: whoever stops early has labelled all shares in proportion.

    Args:
        candidates: video_id, frame, session, split (train or val), priority (finite).
        fps: frame rate of each video, None for image folders.
        thumbnails: (len(candidates), 48, 48) in the order of the rows; None = near-duplicates are not looked for.
        labelled_thumbnails: of labelled frames, any number.

    Raises:
        ValueError: candidates that must never be offered, priorities that are no numbers, a frame twice.
    """
    _check(candidates)
    acquisition = SPACED if acquisition == RANDOM else acquisition
    order = np.lexsort((candidates["frame"], candidates["video_id"].astype(str)))
    table = candidates.iloc[order].reset_index(drop=True)
    looks = None if thumbnails is None else _Looks(thumbnails[order], labelled_thumbnails, near_duplicate_level)
    walk = _Walk(table, fps, min_gap_s, quota_per_video, looks)

    lot = rng.permutation(len(table))
    n_random = min(len(table), math.floor(n * share_random + 0.5))
    for position in lot[:n_random]:
        walk.take(int(position), RANDOM)
    by_lot = [int(position) for position in lot[n_random:] if table["split"][position] == "val"]
    place = np.argsort(lot)
    falling = np.lexsort((place, -table["priority"].to_numpy(dtype=float)))
    by_priority = [int(position) for position in falling if table["split"][position] == "train"]
    n_validation = math.floor((n - n_random) * (table["split"] == "val").mean() + 0.5) if len(table) else 0
    walk.along(by_lot, VALIDATION, n_random + n_validation)
    walk.along(by_priority, acquisition, n)
    walk.along(by_lot, VALIDATION, n)
    return Batch(_picks(walk, acquisition), dict(walk.refused), _note(walk, n))


def _check(candidates: pd.DataFrame) -> None:
    offered = candidates["split"].isin(OFFERED)
    if not offered.all():
        bad = candidates[~offered].iloc[0]
        raise ValueError(f"{bad['video_id']} frame {bad['frame']} is of split '{bad['split']}' and must never be offered")
    if not np.isfinite(candidates["priority"].to_numpy(dtype=float)).all():
        raise ValueError("priorities must be finite numbers")
    if candidates.duplicated(["video_id", "frame"]).any():
        raise ValueError("a candidate is listed twice")


class _Looks:
    """Near-duplicates of labelled frames, found once, and of picks, found as they come."""

    def __init__(self, thumbnails: NDArray[np.uint8], labelled: NDArray[np.uint8] | None, level: float):
        self.thumbnails, self.level = thumbnails, level
        self.known = np.zeros(len(thumbnails), dtype=bool)
        if labelled is not None and len(labelled) and len(thumbnails):
            self.known[near_duplicates(thumbnails, labelled, level)[:, 0]] = True

    def repeats(self, position: int, picks: list[int]) -> bool:
        if self.known[position] or not picks:
            return bool(self.known[position])
        chosen = self.thumbnails[picks].reshape(-1, SIZE, SIZE)
        return len(near_duplicates(self.thumbnails[[position]], chosen, self.level)) > 0


@dataclass
class _Walk:
    """The batch as it grows."""

    table: pd.DataFrame
    fps: Mapping[str, Fraction | None]
    min_gap_s: float
    quota: int
    looks: _Looks | None
    picks: list[int] = field(default_factory=list)
    shares: list[str] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.videos = self.table["video_id"].astype(str).tolist()
        self.frames = self.table["frame"].astype(int).tolist()
        self.picked_of: dict[str, list[int]] = {}
        self.of_video: Counter[str] = Counter()
        self.seen: set[int] = set()

    def take(self, position: int, share: str) -> None:
        video = self.videos[position]
        self.seen.add(position)
        self.picks.append(position)
        self.shares.append(share)
        self.of_video[video] += 1
        self.picked_of.setdefault(video, []).append(self.frames[position])

    def along(self, positions: list[int], share: str, until: int) -> None:
        """Take what no filter refuses, until the batch holds ``until`` picks. An objection never goes away, so it is counted once."""
        for position in positions:
            if len(self.picks) >= until:
                return
            if position in self.seen:
                continue
            self.seen.add(position)
            reason = self.objection(position)
            if reason:
                self.refused[reason] += 1
            else:
                self.take(position, share)

    def objection(self, position: int) -> str:
        video = self.videos[position]
        if self.of_video[video] >= self.quota:
            return "quota"
        gap = _gap_frames(self.fps[video], self.min_gap_s)
        if any(abs(self.frames[position] - other) < gap for other in self.picked_of.get(video, ())):
            return "gap"
        if self.looks and self.looks.repeats(position, self.picks):
            return "near_duplicate"
        return ""

    def nearest_pick(self, position: int) -> str:
        """How far the next pick of the same video is, in words."""
        video, frame = self.videos[position], self.frames[position]
        others = [abs(frame - self.frames[p]) for p in self.picks if p != position and self.videos[p] == video]
        if not others:
            return "no other pick in this recording"
        rate = self.fps[video]
        distance = f"{float(min(others) / rate):.1f} s" if rate else f"{min(others)} frame numbers"
        return f"nearest other pick {distance} away"


def _gap_frames(rate: Fraction | None, gap_s: float) -> int:
    return math.ceil(Fraction(str(gap_s)) * rate) if rate else 0


def _picks(walk: _Walk, acquisition: str) -> pd.DataFrame:
    table = walk.table
    place = np.empty(len(table), dtype=int)
    scored = np.flatnonzero(table["split"] == "train")
    place[scored[np.argsort(-table["priority"].to_numpy(dtype=float)[scored], kind="stable")]] = np.arange(1, len(scored) + 1)
    rows: list[dict[str, Any]] = []
    for position, share in _interleaved(walk):
        row = table.iloc[position]
        words = {
            RANDOM: f"drawn by lot from all {len(table)} candidates, whatever the model thinks",
            VALIDATION: "recording of the validation groups, drawn by lot so that it looks like the recordings",
        }
        why = words.get(share) or f"{acquisition} {row['priority']:.2f}, rank {place[position]} of {len(scored)}"
        rows.append(
            {
                "rank": len(rows),
                "video_id": row["video_id"],
                "frame": int(row["frame"]),
                "session": row["session"],
                "split": row["split"],
                "acquisition": share,
                "priority": float(row["priority"]),
                "reason": f"{why}; {walk.nearest_pick(position)}",
            }
        )
    columns = ["rank", "video_id", "frame", "session", "split", "acquisition", "priority", "reason"]
    return pd.DataFrame(rows, columns=columns)


def _interleaved(walk: _Walk) -> list[tuple[int, str]]:
    """Picks in an order whose every beginning holds the shares in proportion, each share in its own order."""
    size = Counter(walk.shares)
    met: Counter[str] = Counter()
    keyed = []
    for position, share in zip(walk.picks, walk.shares, strict=True):
        keyed.append(((met[share] + 0.5) / size[share], -size[share], share, position))
        met[share] += 1
    return [(position, share) for _, _, share, position in sorted(keyed)]


WORDS = {
    "gap": "too close in time to another pick",
    "quota": "beyond the quota of their video",
    "near_duplicate": "near-duplicates of a pick or a labelled frame",
}


def _note(walk: _Walk, n: int) -> str:
    if len(walk.picks) >= n:
        return ""
    why = [f"{walk.refused[name]} {words}" for name, words in WORDS.items() if walk.refused[name]]
    return f"{len(walk.picks)} of {n} frames: {len(walk.table)} candidates, of which {'; '.join(why) if why else 'none was refused'}."
