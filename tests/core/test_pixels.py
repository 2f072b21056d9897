"""Fast pixel arithmetic gives exactly what the plain formulas give."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from etholoop.core.pixels import ROWS_AT_ONCE, blur_5x5, grey, histogram, shrink

SIDES = st.tuples(st.integers(3, 12), st.integers(3, 12))
GREY_IMAGES = arrays(np.uint8, SIDES)
RGB_IMAGES = arrays(np.uint8, SIDES.map(lambda sides: (*sides, 3)))


@given(RGB_IMAGES)
def test_grey_is_the_rounded_weighted_sum(image):
    weights = np.array([9798, 19235, 3735])
    np.testing.assert_array_equal(grey(image), ((image.astype(np.int64) @ weights + 2**14) >> 15).astype(np.uint8))


def test_grey_of_all_red_green_and_blue_levels():
    levels = np.arange(256, dtype=np.uint8)
    for channel, weight in enumerate((9798, 19235, 3735)):
        image = np.full((1, 256, 3), 255, np.uint8)
        image[0, :, channel] = levels
        others = 255 * (2**15 - weight)
        np.testing.assert_array_equal(grey(image)[0], (levels.astype(int) * weight + others + 2**14) >> 15)


def test_grey_of_known_colours_and_of_tall_images():
    assert grey(np.array([[[0, 0, 0], [255, 255, 255], [255, 0, 0]]], np.uint8)).tolist() == [[0, 255, 76]]
    tall = np.random.default_rng(0).integers(0, 256, (3 * ROWS_AT_ONCE + 5, 4, 3), dtype=np.uint8)
    np.testing.assert_array_equal(grey(tall), np.concatenate([grey(row[None]) for row in tall]))
    assert grey(grey(tall)).shape == tall.shape[:2]


@given(GREY_IMAGES)
def test_blur_is_the_5x5_binomial_kernel_with_mirrored_borders(image):
    line = np.array([1, 4, 6, 4, 1])
    padded = np.pad(image.astype(int), 2, mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (5, 5))
    expected = ((windows * np.outer(line, line)).sum(axis=(2, 3)) + 128) >> 8
    np.testing.assert_array_equal(blur_5x5(image), expected.astype(np.uint8))


def test_blur_keeps_the_brightest_level():
    assert (blur_5x5(np.full((6, 7), 255, np.uint8)) == 255).all()


@given(GREY_IMAGES)
def test_histogram_counts_every_pixel(image):
    np.testing.assert_array_equal(histogram(image), np.bincount(image.ravel(), minlength=256))
    np.testing.assert_array_equal(histogram(image[:, ::2]), np.bincount(image[:, ::2].ravel(), minlength=256))


def test_shrink_takes_the_mean_of_each_cell():
    image = np.array([[0, 2, 4, 6], [0, 2, 4, 6]], np.uint8)
    assert shrink(image, 1, 2).tolist() == [[1, 5]]
    assert shrink(image, 1, 1)[0, 0] == pytest.approx(3)
