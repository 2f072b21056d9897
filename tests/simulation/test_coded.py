"""A coded frame says its number, also after H.264."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from etholoop.simulation.render import coded_frame, read_code


@given(number=st.integers(0, 2**24 - 1), width=st.integers(32, 200), height=st.integers(16, 200))
def test_there_and_back(number, width, height):
    assert read_code(coded_frame(number, width, height)) == number


@given(number=st.integers(0, 2**24 - 1), seed=st.integers(0, 1000))
def test_noise_and_dull_light_do_no_harm(number, seed):
    image = coded_frame(number, 96, 64)
    spoiled = 20 + 0.8 * image + np.random.default_rng(seed).normal(0, 15, image.shape)
    assert read_code(np.clip(spoiled, 0, 255).astype(np.uint8)) == number


def test_known_blocks():
    image = coded_frame(0b1000_0000_0000_0000_0000_0001, 80, 40)
    assert image[0, 0, 0] == 220 and image[0, 15, 0] == 30  # the first bit is set, the second is not
    assert image[25, 75, 0] == 220  # the last of the 24 bits ends the third row


def test_other_pictures_are_refused():
    with pytest.raises(ValueError, match="not a coded frame"):
        read_code(np.full((60, 80, 3), 255, np.uint8))


@pytest.mark.parametrize("number", [-1, 2**24])
def test_numbers_that_do_not_fit_are_refused(number):
    with pytest.raises(ValueError, match="numbers from 0 to 16777215"):
        coded_frame(number)


def test_frames_that_are_too_small_are_refused():
    with pytest.raises(ValueError, match="at least 32 x 16"):
        coded_frame(1, 31, 100)


def test_the_number_survives_h264(tmp_path):
    video = pytest.importorskip("etholoop.io.video")
    numbers = [0, 1, 2, 500, 65_535, 12_345_678, 2**24 - 1, 3, 2]
    path = tmp_path / "coded.mp4"
    video.write_video(path, (coded_frame(number, 160, 120) for number in numbers), Fraction(25), crf=28)
    _, index = video.probe(path)
    reader = video.VideoReader(path, index)
    assert reader.n_frames == len(numbers)
    assert [read_code(image) for _, image in reader.stream()] == numbers
