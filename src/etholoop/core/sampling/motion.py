"""motion: frames spread over how much moved, from the stillest to the liveliest of each source.

Uniform sampling of a resting animal gives the same picture again and again; the liveliest frames alone would never show rest.
Ranked by movement and picked at even distances in that ranking, both are there.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from etholoop.core.pixels import grey, shrink
from etholoop.core.sampling._shared import Features, Footage, in_order, picks_table, quotas, spread
from etholoop.params import Section

FEATURES = "1"
CONTEXT = 1

SIZE = 64
"""Cells per side; their means keep the animals and lose the noise of single pixels."""


class Params(Section):
    """Every ``frame_skip``-th frame of a video is compared with the one looked at before it."""

    frame_skip: int = Field(10, ge=1)


def features(images: Iterable[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """Mean absolute difference to the image before, in grey levels: (n, 1); NaN for the first."""
    rows, before = [], None
    for image in images:
        cells = shrink(grey(image), SIZE, SIZE)
        rows.append(np.nan if before is None else np.abs(cells - before).mean())
        before = cells
    return np.array(rows, np.float32).reshape(len(rows), 1)


def sample(
    footage: Sequence[Footage], features: Features, n_frames: int, *, max_per_video: int | None, params: Params, seed: int
) -> pd.DataFrame:
    """Picks at even distances in each source's ranking by movement; ``score`` is the movement, ``seed`` is not used.

    The first looked-at frame has no movement and is only taken when its source has no other.
    """
    ranked = [(source.video_id, *_ranking(*features[source.video_id])) for source in in_order(footage)]
    shares = quotas([len(frames) for _, frames, _ in ranked], n_frames, max_per_video)
    rows = []
    for (video_id, frames, movement), share in zip(ranked, shares, strict=True):
        for position in spread(len(frames), share):
            reason = _reason(movement[position], 100 * position // len(frames))
            rows.append({"video_id": video_id, "frame": frames[position], "reason": reason, "score": movement[position]})
    return picks_table(rows)


def _ranking(frames: NDArray[np.int64], values: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Frames and their movement from still to lively; equal movement by frame."""
    movement = values[:, 0] if len(values) else np.zeros(0, np.float32)
    known = ~np.isnan(movement) if len(movement) > 1 else np.ones(len(movement), bool)
    frames, movement = frames[known], movement[known]
    order = np.lexsort((frames, movement))
    return frames[order], movement[order]


def _reason(movement: float, percent: int) -> str:
    if np.isnan(movement):
        return "the only frame that was looked at in this source"
    return f"movement {movement:.2f} grey levels, livelier than {percent} % of the frames looked at in this source"
