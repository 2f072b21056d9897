"""Pieces of long videos."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from etholoop.core.chunks import LONGEST_RUN, chunks, label_of, runs, spans

frame_lists = st.lists(st.integers(0, 10**7), unique=True, max_size=200).map(sorted)


def test_a_whole_video_is_cut_at_every_500th_frame():
    assert [(piece[0], piece[-1]) for piece in chunks(range(1200))] == [(0, 499), (500, 999), (1000, 1199)]


def test_few_frames_are_one_piece_however_far_apart():
    assert [piece.tolist() for piece in chunks([3, 1_000_000])] == [[3, 1_000_000]]


def test_nothing_gives_nothing():
    assert chunks([]) == [] == spans([])


@given(frame_lists, st.integers(1, 20))
def test_pieces_are_small_enough_and_hold_everything_in_order(frames, size):
    pieces = chunks(frames, size)
    assert all(1 <= len(piece) <= size for piece in pieces)
    assert [frame for piece in pieces for frame in piece.tolist()] == frames


@given(frame_lists, st.integers(0, 10**7), st.integers(2, 20))
def test_one_more_frame_changes_the_piece_it_falls_into_and_no_other(frames, extra, size):
    """A full piece is cut in two, and a frame beyond all others may widen the last one; nothing else moves."""
    before = {tuple(piece.tolist()) for piece in chunks(frames, size)}
    after = {tuple(piece.tolist()) for piece in chunks(sorted({*frames, extra}), size)}
    lost = before - after
    assert len(lost) <= 1
    assert sum(map(len, after - before)) <= sum(map(len, lost)) + 1


def test_frames_must_ascend():
    for frames in ([2, 1], [1, 1], [-1, 0]):
        with pytest.raises(ValueError, match="ascend"):
            chunks(frames)


def test_spans_are_cut_by_frame_number_not_by_count():
    assert [piece.tolist() for piece in spans([0, 400, 499, 500, 1700], 500)] == [[0, 400, 499], [500], [1700]]


def places(dealt: list[list[int]]) -> list[int]:
    return [place for run in dealt for place in run]


def test_pieces_are_dealt_into_runs_of_neighbours():
    pieces = chunks(range(4000))
    assert runs(pieces, np.arange(0, 4000, 50), 4) == [[0, 1], [2, 3], [4, 5], [6, 7]]
    assert runs(pieces, np.arange(0, 4000, 50), 100) == [[place] for place in range(8)]


def test_a_run_is_never_longer_than_the_limit_where_decoding_can_start_anywhere():
    dealt = runs(chunks(range(50_000)), np.arange(0, 50_000, 25), 1)
    assert max(map(len, dealt)) == LONGEST_RUN
    assert places(dealt) == list(range(100))


def test_a_video_with_one_keyframe_is_one_run():
    assert runs(chunks(range(50_000)), [0], 8) == [list(range(100))]


def test_pieces_far_from_their_keyframe_stay_with_the_run_that_decodes_the_way():
    pieces = chunks(range(4000))
    dealt = runs(pieces, [0, 2000], 8)
    assert all(pieces[run[0]][0] - max(key for key in (0, 2000) if key <= pieces[run[0]][0]) <= 500 for run in dealt)


def test_labels_are_for_people():
    assert label_of(np.array([7])) == "frame 7"
    assert label_of(np.arange(500, 1000)) == "frames 500–999"
