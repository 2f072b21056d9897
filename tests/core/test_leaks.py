"""Leaks: each rule alone on a table of a few rows."""

import numpy as np
import pandas as pd
import pytest

from etholoop.core.leaks import find_leaks


def index(*rows: tuple[str, int, str, str], sha256: list[str] | None = None) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["video_id", "frame", "split", "group"])
    return table.assign(sha256=sha256 or [f"{i:064d}" for i in range(len(rows))])


def found(table: pd.DataFrame, thumbnails: np.ndarray | None = None, min_gap_frames: int = 0) -> list[tuple]:
    leaks = find_leaks(table, thumbnails, min_gap_frames=min_gap_frames)
    return [tuple(row[:-1]) for row in leaks.itertuples(index=False)]


def test_clean_and_empty_tables_have_no_leaks():
    assert found(index()) == []
    clean = index(("a", 0, "train", "s1"), ("b", 0, "test", "s2"), ("c", 0, "val", "s3"))
    different = np.stack([np.full((48, 48), level, np.uint8) for level in (0, 100, 200)])
    assert found(clean, different, min_gap_frames=100) == []


def test_group_in_two_splits():
    table = index(("b", 3, "test", "s1"), ("a", 5, "train", "s1"), ("c", 0, "train", "s1"), ("d", 0, "val", "s2"))
    assert found(table) == [("same_group", "train", "test", "a", 5, "b", 3)]
    detail = find_leaks(table, None, min_gap_frames=0)["detail"][0]
    assert detail == "group 's1' has 2 frames in train and 1 in test"


def test_group_in_all_three_splits_is_three_leaks():
    table = index(("a", 0, "test", "s"), ("b", 0, "train", "s"), ("c", 0, "val", "s"))
    assert [leak[1:3] for leak in found(table)] == [("train", "test"), ("train", "val"), ("val", "test")]


@pytest.mark.parametrize(("min_gap_frames", "n"), [(0, 0), (10, 0), (11, 1), (91, 2)])
def test_neighbours_closer_than_the_gap(min_gap_frames: int, n: int):
    """Train at 0, test at 10, train at 100: ten and ninety frames apart."""
    table = index(("a", 100, "train", "a#2"), ("a", 0, "train", "a#0"), ("a", 10, "test", "a#1"))
    leaks = found(table, min_gap_frames=min_gap_frames)
    assert len(leaks) == n and all(leak[0] == "neighbours" and leak[1:3] == ("train", "test") for leak in leaks)


def test_frames_of_different_videos_are_no_neighbours():
    assert found(index(("a", 0, "train", "s1"), ("b", 1, "test", "s2")), min_gap_frames=50) == []


def test_near_duplicate_images_across_splits_only():
    table = index(("a", 0, "train", "s1"), ("a", 9, "train", "s1"), ("b", 0, "test", "s2"), ("c", 0, "val", "s3"))
    thumbs = np.stack([np.full((48, 48), level, np.uint8) for level in (50, 50, 53, 200)])
    assert found(table, thumbs) == [("near_duplicate", "train", "test", "a", 0, "b", 0)]
    assert "2 such images in train" in find_leaks(table, thumbs, min_gap_frames=0)["detail"][0]


def test_equal_files_across_splits_only():
    table = index(("a", 0, "val", "s1"), ("a", 9, "val", "s1"), ("b", 4, "train", "s2"), sha256=["x", "y", "x"])
    assert found(table) == [("same_bytes", "train", "val", "b", 4, "a", 0)]
    assert found(index(("a", 0, "val", "s1"), ("a", 9, "val", "s1"), sha256=["x", "x"])) == []


def test_order_of_rows_does_not_matter():
    table = index(("a", 0, "train", "s"), ("a", 3, "test", "s"), ("b", 1, "val", "s"), ("c", 1, "train", "t"), sha256=["x", "y", "x", "y"])
    thumbs = np.stack([np.full((48, 48), level, np.uint8) for level in (50, 52, 90, 53)])
    whole, turned = find_leaks(table, thumbs, min_gap_frames=5), find_leaks(table[::-1], thumbs[::-1], min_gap_frames=5)
    pd.testing.assert_frame_equal(whole, turned)
    assert set(whole["rule"]) == {"same_group", "neighbours", "near_duplicate", "same_bytes"}


def test_thumbnails_must_fit_the_rows():
    with pytest.raises(ValueError, match="one thumbnail per row"):
        find_leaks(index(("a", 0, "train", "s")), np.zeros((2, 48, 48), np.uint8), min_gap_frames=0)
