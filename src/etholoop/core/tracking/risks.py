"""The review queue: where the tracks of a video, made by whatever tracker or person, may have exchanged two animals."""

from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from etholoop.core.tracking.detections import DetectionFrames
from etholoop.core.tracking.identify import doubts
from etholoop.core.tracking.risk_calibration import come_true, doubts_per_1000
from etholoop.core.tracking.swaps import NEXT, Encounters, together

LEAST = 1e-3
"""Less risk than this is not worth a look."""

SINGLE = "single detection"
"""Reason of a risk that nothing after it depends on."""

COLUMNS = ["frame", "track_a", "track_b", "risk", "reasons", "start_frame", "stop_frame"]

NOTHING = pd.DataFrame({name: pd.Series(dtype={"risk": "float64", "reasons": "str"}.get(name, "int64")) for name in COLUMNS})


def risks_of(frames: DetectionFrames, tracks: pd.DataFrame, n_animals: int | None = None) -> pd.DataFrame:
    """Columns of ``schema.tracks.SwapRisks`` without ``video_id``, in the order of :func:`by_worth`."""
    number = track_numbers(frames, tracks)
    if not (number >= 0).any():
        return NOTHING.copy()
    return queue(doubts(frames, number, n_animals or frames.n_animals), frames)


def track_numbers(frames: DetectionFrames, tracks: pd.DataFrame) -> NDArray[np.int64]:
    """Track of each detection, -1 = in none."""
    seen = tracks[tracks["instance"] >= 0]
    index = pd.MultiIndex.from_arrays([frames.frame, frames.instance])
    wanted = pd.Series(seen["track"].to_numpy(), index=pd.MultiIndex.from_arrays([seen["frame"], seen["instance"]]))
    wanted = wanted[~wanted.index.duplicated()]
    return wanted.reindex(index, fill_value=-1).to_numpy(np.int64)


def queue(found: Encounters, frames: DetectionFrames) -> pd.DataFrame:
    """Encounters as rows for people: what shows most risk for each frame to be looked at comes first."""
    kept = _together(found.only(np.flatnonzero(found.risk_now >= LEAST)))
    step = frames.step
    risk = come_true(kept.nats, kept.single, doubts_per_1000(kept.crossed, frames.n))
    table = pd.DataFrame(
        {
            "frame": np.rint(kept.worst * step).astype(np.int64),
            "track_a": kept.a,
            "track_b": kept.b,
            "risk": risk,
            "reasons": pd.Series([_reasons(kept, row) for row in range(len(risk))], dtype="str"),
            "start_frame": np.rint(kept.start * step).astype(np.int64),
            "stop_frame": np.rint(kept.stop * step).astype(np.int64) + 1,
        }
    )
    return by_worth(table).drop_duplicates(["frame", "track_a", "track_b"], ignore_index=True)


def by_worth(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of a queue by the risk that each of their frames shows, then by frame."""
    worth = table["risk"] / (table["stop_frame"] - table["start_frame"])
    order = np.lexsort((table["track_b"], table["track_a"], table["frame"], -worth))
    return table.iloc[order].reset_index(drop=True)


def _together(found: Encounters) -> Encounters:
    """Single detections of the same two tracks one after another as one place, with the evidence of the most doubtful one."""
    apart, row = np.flatnonzero(~found.single), np.flatnonzero(found.single)
    row = row[np.lexsort((found.start[row], found.b[row], found.a[row]))]
    if not len(row):
        return found
    a, b, start = found.a[row], found.b[row], found.start[row]
    other = np.r_[True, (a[1:] != a[:-1]) | (b[1:] != b[:-1])]
    latest = found.stop[row].copy()
    for place in range(1, len(row)):
        if not other[place]:
            latest[place] = max(latest[place], latest[place - 1])
    begins = np.flatnonzero(other | np.r_[True, start[1:] > latest[:-1] + NEXT])
    group = np.repeat(np.arange(len(begins)), np.diff(np.r_[begins, len(row)]))
    most = np.lexsort((-found.nats[row], group))[begins]
    first, last = start[begins], np.maximum.reduceat(found.stop[row], begins)
    merged = replace(found.only(row[most]), start=first, stop=last)
    return together(found.only(apart), merged)


def _reasons(found: Encounters, row: int) -> str:
    if found.single[row]:
        return SINGLE
    words = ["small cost gap"]
    named = (("overlap", found.overlap), ("not seen", found.unseen), ("speed jump", found.jump), ("looks differ", found.looks_differ))
    return ", ".join(words + [word for word, told in named if told[row]])
