"""How right identities are, estimated without truth from the risks of exchange alone."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from etholoop.core.tracking.risks import SINGLE, by_worth

EDGES = (0.0, 0.01, 0.05, 0.2, 0.5, 1.0)
"""Between which risks are counted together."""

NO_FRAME = np.zeros(0, np.int64)


@dataclass(frozen=True)
class Estimate:
    """``accuracy``: share of detections with the right identity. ``n_switches``: exchanges to be expected."""

    accuracy: float
    n_switches: float


def estimated(tracks: pd.DataFrame, risks: pd.DataFrame) -> Estimate:
    """Estimate for the tracks of one video.

    An identity is what the middle of the longest undoubted stretch of its track shows. Elsewhere it is right when an even number of the
    encounters between went wrong: (1 + product of (1 - 2 risk)) / 2, taking encounters as independent.
    """
    seen = tracks[tracks["state"] != "interpolated"]
    right = [_right(np.sort(own["frame"].to_numpy()), _of_track(risks, int(own["track"].iloc[0]))) for _, own in seen.groupby("track")]
    every = np.concatenate(right) if right else np.ones(1)
    single = risks["reasons"] == SINGLE
    # a detection in the wrong track changes its identity there and back
    return Estimate(float(every.mean()), float(risks["risk"].sum() + risks.loc[single, "risk"].sum()))


def first_share(queue: pd.DataFrame, n_frames: float) -> pd.DataFrame:
    """As many rows from the top, by worth, as show at most ``n_frames`` frames, but at least one; no frame of a video counts twice."""
    queue = by_worth(queue)
    shown: dict[Any, NDArray[np.int64]] = {}
    total = kept = 0
    for row in queue.to_dict("records"):
        video_id = row.get("video_id")
        frames = np.union1d(shown.get(video_id, NO_FRAME), np.arange(row["start_frame"], row["stop_frame"]))
        total += len(frames) - len(shown.get(video_id, NO_FRAME))
        if total > n_frames and kept:
            break
        shown[video_id] = frames
        kept += 1
    return queue.iloc[:kept]


def calibration(risk: NDArray[np.float64], wrong: NDArray[np.bool_], edges: tuple[float, ...] = EDGES) -> pd.DataFrame:
    """What was estimated against what came true: low, high, n, estimated (mean risk), observed (share that was wrong)."""
    place = np.clip(np.searchsorted(edges, risk, side="right") - 1, 0, len(edges) - 2)
    rows = []
    for number, (low, high) in enumerate(pairwise(edges)):
        own = place == number
        if own.any():
            share = float(wrong[own].mean())
            rows.append({"low": low, "high": high, "n": int(own.sum()), "estimated": float(risk[own].mean()), "observed": share})
    return pd.DataFrame(rows, columns=["low", "high", "n", "estimated", "observed"])


def _of_track(risks: pd.DataFrame, track: int) -> pd.DataFrame:
    risks = risks[risks["reasons"] != SINGLE]
    return risks[(risks["track_a"] == track) | (risks["track_b"] == track)].sort_values("frame")


def _right(frame: NDArray[np.int64], risks: pd.DataFrame) -> NDArray[np.float64]:
    """Probability, for each frame of a track, that it shows the animal of its longest undoubted stretch."""
    places = risks["frame"].to_numpy()
    parity = np.concatenate([[1.0], np.cumprod(np.maximum(1 - 2 * risks["risk"].to_numpy(), 1e-9))])
    stretch = np.searchsorted(places, frame, side="left")
    longest = np.bincount(stretch).argmax()
    between = parity[stretch] / parity[longest]
    return (1 + np.minimum(between, 1 / between)) / 2
