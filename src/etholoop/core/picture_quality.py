"""How far a copy of a picture is from the original."""

import numpy as np

from etholoop.core.pixels import Image, grey


def psnr(original: Image, copy: Image) -> float:
    """Peak signal-to-noise ratio of the luma in dB: ``10 log10(255² / mean squared error)``; infinite when equal.

    Raises:
        ValueError: pictures of different size.
    """
    if original.shape[:2] != copy.shape[:2]:
        raise ValueError(f"pictures of different size: {original.shape[1::-1]} and {copy.shape[1::-1]}")
    difference = grey(original).astype(np.float64) - grey(copy)
    error = float(np.mean(difference**2))
    return 10 * float(np.log10(255**2 / error)) if error else float("inf")
