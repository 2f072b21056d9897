"""uniform: frames at even distances, each source in proportion to its length."""

from collections.abc import Sequence

import pandas as pd

from etholoop.core.sampling._shared import Features, Footage, dealt, picks_table, spread
from etholoop.params import Section

FEATURES = None


class Params(Section):
    """No settings."""


def sample(
    footage: Sequence[Footage], features: Features, n_frames: int, *, max_per_video: int | None, params: Params, seed: int
) -> pd.DataFrame:
    """The middles of equal parts of each source; ``features`` and ``seed`` are not used."""
    rows = [
        {"video_id": source.video_id, "frame": frame, "reason": f"evenly spaced, {number} of {share} in this source"}
        for source, share in dealt(footage, n_frames, max_per_video)
        for number, frame in enumerate(source.frames[spread(len(source.frames), share)], start=1)
    ]
    return picks_table(rows)
