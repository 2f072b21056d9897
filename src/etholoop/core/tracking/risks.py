"""The review queue: where the tracks of a video, made by whatever tracker or person, may have exchanged two animals."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from etholoop.core.tracking.detections import DetectionFrames
from etholoop.core.tracking.identify import doubts
from etholoop.core.tracking.swaps import Encounters

LEAST = 1e-3
"""Less risk than this is not worth a look."""

SINGLE = "single detection"
"""Reason of a risk that nothing after it depends on."""

COLUMNS = ["frame", "track_a", "track_b", "risk", "reasons", "start_frame", "stop_frame"]

NOTHING = pd.DataFrame({name: pd.Series(dtype={"risk": "float64", "reasons": "str"}.get(name, "int64")) for name in COLUMNS})


def risks_of(frames: DetectionFrames, tracks: pd.DataFrame, n_animals: int | None = None) -> pd.DataFrame:
    """Columns of ``schema.tracks.SwapRisks`` without ``video_id``, the greatest risk first, then by frame."""
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
    """Encounters as rows for people."""
    step = frames.step
    kept = np.flatnonzero(found.risk_now >= LEAST)
    reasons = [_reasons(found, row) for row in kept.tolist()]
    table = pd.DataFrame(
        {
            "frame": np.rint(found.worst[kept] * step).astype(np.int64),
            "track_a": found.a[kept],
            "track_b": found.b[kept],
            "risk": np.clip(found.risk_now[kept], 0, 1),
            "reasons": pd.Series(reasons, dtype="str"),
            "start_frame": np.rint(found.start[kept] * step).astype(np.int64),
            "stop_frame": np.rint(found.stop[kept] * step).astype(np.int64) + 1,
        }
    )
    table = table.sort_values(["risk", "frame", "track_a", "track_b"], ascending=[False, True, True, True], ignore_index=True)
    return table.drop_duplicates(["frame", "track_a", "track_b"], ignore_index=True)


def _reasons(found: Encounters, row: int) -> str:
    if found.single[row]:
        return SINGLE
    words = ["small cost gap"]
    named = (("overlap", found.overlap), ("not seen", found.unseen), ("speed jump", found.jump), ("looks differ", found.looks_differ))
    return ", ".join(words + [word for word, told in named if told[row]])
