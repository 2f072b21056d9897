"""Random streams named by words: the same words give the same numbers, in any order and on any machine."""

import hashlib

import numpy as np


def stream(*words: str | int) -> np.random.Generator:
    """A generator of its own for these words, for example ``stream(seed, session, "coat", 2)``."""
    text = "\x1f".join(map(str, words))
    return np.random.default_rng(np.frombuffer(hashlib.sha256(text.encode()).digest()[:16], dtype=np.uint32))
