"""Labels of behaviour by frame: what people said of the time that they looked at, cut to where the animal has boxes and to splits."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from etholoop.core.bouts.intervals import flags_of
from etholoop.core.splits import USED

Interval = tuple[int, int]


@dataclass(frozen=True)
class Stretch:
    """Neighbouring frames [start, stop) of one animal that were looked at, inside one split.

    ``context``: clips may reach so far: the same animal, not lost meanwhile, the same split.
    """

    video_id: str
    track: int
    subject: str
    split: str
    group: str
    frames: Interval
    context: Interval


def stretches(
    video_id: str,
    subject: str,
    tracks: Mapping[int, np.ndarray],
    looked_at: Sequence[Interval],
    splits: pd.DataFrame,
    *,
    whole: Mapping[int, np.ndarray] | None = None,
) -> Iterator[Stretch]:
    """Stretches of one subject by track and time.

    Args:
        tracks: frames of each track in which it is this subject, ascending; -1 for the whole picture.
        whole: all frames of each track, which clips may show; by default those of ``tracks``.
        looked_at: time that people looked at.
        splits: rows of ``schema.splits.Splits`` of this video. Rows of split ``gap`` are left out.
    """
    parts = splits[splits["split"].isin(USED)].sort_values("start_frame")
    for track, frames in sorted(tracks.items()):
        own_runs = np.array(runs(frames if whole is None else whole[track])).reshape(-1, 2)
        for run in runs(frames):
            start, stop = own_runs[np.searchsorted(own_runs[:, 0], run[0], side="right") - 1].tolist()
            row: Any
            for row in parts.itertuples(index=False):
                context = common((start, stop), (int(row.start_frame), int(row.stop_frame)))
                for seen in sorted(looked_at):
                    inside = common(common(context, seen), run)
                    if inside[0] < inside[1]:
                        yield Stretch(video_id, track, subject, str(row.split), str(row.group), inside, context)


def runs(frames: np.ndarray) -> list[Interval]:
    """Intervals of neighbouring frames."""
    frames = np.asarray(frames, np.int64)
    if not len(frames):
        return []
    edges = np.flatnonzero(np.diff(frames) > 1)
    starts, ends = np.concatenate([[0], edges + 1]), np.concatenate([edges, [len(frames) - 1]])
    return [(int(frames[a]), int(frames[b]) + 1) for a, b in zip(starts, ends, strict=True)]


def common(one: Interval, other: Interval) -> Interval:
    """The frames in both; empty where start >= stop."""
    return max(one[0], other[0]), min(one[1], other[1])


def marks(stretch: Stretch, bouts: pd.DataFrame, behaviours: Sequence[str]) -> np.ndarray:
    """Labels (n, K) int8 of a stretch: 1 in a bout, 0 outside; ``bouts`` are those of its subject."""
    start, stop = stretch.frames
    line = np.zeros((stop - start, len(behaviours)), np.int8)
    for k, name in enumerate(behaviours):
        own = bouts.loc[bouts["behaviour"] == name, ["start_frame", "stop_frame"]].to_numpy(np.int64)
        line[:, k] = flags_of((own - start).tolist(), stop - start)
    return line


def without_edges(labels: np.ndarray, n_frames: int) -> np.ndarray:
    """Labels (n, K) with -1, not known, within ``n_frames`` frames of each begin and end of a bout: people differ there."""
    masked = np.array(labels, np.int8)
    for step in np.argwhere(np.diff(labels.astype(np.int16), axis=0) != 0):
        # the change lies between frame and frame + 1
        frame, k = int(step[0]), int(step[1])
        masked[max(0, frame + 1 - n_frames) : frame + 1 + n_frames, k] = -1
    return masked
