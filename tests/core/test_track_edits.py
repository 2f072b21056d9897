"""Edits of tracks: what they do, and that they mean animals and not numbers."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from etholoop.core.tracking.edits import MERGE, RENAME, SPLIT, SWAP, Anchor, Edit, anchor_at, apply
from etholoop.errors import FaultsError
from etholoop.io import track_edits

COLUMNS = ["track", "frame", "x_min", "y_min", "x_max", "y_max", "species", "confidence", "state", "instance"]


def tracks(ways):
    """Rows of tracks {number: {frame: x}}; boxes of 20 px at y = 100."""
    rows = [(n, f, x - 10.0, 90.0, x + 10.0, 110.0, "mouse", 0.9, "detected", 0) for n, way in ways.items() for f, x in way.items()]
    return pd.DataFrame(rows, columns=COLUMNS)


def still(start, stop, x):
    return dict.fromkeys(range(start, stop), float(x))


def at(table, frame, x):
    rows = table[table["frame"] == frame]
    return int(rows["track"].iloc[int(np.abs((rows["x_min"] + rows["x_max"]) / 2 - x).to_numpy().argmin())])


def edit_of(table, action, a, b=None, frame=0, **more):
    anchors = [None if place is None else anchor_at(table, *place) for place in (a, b)]
    return Edit("e1", "cage", action, frame, *anchors, **more)


EXCHANGED = {0: {**still(0, 50, 100), **still(50, 100, 300)}, 1: {**still(0, 50, 300), **still(50, 100, 100)}}


def test_a_swap_mends_an_exchange():
    table = tracks(EXCHANGED)
    done = apply(table, [edit_of(table, SWAP, (0, 50, "before"), (1, 50, "after"), frame=50)])
    assert not done.lost
    assert {at(done.tracks, frame, 100) for frame in (0, 49, 50, 99)} == {0}


def test_a_swap_survives_other_numbers():
    table = tracks(EXCHANGED)
    edit = edit_of(table, SWAP, (0, 50, "before"), (1, 50, "after"), frame=50)
    again = tracks({7: EXCHANGED[0], 3: EXCHANGED[1]})
    assert {at(apply(again, [edit]).tracks, frame, 100) for frame in (0, 99)} == {7}


def test_a_swap_does_nothing_where_the_new_tracks_are_right():
    table = tracks(EXCHANGED)
    edit = edit_of(table, SWAP, (0, 50, "before"), (1, 50, "after"), frame=50)
    right = tracks({0: still(0, 100, 100), 1: still(0, 100, 300)})
    assert apply(right, [edit]).tracks.equals(right)


def test_a_swap_for_a_while():
    table = tracks({0: still(0, 100, 100), 1: still(0, 100, 300)})
    done = apply(table, [edit_of(table, SWAP, (0, 40, "before"), (1, 40, "after"), frame=40, stop_frame=60)])
    assert [at(done.tracks, frame, 100) for frame in (39, 40, 59, 60)] == [0, 1, 1, 0]


def test_merge_and_split():
    table = tracks({0: still(0, 40, 100), 1: still(0, 100, 300), 2: still(50, 100, 110)})
    merged = apply(table, [edit_of(table, MERGE, (0, 0, "after"), (2, 0, "after"))])
    assert set(merged.tracks["track"]) == {0, 1}
    parted = apply(merged.tracks, [edit_of(merged.tracks, SPLIT, (0, 50, "before"), (0, 50, "after"), frame=50)])
    assert at(parted.tracks, 0, 100) != at(parted.tracks, 60, 110)


def test_two_animals_in_one_frame_are_not_merged():
    table = tracks({0: still(0, 40, 100), 1: still(30, 100, 300)})
    done = apply(table, [edit_of(table, MERGE, (0, 0, "after"), (1, 0, "after"))])
    assert "both detected in 10 frames, first 30" in done.lost["e1"]
    assert done.tracks.equals(table)


def test_boxes_drawn_where_the_merged_animal_is_seen_go():
    table = tracks({0: still(0, 40, 100), 1: still(20, 30, 100)})
    table.loc[(table["track"] == 0) & table["frame"].between(20, 29), ["state", "instance"]] = ["interpolated", -1]
    done = apply(table, [edit_of(table, MERGE, (0, 0, "after"), (1, 0, "after"))])
    assert len(done.tracks) == 40
    assert not done.tracks.duplicated(["track", "frame"]).any()


def test_a_name_follows_its_animal():
    table = tracks({0: still(0, 100, 100), 1: still(0, 100, 300)})
    edits = [edit_of(table, RENAME, (1, 0, "after"), name="red")]
    assert apply(table, edits).names == {1: "red"}
    assert apply(tracks({4: still(0, 100, 300)}), edits).names == {4: "red"}


def test_an_anchor_that_is_gone_is_told():
    table = tracks(EXCHANGED)
    edit = edit_of(table, RENAME, (0, 0, "after"), name="red")
    done = apply(tracks({0: still(0, 100, 200)}), [edit])
    assert done.lost == {"e1": "no track at (100.0, 100.0) in frame 0 any more (it was track 0)"}


WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=12)
ANCHORS = st.builds(Anchor, st.integers(0, 10**6), *[st.integers(0, 400000).map(lambda n: n / 100)] * 2, st.integers(0, 99))


@given(
    st.lists(
        st.builds(
            Edit, st.uuids().map(str), st.just("cage"), st.just(SWAP), st.integers(0, 10**6), ANCHORS, ANCHORS, who=WORDS, note=WORDS
        ),
        unique_by=lambda edit: edit.id,
    )
)
def test_there_and_back(tmp_path_factory, edits):
    path = tmp_path_factory.mktemp("edits") / "track_edits.csv"
    track_edits.write(edits, path)
    assert track_edits.read(path) == edits


def test_all_faulty_rows_are_named(tmp_path):
    path = tmp_path / "track_edits.csv"
    good = "a,cage,rename,0,,0,0,1.0,1.0,,,,,red,,\n"
    path.write_text(track_edits.HEADER + good + good + good.replace("a,cage,rename", "b,cage,renam") + "c,cage,swap,0,,0,0,1,1,,,,,,,\n")
    with pytest.raises(FaultsError, match=r"did you mean 'rename'(.|\n)*line 5: swap needs a second anchor(.|\n)*id 'a' is there 2 times"):
        track_edits.read(path)


def test_a_missing_file_has_no_edits(tmp_path):
    assert track_edits.read(tmp_path / "none.csv") == []
