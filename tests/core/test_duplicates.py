"""Near-duplicates: a dark square on a light arena, where the right answer is plain."""

import numpy as np
import pytest

from etholoop.core.duplicates import near_duplicates, thumbnails


def arena(x: int, y: int = 100, level: int = 200, side: int = 40) -> np.ndarray:
    """480 x 640 grey-lit arena with a dark square 'animal' at (x, y)."""
    image = np.full((480, 640, 3), level, np.uint8)
    image[y : y + side, x : x + side] = 40
    return image


def test_thumbnail_of_a_plain_image_is_plain():
    thumbs = thumbnails([np.full((100, 37, 3), 93, np.uint8), np.full((7, 9), 12, np.uint8)])
    assert thumbs.shape == (2, 48, 48) and thumbs.dtype == np.uint8
    assert (thumbs[0] == 93).all() and (thumbs[1] == 12).all()


def test_thumbnail_keeps_places():
    image = np.zeros((96, 96, 3), np.uint8)
    image[:2, 94:] = 255
    thumb = thumbnails([image])[0]
    assert thumb[0, 47] == 255 and thumb.sum() == 255


def test_no_images():
    none = thumbnails([])
    assert none.shape == (0, 48, 48)
    assert near_duplicates(none).shape == (0, 2)
    assert near_duplicates(none, thumbnails([arena(0)])).shape == (0, 2)


def test_the_animal_stands_still_or_walks():
    thumbs = thumbnails([arena(100), arena(100), arena(140)])
    assert near_duplicates(thumbs).tolist() == [[0, 1]]


@pytest.mark.parametrize("step", [4, 8, 15, 300])
def test_a_small_step_of_a_small_animal_is_no_duplicate(step: int):
    """An animal of 1 % of the picture; global measures such as histograms cannot see the step."""
    assert len(near_duplicates(thumbnails([arena(100)]), thumbnails([arena(100 + step)]))) == 0


def test_camera_noise_and_compression_do_not_hide_a_duplicate():
    noise = np.random.default_rng(0).normal(0, 10, (480, 640, 3))
    noisy = np.clip(arena(100) + noise, 0, 255).astype(np.uint8)
    assert near_duplicates(thumbnails([arena(100), noisy])).tolist() == [[0, 1]]


def test_lamp_switched_on_is_another_image():
    assert len(near_duplicates(thumbnails([arena(100), arena(100, level=215)]))) == 0


def test_pairs_equal_the_plain_computation():
    """The coarse look beforehand must not lose a pair."""
    rng = np.random.default_rng(1)
    base = rng.integers(0, 255, (48, 48))
    thumbs = np.clip(base + rng.integers(-7, 8, (16, 1, 1)) + rng.integers(-2, 3, (16, 48, 48)), 0, 255).astype(np.uint8)
    found = {tuple(pair) for pair in near_duplicates(thumbs).tolist()}
    assert found == {(i, j) for i in range(16) for j in range(i + 1, 16) if largest_blurred(thumbs[i], thumbs[j]) <= 6}
    assert 0 < len(found) < 16 * 15 / 2


def largest_blurred(a: np.ndarray, b: np.ndarray) -> float:
    difference = np.pad(a.astype(float) - b.astype(float), 1, mode="edge")
    weights = np.array([0.25, 0.5, 0.25])
    cells = [weights @ difference[y : y + 3, x : x + 3] @ weights for y in range(48) for x in range(48)]
    return float(np.abs(cells).max())


def test_two_sets_are_the_cross_pairs():
    a, b = thumbnails([arena(0), arena(200)]), thumbnails([arena(200), arena(0), arena(400)])
    assert near_duplicates(a, b).tolist() == [[0, 1], [1, 0]]
