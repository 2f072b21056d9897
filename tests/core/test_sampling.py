"""Sampling strategies, one by one, on footage whose picks can be counted by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from etholoop.core.pixels import blur_5x5, grey, shrink
from etholoop.core.sampling import histogram_kmeans, motion, random, uniform
from etholoop.core.sampling._shared import Footage, quotas, spread


def footage(**lengths: int) -> list[Footage]:
    return [Footage(video_id, np.arange(n)) for video_id, n in lengths.items()]


def take(strategy, sources, n, features=None, *, largest=None, seed=42, **settings):
    return strategy.sample(sources, features or {}, n, max_per_video=largest, params=strategy.Params(**settings), seed=seed)


# quotas


def test_quota_is_proportional_with_at_least_one_each():
    assert quotas([100, 300], 8) == [2, 6]
    assert quotas([1000, 1, 1], 5) == [3, 1, 1]
    assert quotas([10, 10, 10], 2) == [1, 1, 0]
    assert quotas([0, 10], 4) == [0, 4]
    assert quotas([], 4) == []


def test_what_a_short_source_cannot_take_goes_to_the_others():
    assert quotas([2, 100, 100], 90) == [1, 45, 44]
    assert quotas([10, 1000], 500, largest=495) == [5, 495]
    assert quotas([2, 3], 90) == [2, 3]
    assert quotas([100, 100, 1000], 30, largest=12) == [9, 9, 12]


@given(st.lists(st.integers(0, 500), max_size=12), st.integers(0, 400), st.none() | st.integers(1, 60))
def test_quotas_add_up_and_stay_within_limits(sizes: list[int], n: int, largest: int | None):
    limits = [size if largest is None else min(size, largest) for size in sizes]
    shares = quotas(sizes, n, largest)
    assert sum(shares) == min(n, sum(limits))
    assert all(0 <= share <= limit for share, limit in zip(shares, limits, strict=True))


def test_spread_takes_the_middles():
    assert spread(100, 4).tolist() == [12, 37, 62, 87]
    assert spread(3, 3).tolist() == [0, 1, 2]
    assert spread(5, 0).tolist() == []


# uniform and random


def test_uniform_is_even_and_proportional():
    picks = take(uniform, footage(long=300, short=100), 4)
    assert picks.loc[picks["video_id"] == "long", "frame"].tolist() == [50, 150, 250]
    assert picks.loc[picks["video_id"] == "short", "frame"].tolist() == [50]
    assert picks["reason"].iloc[0] == "evenly spaced, 1 of 3 in this source"


def test_uniform_keeps_to_frames_that_exist():
    picks = take(uniform, [Footage("folder", np.array([3, 40, 500, 501]))], 2)
    assert picks["frame"].tolist() == [40, 501]


def test_random_picks_depend_on_seed_and_own_name_only():
    alone = take(random, footage(a=1000), 10)
    beside = take(random, footage(a=1000, b=1000), 20)
    assert beside.loc[beside["video_id"] == "a", "frame"].tolist() == alone["frame"].tolist()
    assert take(random, footage(a=1000), 10, seed=1)["frame"].tolist() != alone["frame"].tolist()
    assert take(random, footage(c=1000), 10)["frame"].tolist() != alone["frame"].tolist()


def test_a_smaller_random_share_is_part_of_the_larger():
    large, small = take(random, footage(a=1000), 50), take(random, footage(a=1000), 20)
    assert set(small["frame"]) < set(large["frame"])


# motion


def test_motion_of_a_walking_square():
    """A black square of 16 x 16 on white, 128 x 128: standing, then jumping by its own width twice."""
    images = []
    for x in (0, 0, 16, 80):
        image = np.full((128, 128, 3), 255, np.uint8)
        image[32:48, x : x + 16] = 0
        images.append(image)
    values = motion.features(images)[:, 0]
    assert np.isnan(values[0])
    assert values[1:] == pytest.approx([0, 2 * 255 * 256 / 128**2, 2 * 255 * 256 / 128**2])
    assert motion.features([]).shape == (0, 1)


def test_motion_picks_from_still_to_lively():
    frames = np.arange(0, 90, 10)
    movement = np.array([np.nan, 8, 1, 7, 2, 6, 3, 5, 4], np.float32)[:, None]
    picks = take(motion, footage(a=90), 4, {"a": (frames, movement)})
    assert sorted(picks["score"]) == [2, 4, 6, 8]
    assert picks["frame"].tolist() == [10, 40, 50, 80]
    assert "movement 8.00 grey levels, livelier than 87 %" in picks["reason"].iloc[0]


def test_motion_takes_the_first_frame_only_when_alone():
    alone = take(motion, footage(a=5), 3, {"a": (np.array([0]), np.array([[np.nan]], np.float32))})
    assert alone["frame"].tolist() == [0] and alone["score"].isna().all()


# histogram_kmeans


def levels(n: int, level: int) -> np.ndarray:
    return histogram_kmeans.features([np.full((20, 30, 3), level, np.uint8)] * n)


def test_histogram_of_a_plain_image():
    histogram = levels(1, 77)
    assert histogram.shape == (1, 256) and histogram.dtype == np.float32
    assert histogram[0, 77] == 1 and histogram.sum() == 1


def test_histogram_has_length_one():
    image = np.random.default_rng(0).integers(0, 255, (40, 50, 3)).astype(np.uint8)
    assert np.linalg.norm(histogram_kmeans.features([image])) == pytest.approx(1)


def test_two_lights_are_two_clusters_in_proportion():
    """30 dark and 10 bright frames, 8 wanted: 6 dark, 2 bright."""
    features = {"day": (np.arange(0, 500, 50), levels(10, 200)), "night": (np.arange(0, 1500, 50), levels(30, 20))}
    picks = take(histogram_kmeans, footage(day=500, night=1500), 8, features, k=2)
    assert picks["video_id"].value_counts().to_dict() == {"night": 6, "day": 2}
    assert picks.groupby("video_id")["cluster"].nunique().to_dict() == {"day": 1, "night": 1}
    assert picks["cluster"].nunique() == 2
    assert set(picks["frame"] % 50) == {0}
    assert "which holds 10 of 40 looked-at frames" in picks["reason"].iloc[0]


def test_no_more_frames_than_wanted_are_all_taken_without_clusters():
    picks = take(histogram_kmeans, footage(a=200), 4, {"a": (np.arange(0, 200, 50), levels(4, 20))})
    assert picks["frame"].tolist() == [0, 50, 100, 150] and picks["cluster"].isna().all()


def test_quota_of_a_source_lets_others_in():
    features = {"a": (np.arange(30), levels(30, 20)), "b": (np.arange(30), levels(30, 20))}
    picks = take(histogram_kmeans, footage(a=30, b=30), 20, features, largest=10, k=1)
    assert picks["video_id"].value_counts().to_dict() == {"a": 10, "b": 10}


def test_allocation_deals_the_rest_in_order_and_keeps_one_for_the_smallest():
    assert histogram_kmeans.allocate([50, 50, 50], 10) == [4, 3, 3]
    assert histogram_kmeans.allocate([1, 1, 98], 3) == [1, 1, 1]  # floor gives 1 + 1 + 2: one too many
    assert histogram_kmeans.allocate([100, 0], 10) == [9, 1]


def test_more_clusters_than_frames_wanted():
    clusters = np.array([0, 1, 2, 3, 4])
    assert histogram_kmeans.choose(clusters, 5, 3, 42) == [0, 1, 2]


# pixels


def test_grey_of_pure_colours():
    """ITU-R BT.601: .299, .587, .114 of 255."""
    colours = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]], np.uint8)
    assert grey(colours).tolist() == [[76, 150, 29, 255]]


def test_blur_of_one_bright_pixel():
    image = np.zeros((9, 9), np.uint8)
    image[4, 4] = 255
    row = np.array([1, 4, 6, 4, 1])
    assert blur_5x5(image)[2:7, 2:7].tolist() == np.floor(255 * np.outer(row, row) / 256 + 0.5).tolist()
    assert blur_5x5(image)[:2].sum() == 0


def test_blur_of_an_image_smaller_than_its_kernel():
    assert blur_5x5(np.full((1, 2), 9, np.uint8)).tolist() == [[9, 9]]


@given(st.integers(1, 40), st.integers(1, 40))
def test_shrinking_keeps_the_mean(height: int, width: int):
    image = np.random.default_rng(height * 100 + width).integers(0, 255, (height, width))
    assert shrink(image, 7, 5).mean() == pytest.approx(image.mean())


@pytest.mark.parametrize("shape", [(48, 64), (33, 7), (2, 2), (1, 5)])
def test_grey_and_blur_equal_opencv(shape: tuple[int, int]):
    cv2 = pytest.importorskip("cv2")
    image = np.random.default_rng(shape[0]).integers(0, 256, (*shape, 3)).astype(np.uint8)
    np.testing.assert_array_equal(grey(image), cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))
    np.testing.assert_array_equal(blur_5x5(grey(image)), cv2.GaussianBlur(grey(image), (5, 5), 0))
