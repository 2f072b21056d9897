"""How often each colour occurs, as evidence for what is animal and what is ground (histogram backprojection, Swain & Ballard 1991)."""

import numpy as np
from numpy.typing import NDArray

RARE = 1e-4
"""Share that a colour has at least, so that one never seen decides nothing."""


def log_shares(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logarithm of the share of each colour; ``counts`` (lightness, tint, tint), neighbours mixed by ¼, ½, ¼ along each axis."""
    for axis in range(3):
        line = np.moveaxis(counts, axis, 0)
        mixed = 2 * line
        mixed[1:] += line[:-1]
        mixed[:-1] += line[1:]
        mixed[[0, -1]] += line[[0, -1]]
        counts = np.moveaxis(mixed / 4, 0, axis)
    return np.asarray(np.log(counts / max(counts.sum(), 1e-9) + RARE))
