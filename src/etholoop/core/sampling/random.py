"""random: frames drawn by lot, each source in proportion to its length.

Every source has its own order of frames, made from the seed and its id alone, and gives the first ones of that order. When a
new video lowers the share of an old one, the old one keeps a part of its former picks and no new ones appear in it.
"""

from collections.abc import Sequence

import pandas as pd

from etholoop.core.sampling._shared import Features, Footage, dealt, picks_table, rng_of
from etholoop.params import Section

FEATURES = None


class Params(Section):
    """No settings."""


def sample(
    footage: Sequence[Footage], features: Features, n_frames: int, *, max_per_video: int | None, params: Params, seed: int
) -> pd.DataFrame:
    """The first frames of each source's own random order; ``features`` are not used."""
    rows = [
        {
            "video_id": source.video_id,
            "frame": frame,
            "reason": f"drawn at random, one of {share} out of {len(source.frames)} frames (seed {seed})",
        }
        for source, share in dealt(footage, n_frames, max_per_video)
        for frame in rng_of(seed, source.video_id).permutation(source.frames)[:share]
    ]
    return picks_table(rows)
