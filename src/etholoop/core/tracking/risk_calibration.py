"""How often what speaks for an exchange comes true: nats to probabilities, as measured on tracks whose animals are known.

Nats of one place are not to be taken at their word: place, extent and pose are not independent of each other, the global association knew
more than one place tells, and where much is doubtful at once (crowds, false detections, blinking ones) each doubt is worse than it looks,
since every wrong link spoils the evidence beside it. So the probability is a logistic function of the nats and of how much of the video is
in doubt, one for exchanges from there on and one for single detections in the wrong track.

Fitted on the development seeds (0 to 29) of `benchmarks/identity.py` and on harder variants of them (crowds, false detections, a worse
detector), the latter counting half; checked on other seeds, see `benchmarks/RESULTS.md`.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

EXCHANGE = (0.46, 0.22, 0.92)
SINGLE = (2.0, 0.35, 1.36)
"""Log odds at 0 nats in a video with one doubt in 1000 detections, their change with each nat, and with the logarithm of the doubts."""

LEAST, MOST = -14.0, 5.0
"""Nats between which it was measured; less tells no more, and more, which other trackers' tracks and people's may show, counts half."""

USUAL, BELIEVED = 0.1, 2000.0
"""Doubts in 1000 detections of a usual video, which count as much as so many detections of the video itself."""


def doubts_per_1000(crossed: Floats, n_detections: int) -> float:
    """How doubtful a video is: the sum of what its places (m,) were crossed with by themselves, for each 1000 detections."""
    return float(1000 * (crossed.sum() + USUAL * BELIEVED / 1000) / (n_detections + BELIEVED))


def come_true(nats: Floats, single: NDArray[np.bool_], doubts: float) -> Floats:
    """Probability (m,) that each place is an exchange.

    Args:
        nats: (m,) for an exchange. ``single``: (m,) a few detections only. ``doubts``: of the video, see :func:`doubts_per_1000`.
    """
    level, slope, crowd = np.where(single[:, None], SINGLE, EXCHANGE).T
    odds = level + slope * np.clip(nats, LEAST, MOST) + crowd * np.log(doubts) + np.clip(nats - MOST, 0, 60) / 2
    return np.asarray(1 / (1 + np.exp(-odds)))
