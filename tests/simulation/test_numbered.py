"""A numbered frame says its number, whatever was done to the picture, and nothing else says one."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from etholoop.simulation.numbered import NotNumbered, numbered_frame, read_number


@given(st.integers(0, (1 << 24) - 1), st.integers(32, 200), st.integers(24, 150), st.integers(0, 3))
def test_number_comes_back_at_any_size_and_turn(number, width, height, turns):
    assert read_number(np.rot90(numbered_frame(number, width, height), turns)) == number


@given(st.integers(0, (1 << 24) - 1), st.integers(0, 1000))
def test_noise_and_dull_light_do_no_harm(number, seed):
    image = numbered_frame(number)
    spoiled = 20 + 0.8 * image + np.random.default_rng(seed).normal(0, 15, image.shape)
    assert read_number(np.clip(spoiled, 0, 255).astype(np.uint8)) == number


@pytest.mark.parametrize(
    "change",
    [
        lambda image: image.mean(axis=2),
        lambda image: image.astype(np.uint16) * 4,
        lambda image: cv2.resize(image, (67, 51), interpolation=cv2.INTER_AREA),
        lambda image: cv2.resize(image, (641, 479), interpolation=cv2.INTER_LINEAR),
        lambda image: (255 * (image / 255) ** 1.8).astype(np.uint8),
        lambda image: cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 20])[1], cv2.IMREAD_COLOR),
    ],
    ids=["grey", "10 bit", "smaller", "larger", "gamma", "jpeg"],
)
def test_number_survives(change):
    assert [read_number(change(numbered_frame(number))) for number in (0, 1, 2, 77, 100_000)] == [0, 1, 2, 77, 100_000]


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((120, 160, 3), np.uint8),
        np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8),
        numbered_frame(5) // 2 + numbered_frame(6) // 2,
        np.concatenate([numbered_frame(5)[:60], numbered_frame(6)[60:]]),
        numbered_frame(5)[:, ::-1],
    ],
    ids=["black", "noise", "blend", "half of each", "mirrored"],
)
def test_other_pictures_are_refused(image):
    with pytest.raises(NotNumbered, match="shows no number"):
        read_number(image)


def test_neighbours_differ_in_bytes():
    assert len({numbered_frame(number).tobytes() for number in range(200)}) == 200


@pytest.mark.parametrize("number, width, height", [(-1, 160, 120), (1 << 24, 160, 120), (0, 31, 120), (0, 160, 23)])
def test_impossible_frames(number, width, height):
    with pytest.raises(ValueError, match="numbered frame"):
        numbered_frame(number, width, height)
