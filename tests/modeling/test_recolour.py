"""Other colours for training pictures."""

import numpy as np

from etholoop.modeling.detectors._yolo_recolour import Recolour
from etholoop.modeling.recolour import recoloured

ONE_PIXEL = np.array([[[10, 20, 60]]], np.uint8)
GREY = (30, 30, 30)


def test_what_becomes_of_a_pixel() -> None:
    found = {tuple(int(value) for value in recoloured(ONE_PIXEL, np.random.default_rng(seed))[0, 0]) for seed in range(200)}
    orders = {(10, 20, 60), (10, 60, 20), (20, 10, 60), (20, 60, 10), (60, 10, 20), (60, 20, 10)}
    both = orders | {GREY}
    assert found == both | {tuple(255 - value for value in pixel) for pixel in both}


def test_all_pixels_of_a_picture_are_recoloured_alike_and_the_picture_is_left_as_it_was() -> None:
    image = np.repeat(ONE_PIXEL, 12, axis=0).reshape(3, 4, 3)
    before = image.copy()
    for seed in range(20):
        changed = recoloured(image, np.random.default_rng(seed))
        assert changed.shape == image.shape
        assert changed.dtype == np.uint8
        assert changed.flags.c_contiguous
        assert len(np.unique(changed.reshape(-1, 3), axis=0)) == 1
    assert np.array_equal(image, before)


def test_the_share_decides_and_labels_stay() -> None:
    labels = {"img": ONE_PIXEL, "cls": [3]}
    assert all(Recolour(0.0)(dict(labels))["img"] is ONE_PIXEL for _ in range(20))
    changed = [Recolour(1.0)(dict(labels)) for _ in range(50)]
    assert len({tuple(one["img"][0, 0].tolist()) for one in changed}) > 5
    assert all(one["cls"] == [3] for one in changed)
