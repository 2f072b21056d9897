"""Splits: small tables whose answer can be counted by hand."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from etholoop.core import splits
from etholoop.core.behavtrack_splits import growth, stratified_split
from etholoop.core.block_splits import Cutting, by_blocks
from etholoop.core.listed_splits import by_list
from etholoop.errors import EthoLoopError, FaultsError
from etholoop.io import tables
from etholoop.schema.splits import Splits

NO_IMAGES = pd.DataFrame({"video_id": pd.Series(dtype=str), "frame": pd.Series(dtype="int64")})


def videos(names: list[str], sessions: list[str] | None = None, n_frames: int = 100, kind: str = "video", fps: int = 10) -> pd.DataFrame:
    table = pd.DataFrame({"video_id": names, "kind": kind, "n_frames": n_frames, "fps_num": fps, "fps_den": 1})
    return table.assign(session=sessions or names, subject=None)


def grouped(table: pd.DataFrame, **changed: object) -> pd.DataFrame:
    return splits.by_group(table, "session", **{"seed": 7, "test": 0.2, "val": 0.15, "assign": {}, **changed})


def cut(table: pd.DataFrame, images: pd.DataFrame = NO_IMAGES, **changed: object) -> pd.DataFrame:
    values = {"blocks": 10, "gap_s": 0.2, "gap_frames": 3, "seed": 7, "test": 0.2, "val": 0.15, "assign": {}}
    return by_blocks(table, images, Cutting(**{**values, **changed}))


# by group


def test_videos_of_one_session_stay_together():
    table = grouped(videos(["a", "b", "c"], ["s1", "s2", "s1"]))
    split = dict(zip(table["video_id"], table["split"], strict=True))
    assert split["a"] == split["c"]
    assert table["group"].tolist() == ["s1", "s2", "s1"]
    assert table[["start_frame", "stop_frame"]].to_numpy().tolist() == [[0, 100]] * 3
    tables.check(tables.typed(table, Splits), Splits, "test")


def test_hash_of_a_name_is_known():
    """`printf '7|a' | sha256sum` begins with 8e32. Changing the rule would move everybody's test set."""
    assert float(splits.unit_hash(7, "a")) == pytest.approx(0x8E32 / 0x10000, abs=1 / 0x10000)


@given(
    st.lists(st.text("abc01_", min_size=1, max_size=5), unique=True, min_size=1, max_size=20),
    st.lists(st.text("xyz", min_size=1, max_size=5), unique=True, max_size=10),
)
def test_adding_videos_never_moves_an_old_one(old: list[str], new: list[str]):
    before = grouped(videos(old))
    after = grouped(videos(old + new))
    pd.testing.assert_frame_equal(after[after["video_id"].isin(old)].reset_index(drop=True), before)


def test_shares_are_those_of_the_hash():
    table = grouped(videos([f"v{i}" for i in range(4000)]))
    share = table["split"].value_counts(normalize=True)
    assert share["test"] == pytest.approx(0.2, abs=0.02) and share["val"] == pytest.approx(0.15, abs=0.02)


def test_another_seed_is_another_split():
    names = [f"v{i}" for i in range(50)]
    assert (grouped(videos(names))["split"] != grouped(videos(names), seed=8)["split"]).any()


def test_no_share_no_group():
    assert set(grouped(videos([f"v{i}" for i in range(200)]), test=0.0, val=0.0)["split"]) == {"train"}


def test_assigned_groups_win():
    table = grouped(videos([f"v{i}" for i in range(30)]), assign={"v3": "test", "v4": "train", "v5": "val"})
    assert table.set_index("video_id").loc[["v3", "v4", "v5"], "split"].tolist() == ["test", "train", "val"]


def test_unknown_assigned_group_names_the_nearest():
    with pytest.raises(FaultsError, match=r"session_1a.*did you mean 'session_1'"):
        grouped(videos(["a"], ["session_1"]), assign={"session_1a": "test"})


@pytest.mark.parametrize("missing", [None, np.nan, "", "  "])
def test_a_source_without_its_group_is_a_fault(missing: object):
    table = videos(["a", "b"]).assign(subject=["m1", missing])
    with pytest.raises(FaultsError, match="b: no subject") as error:
        splits.by_group(table, "subject", seed=7, test=0.2, val=0.15, assign={})
    assert len(error.value.faults) == 1


def test_no_videos_no_rows():
    assert len(grouped(videos([]))) == 0
    assert len(cut(videos([]))) == 0
    assert splits.split_faults(grouped(videos([]))) == []


# blocks


def test_blocks_cover_the_recording_and_differ_only_across_gaps():
    table = cut(videos(["a"], n_frames=1000, fps=10), gap_s=1.5)
    assert table["start_frame"].tolist() == [0, *table["stop_frame"].tolist()[:-1]] and table["stop_frame"].iloc[-1] == 1000
    frames = splits.split_of(table, ["a"] * 1000, range(1000))
    used = np.flatnonzero(frames != "gap")
    changes = np.flatnonzero(frames[used][1:] != frames[used][:-1])
    assert len(changes) and (used[changes + 1] - used[changes] == 16).all()  # 15 frames lie between
    assert {name: len(set(table.loc[table["split"] == name, "group"])) for name in ("test", "val")} == {"test": 2, "val": 2}


def test_gap_takes_from_the_training_block():
    table = cut(videos(["a"], n_frames=30), blocks=3, gap_s=0.4, test=0.0, val=0.0, assign={"a#1": "test"})
    assert table[["start_frame", "stop_frame", "split", "group"]].to_numpy().tolist() == [
        [0, 6, "train", "a#0"],
        [6, 10, "gap", "a#0"],
        [10, 20, "test", "a#1"],
        [20, 24, "gap", "a#2"],
        [24, 30, "train", "a#2"],
    ]
    tables.check(tables.typed(table, Splits), Splits, "test")


def test_fractional_gap_is_rounded_up():
    """A tenth of a second is 2.997 frames at 30000/1001."""
    one_each = {"a#0": "train", "a#1": "val", "a#2": "test"}
    table = cut(videos(["a"], n_frames=30).assign(fps_num=30000, fps_den=1001), blocks=3, gap_s=0.1, assign=one_each)
    gaps = table[table["split"] == "gap"]
    assert (gaps["stop_frame"] - gaps["start_frame"]).tolist() == [3, 3]


def test_blocks_of_an_image_folder_go_over_existing_images():
    """Ten images numbered 5, 105, …, 905: two blocks of five images, and a gap counted in images."""
    images = pd.DataFrame({"video_id": "a", "frame": np.arange(10) * 100 + 5})
    folder = videos(["a"], n_frames=906, kind="images", fps=0)
    table = cut(folder, images, blocks=2, gap_frames=0, test=0.0, val=0.0, assign={"a#1": "val"})
    assert splits.split_of(table, ["a"] * 10, images["frame"]).tolist() == ["train"] * 5 + ["val"] * 5
    wider = cut(folder, images, blocks=2, gap_frames=2, test=0.0, val=0.0, assign={"a#1": "val"})
    assert splits.split_of(wider, ["a"] * 10, images["frame"]).tolist() == ["train"] * 3 + ["gap"] * 2 + ["val"] * 5
    assert wider["start_frame"].tolist()[0] == 0 and wider["stop_frame"].tolist()[-1] == 906


def test_gap_longer_than_a_block_is_a_fault_of_that_block():
    with pytest.raises(FaultsError) as error:
        cut(videos(["a"]), gap_s=2.0, test=0.0, val=0.0, assign={"a#1": "test"})
    assert error.value.faults == [f"a#{block}: the gap of 20 leaves nothing of its 10 frames" for block in (0, 2)]


def test_too_few_frames_for_the_blocks():
    with pytest.raises(FaultsError) as error:
        cut(videos(["a", "b"], n_frames=4))
    assert error.value.faults == ["a: 4 frames cannot be cut into 10 blocks", "b: 4 frames cannot be cut into 10 blocks"]


@given(st.integers(3, 30), st.integers(0, 5), st.integers(0, 1000))
def test_blocks_of_one_video_do_not_depend_on_others(blocks: int, gap: int, seed: int):
    settings = {"blocks": blocks, "gap_s": gap / 10, "seed": seed}
    alone, together = cut(videos(["m"], n_frames=600), **settings), cut(videos(["a", "m", "z"], n_frames=600), **settings)
    pd.testing.assert_frame_equal(together[together["video_id"] == "m"].reset_index(drop=True), alone)


# by list


def listed(*rows: tuple[str, ...], columns: str = "video_id,start_frame,stop_frame,split") -> pd.DataFrame:
    return pd.DataFrame(rows, columns=columns.split(","), dtype=str)


def test_listed_rows_with_gaps_between():
    table = by_list(listed(("a", "10", "20", "test"), ("a", "30", "100", "train")), videos(["a"], ["s"]), "splits.csv")
    assert table[["start_frame", "stop_frame", "split"]].to_numpy().tolist() == [
        [0, 10, "gap"],
        [10, 20, "test"],
        [20, 30, "gap"],
        [30, 100, "train"],
    ]
    assert set(table["group"]) == {"s"} and set(table["mode"]) == {"fixed"}


def test_listed_group_wins_over_the_session():
    rows = listed(("a", "0", "100", "test", "mine"), ("b", "0", "100", "train", ""), columns="video_id,start_frame,stop_frame,split,group")
    assert by_list(rows, videos(["a", "b"], ["s", "t"]), "splits.csv")["group"].tolist() == ["mine", "t"]


def test_all_faults_of_the_list_come_together():
    rows = listed(
        ("a", "0", "50", "train"),
        ("a", "40", "60", "test"),
        ("a", "90", "101", "test"),
        ("a", "x", "70", "tset"),
        ("q", "0", "10", "test"),
        ("a", "80", "80", "val"),
    )
    with pytest.raises(FaultsError) as error:
        by_list(rows, videos(["a", "b"]), "splits.csv")
    faults = "\n".join(error.value.faults)
    for part in (
        "row 3: a [40, 60) overlaps row 2",
        "row 4: [90, 101) must lie inside [0, 100) of a",
        "row 5: start_frame 'x'",
        "row 5: unknown split 'tset'; did you mean 'test'?",
        "row 6: unknown source 'q'",
        "row 7: [80, 80)",
        "source b has no row",
    ):
        assert part in faults
    assert len(error.value.faults) == 7


def test_a_long_row_overlaps_more_than_the_next():
    rows = listed(("a", "0", "90", "train"), ("a", "10", "20", "val"), ("a", "30", "40", "test"))
    with pytest.raises(FaultsError) as error:
        by_list(rows, videos(["a"]), "splits.csv")
    assert error.value.faults == ["row 3: a [10, 20) overlaps row 2", "row 4: a [30, 40) overlaps row 2"]


def test_missing_columns():
    with pytest.raises(FaultsError, match="column 'split' is missing"):
        by_list(listed(("a", "0", "1"), columns="video_id,start_frame,stop_frame"), videos(["a"]), "splits.csv")


# look-up, faults, suggestions


def test_split_of_follows_half_open_intervals():
    table = by_list(listed(("a", "0", "10", "test"), ("a", "10", "100", "train"), ("b", "0", "100", "val")), videos(["a", "b"]), "f")
    shuffled = table.sample(frac=1, random_state=3)
    assert splits.split_of(shuffled, ["b", "a", "a", "a"], [5, 9, 10, 99]).tolist() == ["val", "test", "train", "train"]
    assert splits.group_of(shuffled, ["b", "a"], [5, 9]).tolist() == ["b", "a"]
    assert splits.split_of(shuffled, [], []).tolist() == []


def test_uncovered_frames_are_named_together():
    table = grouped(videos(["a"]))
    with pytest.raises(FaultsError) as error:
        splits.split_of(table, ["a", "a", "z", "a"], [99, 100, 0, -1])
    assert error.value.faults == ["a frame 100 lies in no interval", "z frame 0 lies in no interval", "a frame -1 lies in no interval"]


def test_faults_of_a_table_that_cannot_serve():
    three = videos(["a", "b", "c"])
    assert splits.split_faults(grouped(three, assign={"a": "train", "b": "val", "c": "test"})) == []
    assert "splits suggest" in splits.split_faults(grouped(three, assign={"a": "train", "b": "val", "c": "val"}))[0]
    two = grouped(videos(["a", "b"]), assign={"a": "train", "b": "test"})
    assert "2 groups cannot fill" in splits.split_faults(two)[0] and "blocks" in splits.split_faults(two)[0]


def test_summary_counts():
    table = cut(videos(["a"], n_frames=30), blocks=3, gap_s=0.4, test=0.0, val=0.0, assign={"a#1": "test"})
    counts = splits.summary(table).set_index("split")
    assert counts["frames"].to_dict() == {"train": 12, "val": 0, "test": 10, "gap": 8}
    assert counts["groups"].to_dict() == {"train": 2, "val": 0, "test": 1, "gap": 2}
    assert counts["share"].sum() == pytest.approx(1)


def test_suggested_seed_fills_every_split_and_is_the_best():
    sizes = {f"s{i}": 100 for i in range(5)}
    seed, shares = splits.suggest_seed(sizes, test=0.2, val=0.2, assign={})
    assert shares == pytest.approx({"train": 0.6, "val": 0.2, "test": 0.2})
    table = splits.by_group(videos(list(sizes)), "session", seed=seed, test=0.2, val=0.2, assign={})
    assert splits.summary(table).set_index("split").loc[["train", "val", "test"], "groups"].tolist() == [3, 1, 1]


def test_no_seed_for_two_groups():
    with pytest.raises(EthoLoopError, match="2 groups"):
        splits.suggest_seed({"a": 1, "b": 1}, test=0.2, val=0.2, assign={}, seeds=range(20))


# BehavTrack's growth


@pytest.mark.parametrize("n", [0, 1, 5, 30, 160])
def test_growth_goes_on_for_ever_and_loses_no_frame(n: int):
    clusters = np.random.default_rng(0).integers(0, 4, n)
    for cycle in (1, 2, 5, 12):
        state = growth(clusters, cycle)
        parts = (state.test, state.train, state.val, state.predict, state.reserve)
        assert sorted(np.concatenate(parts).tolist()) == list(range(n))
        assert sorted(state.annotated.tolist()) == sorted([*state.train.tolist(), *state.val.tolist()])
    assert len(state.reserve) == 0


def test_test_set_never_changes():
    clusters = np.arange(400) % 8
    assert growth(clusters, 1).test.tolist() == growth(clusters, 9).test.tolist()


def test_a_cluster_of_one_frame_does_not_stop_the_split():
    rest, part = stratified_split(np.arange(40), 0.25, np.array([9] + [0] * 20 + [1] * 19), 42)
    assert len(part) == 10 and sorted([*rest, *part]) == list(range(40))


def test_strata_keep_their_shares():
    clusters = np.repeat([0, 1], [80, 20])
    _, part = stratified_split(np.arange(100), 0.2, clusters, 42)
    assert np.bincount(clusters[part]).tolist() == [16, 4]
