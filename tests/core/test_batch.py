"""What may be offered, and how a batch is made of priorities."""

from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etholoop.core.batch import candidates_of, pick_batch
from etholoop.core.held_out import held_out_frames

FPS = {"a": Fraction(10), "b": Fraction(10), "c": Fraction(30000, 1001), "folder": None}


def frames_of(video_id, frames, split="train", priority=None):
    priority = np.linspace(1, 0, len(frames)) if priority is None else priority
    return pd.DataFrame({"video_id": video_id, "frame": list(frames), "session": f"s_{video_id}", "split": split, "priority": priority})


def pick(candidates, n=4, **changes):
    values = {
        "acquisition": "margin",
        "share_random": 0.0,
        "min_gap_s": 1.0,
        "fps": FPS,
        "quota_per_video": 99,
        "rng": np.random.default_rng(3),
    }
    return pick_batch(candidates, n=n, **{**values, **changes})


def chosen(batch):
    return list(zip(batch.picks["video_id"], batch.picks["frame"], strict=True))


def test_highest_priority_first():
    batch = pick(frames_of("a", [0, 100, 200, 300, 400]), n=3)
    assert chosen(batch) == [("a", 0), ("a", 100), ("a", 200)]
    assert list(batch.picks["rank"]) == [0, 1, 2]
    assert batch.note == ""


def test_picks_keep_the_gap():
    batch = pick(frames_of("a", [0, 9, 10, 15, 20]), n=5)
    assert chosen(batch) == [("a", 0), ("a", 10), ("a", 20)]
    assert batch.refused == {"gap": 2}
    assert "3 of 5 frames" in batch.note
    assert "2 too close in time" in batch.note


def test_gap_of_a_broken_frame_rate_is_rounded_up():
    # one second at 29.97 fps is 29.97 frames: 29 is too close, 30 is not
    assert chosen(pick(frames_of("c", [0, 29, 30]), n=3)) == [("c", 0), ("c", 30)]


def test_image_folders_have_no_clock():
    assert len(pick(frames_of("folder", [1, 2, 3, 4])).picks) == 4


def test_quota_per_video():
    table = pd.concat([frames_of("a", range(0, 500, 50)), frames_of("b", range(0, 500, 50), priority=np.zeros(10))])
    batch = pick(table, n=5, quota_per_video=3)
    assert batch.picks["video_id"].value_counts().to_dict() == {"a": 3, "b": 2}


def test_near_duplicates_are_left_out():
    thumbnails = np.zeros((4, 48, 48), np.uint8)
    thumbnails[1] += 3  # nothing but noise against frame 0
    thumbnails[2, 10:16, 10:16] = 200  # something moved
    thumbnails[3, 30:36, 30:36] = 200  # labelled already
    labelled = thumbnails[3:] + np.uint8(1)
    batch = pick(frames_of("a", [0, 100, 200, 300]), thumbnails=thumbnails, labelled_thumbnails=labelled)
    assert chosen(batch) == [("a", 0), ("a", 200)]
    assert batch.refused == {"near_duplicate": 2}


def test_random_share_does_not_look_at_priorities():
    table = frames_of("a", range(0, 4000, 20))
    other = table.assign(priority=table["priority"].to_numpy()[::-1])
    first, second = pick(table, n=20, share_random=0.5), pick(other, n=20, share_random=0.5)

    def drawn(batch):
        return set(batch.picks.loc[batch.picks["acquisition"] == "random", "frame"])

    assert len(drawn(first)) == 10
    assert drawn(first) == drawn(second)


def test_random_share_is_uniform():
    table, hits = frames_of("a", range(0, 100, 5)), np.zeros(20)
    for seed in range(600):
        picks = pick(table, n=4, share_random=1.0, rng=np.random.default_rng(seed)).picks
        hits[picks["frame"] // 5] += 1
    # 4 of 20 drawn 600 times: 120 each, standard deviation below 10
    assert (np.abs(hits - 120) < 45).all()


def test_random_share_is_spread_through_the_ranks():
    batch = pick(frames_of("a", range(0, 4000, 20)), n=20, share_random=0.2)
    assert (batch.picks["acquisition"][:10] == "random").sum() == 2


def test_validation_groups_get_their_proportion():
    table = pd.concat([frames_of("a", range(0, 1500, 20)), frames_of("b", range(0, 500, 20), split="val", priority=np.full(25, 9.0))])
    batch = pick(table, n=20)
    assert batch.picks["split"].value_counts().to_dict() == {"train": 15, "val": 5}
    assert set(batch.picks.loc[batch.picks["split"] == "val", "acquisition"]) == {"validation"}
    assert batch.picks.loc[batch.picks["split"] == "val", "reason"].str.contains("validation").all()


def test_places_left_by_train_go_to_validation():
    table = pd.concat([frames_of("a", [0, 1, 2, 3]), frames_of("b", range(0, 80, 20), split="val")])
    assert pick(table, n=5).picks["split"].value_counts().to_dict() == {"val": 4, "train": 1}


def test_reason_says_why():
    batch = pick(frames_of("a", [0, 42, 300], priority=[0.5, 0.93, 0.1]), n=2)
    assert batch.picks["reason"][0] == "margin 0.93, rank 1 of 3; nearest other pick 4.2 s away"
    alone = pick(frames_of("b", [7]), n=1)
    assert alone.picks["reason"][0].endswith("no other pick in this recording")


@pytest.mark.parametrize("split", ["test", "gap"])
def test_test_and_gap_frames_are_refused(split):
    with pytest.raises(ValueError, match="must never be offered"):
        pick(frames_of("a", [1], split=split))


def test_priorities_must_be_numbers():
    with pytest.raises(ValueError, match="finite"):
        pick(frames_of("a", [1], priority=[np.nan]))


def test_no_candidates():
    batch = pick(frames_of("a", []))
    assert len(batch.picks) == 0
    assert "0 of 4 frames: 0 candidates" in batch.note


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_promises_hold_for_any_pool(data):
    rng = np.random.default_rng(data.draw(st.integers(0, 10_000)))
    parts = [
        frames_of(video, np.sort(rng.choice(400, size=rng.integers(0, 30), replace=False)), split=split)
        for video, split in [("a", "train"), ("b", "val"), ("c", "train")]
    ]
    table = pd.concat(parts, ignore_index=True)
    table["priority"] = rng.integers(0, 4, len(table)) / 3  # many ties
    n, quota, share = data.draw(st.integers(0, 20)), data.draw(st.integers(1, 6)), data.draw(st.sampled_from([0.0, 0.2, 1.0]))
    settings_ = {"n": n, "quota_per_video": quota, "share_random": share}
    batch = pick(table, rng=np.random.default_rng(5), **settings_)
    mixed = pick(table.sample(frac=1, random_state=1), rng=np.random.default_rng(5), **settings_)
    pd.testing.assert_frame_equal(batch.picks, mixed.picks)
    assert len(batch.picks) <= n
    assert (batch.note == "") == (len(batch.picks) == n)
    assert not batch.picks.duplicated(["video_id", "frame"]).any()
    considered = batch.picks[batch.picks["acquisition"] != "random"]
    for video, part in considered.groupby("video_id"):
        assert len(part) <= quota
        everyone = batch.picks.loc[batch.picks["video_id"] == video, "frame"]
        gap = FPS[video]
        for frame in part["frame"]:
            assert sorted(abs(everyone - frame))[1:2] == [] or sorted(abs(everyone - frame))[1] >= gap


SPLITS = pd.DataFrame(
    {
        "video_id": ["a", "a", "a", "b"],
        "group": ["a#0", "a#1", "a#2", "b"],
        "start_frame": [0, 40, 50, 0],
        "stop_frame": [40, 50, 100, 100],
        "split": ["train", "gap", "val", "test"],
        "mode": "blocks",
    }
)


def test_only_unlabelled_train_and_val_frames_are_candidates():
    frames = pd.DataFrame({"video_id": ["b", "a", "a", "a", "a"], "frame": [10, 60, 45, 39, 0]})
    labelled = pd.DataFrame({"video_id": ["a", "b"], "frame": [0, 10]})
    table, left_out = candidates_of(frames, SPLITS, labelled)
    assert list(zip(table["video_id"], table["frame"], table["split"], strict=True)) == [("a", 39, "train"), ("a", 60, "val")]
    assert left_out == {"in test groups": 1, "in gaps between blocks": 1, "labelled already": 1}


def test_no_frames_no_candidates():
    nothing = pd.DataFrame({"video_id": pd.Series(dtype=str), "frame": pd.Series(dtype="int64")})
    table, _ = candidates_of(nothing, SPLITS, nothing)
    assert len(table) == 0


class TestHeldOut:
    def test_a_stride_with_equal_steps(self):
        sampled = pd.DataFrame({"video_id": "a", "frame": np.arange(0, 1000, 10)})
        chosen = held_out_frames(sampled, per_video=10, seed=11)
        assert len(chosen) == 10
        assert set(np.diff(chosen["frame"])) == {100}
        assert 0 <= chosen["frame"][0] < 100

    def test_other_videos_change_nothing(self):
        a = pd.DataFrame({"video_id": "a", "frame": np.arange(37)})
        both = pd.concat([pd.DataFrame({"video_id": "0new", "frame": np.arange(50)}), a])
        alone = held_out_frames(a, per_video=5, seed=1)
        together = held_out_frames(both, per_video=5, seed=1)
        assert list(together.loc[together["video_id"] == "a", "frame"]) == list(alone["frame"])

    def test_videos_begin_at_different_places(self):
        sampled = pd.concat([pd.DataFrame({"video_id": f"v{i}", "frame": np.arange(1000)}) for i in range(20)])
        chosen = held_out_frames(sampled, per_video=1, seed=1)
        assert chosen["frame"].nunique() > 10

    def test_a_short_video_gives_all_it_has(self):
        sampled = pd.DataFrame({"video_id": "a", "frame": [4, 8]})
        assert list(held_out_frames(sampled, per_video=10, seed=1)["frame"]) == [4, 8]

    def test_nothing_to_choose_from(self):
        sampled = pd.DataFrame({"video_id": pd.Series(dtype=str), "frame": pd.Series(dtype="int64")})
        assert len(held_out_frames(sampled, per_video=10, seed=1)) == 0
