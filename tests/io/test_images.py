"""Images come back as they were written."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import array_shapes, arrays

from etholoop.errors import EthoLoopError
from etholoop.io import images

COLOURS = arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12).map(lambda sides: (*sides, 3)))


@given(COLOURS)
def test_png_round_trip(tmp_path_factory, image):
    path = tmp_path_factory.mktemp("png") / "a.png"
    images.write_rgb(path, image)
    np.testing.assert_array_equal(images.read_rgb(path), image)


def test_channels_are_red_green_blue(tmp_path):
    red = np.zeros((4, 4, 3), np.uint8)
    red[..., 0] = 255
    images.write_rgb(tmp_path / "red.png", red)
    assert cv2.imread(str(tmp_path / "red.png"))[0, 0].tolist() == [0, 0, 255]  # OpenCV gives blue first
    images.write_rgb(tmp_path / "red.jpg", red)
    assert (tmp_path / "red.jpg").read_bytes()[:2] == b"\xff\xd8"
    assert np.abs(images.read_rgb(tmp_path / "red.jpg").astype(int) - red).max() <= 3


def test_same_pixels_same_bytes():
    image = np.arange(300, dtype=np.uint8).reshape(10, 10, 3)
    assert images.encode_png(image) == images.encode_png(image.copy())
    assert images.encode_png(image)[:4] == b"\x89PNG"


def test_grey_and_16_bit_files_become_rgb(tmp_path):
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((5, 6), 77, np.uint8))
    cv2.imwrite(str(tmp_path / "deep.png"), np.full((5, 6), 77 * 257, np.uint16))
    for name in ("grey.png", "deep.png"):
        image = images.read_rgb(tmp_path / name)
        assert image.shape == (5, 6, 3) and image.dtype == np.uint8
        assert (image == 77).all()


def test_wrong_arrays_are_refused():
    with pytest.raises(ValueError, match="expected a uint8 image"):
        images.encode_png(np.zeros((4, 4, 3)))
    with pytest.raises(ValueError, match=r"found uint8 \(4, 4, 4\)"):
        images.encode_png(np.zeros((4, 4, 4), np.uint8))


@pytest.mark.parametrize(
    "content, reason", [(b"", "empty"), (b"words", "not_an_image"), (b"\x89PNG\r\n\x1a\n broken", "not_an_image"), (None, "unreadable")]
)
def test_faults(tmp_path, content, reason):
    path = tmp_path / "a.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(images.ImageFault) as caught:
        images.read_rgb(path)
    assert caught.value.reason == reason
    assert isinstance(caught.value, EthoLoopError) and str(path) in str(caught.value)


def test_half_an_image_is_a_fault(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    for name in ("a.png", "a.jpg"):
        images.write_rgb(tmp_path / name, noise)
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content[: len(content) // 2])
        with pytest.raises(images.ImageFault, match=r"a\.(png|jpg)"):
            images.read_rgb(tmp_path / name)


def test_strange_names(tmp_path):
    image = np.full((3, 3, 3), 9, np.uint8)
    path = tmp_path / "Käfig; $(rm) 老鼠.png"
    images.write_rgb(path, image)
    np.testing.assert_array_equal(images.read_rgb(path), image)
