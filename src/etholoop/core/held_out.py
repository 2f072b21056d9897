"""The frames that judge the model: a random stride inside the test groups, fixed before any model exists."""

import hashlib

import numpy as np
import pandas as pd


def held_out_frames(sampled: pd.DataFrame, *, per_video: int, seed: int) -> pd.DataFrame:
    """Evenly spaced sampled frames of each test video, from an offset that depends on the seed and the video's name only.

    Neither the model nor the labels have a say, and other videos change nothing. A video with fewer frames gives them all.

    Args:
        sampled: video_id, frame of the sampled frames in test groups; other columns are kept.

    Returns:
        The chosen rows, sorted by video and frame.
    """
    parts = [
        part.iloc[_stride(len(part), per_video, f"{seed}|{video_id}")]
        for video_id, part in sampled.sort_values(["video_id", "frame"]).groupby("video_id", sort=True)
    ]
    return pd.concat(parts, ignore_index=True) if parts else sampled.iloc[:0].reset_index(drop=True)


def _stride(n: int, wanted: int, name: str) -> np.ndarray:
    wanted = min(n, wanted)
    if not wanted:
        return np.zeros(0, dtype=int)
    offset = int(hashlib.sha256(name.encode()).hexdigest()[:12], 16) / 16**12
    return np.floor((np.arange(wanted) + offset) * n / wanted).astype(int)
