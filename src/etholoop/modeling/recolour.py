"""Other colours for training pictures, so that an animal is known by its shape and not by the coat and floor it was labelled with.

A few labelled sessions show few combinations of coat, floor and light. Brightness and hue alone never turn a black animal on
white into a white one on black.
"""

import numpy as np

GREY_SHARE, NEGATIVE_SHARE = 0.3, 0.5
"""Of the pictures that are recoloured at all."""


def recoloured(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A uint8 picture (h, w, 3) with its channels in random order, sometimes without colour, sometimes as a negative."""
    image = image[:, :, rng.permutation(3)]
    if rng.random() < GREY_SHARE:
        image = np.repeat(image.mean(axis=2, keepdims=True), 3, axis=2).astype(np.uint8)
    if rng.random() < NEGATIVE_SHARE:
        image = 255 - image
    return np.ascontiguousarray(image)
