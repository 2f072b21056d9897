"""Which animals are drawn, which behaviours share a lane, how time was spent."""

import numpy as np
import pandas as pd
import pytest

from etholoop.core.behaviour_facts import LABELLED, AnimalTime, animal_time, budgets, lanes_of, middle_of, n_bouts, outside, overlap, spread

BOUTS = ["family", "behaviour", "start_frame", "stop_frame"]
UNSURE = ["family", "start_frame", "stop_frame"]


def animal(labels=(), bouts=(), unsure=(), behaviours=("a", "b"), others=()) -> AnimalTime:
    columns = ["frame", *(f"y_{name}" for name in behaviours)]
    return animal_time(
        ("v", 0, "m1"),
        labels=pd.DataFrame(list(labels), columns=columns),
        bouts=pd.DataFrame(list(bouts), columns=BOUTS),
        unsure=pd.DataFrame(list(unsure), columns=UNSURE),
        behaviours=behaviours,
        families=["f"],
        others=np.array(others, np.int64).reshape(-1, 2),
    )


def test_every_video_has_its_turn() -> None:
    subjects = ["m1", "m1", "m2", ""]
    keys = pd.DataFrame({"video_id": ["a", "a", "a", "b"], "track": [0, 1, 1, 5], "subject": subjects, "weight": [10, 30, 20, 1]})
    assert spread(keys, 2) == [("a", 1, "m1"), ("b", 5, "")]
    assert spread(keys, 3) == [("a", 1, "m1"), ("a", 1, "m2"), ("b", 5, "")]
    assert len(spread(keys, 10)) == 4 and spread(keys, 0) == []


def test_time_that_nobody_looked_at_is_not_known_and_bouts_are_cut_to_the_labelled_time() -> None:
    labels = [(10, 1, 0), (11, 1, 0), (12, 0, 1), (15, 0, 1)]
    found = animal(labels, [("f", "a", 0, 12), ("f", "b", 14, 40), ("f", "b", 50, 60)], [("f", 12, 13)])
    assert (found.start_frame, found.stop_frame) == (10, 16)
    assert found.known.tolist() == [[10, 13], [15, 16]]
    assert found.said[LABELLED]["a"].tolist() == [[10, 12]] and found.said[LABELLED]["b"].tolist() == [[12, 13], [15, 16]]
    assert found.said["f"]["a"].tolist() == [[10, 12]] and found.said["f"]["b"].tolist() == [[14, 16]]
    assert found.unsure["f"].tolist() == [[12, 13]]


def test_without_labels_the_time_is_that_of_the_bouts() -> None:
    found = animal((), [("f", "a", 5, 9), ("f", "b", 20, 30)])
    assert (found.start_frame, found.stop_frame, len(found.known)) == (5, 30, 0)
    assert LABELLED not in found.said
    nothing = animal()
    assert nothing.start_frame == nothing.stop_frame == 0


def test_what_is_said_while_the_track_was_another_animal_is_not_said_of_this_one() -> None:
    labels = [(frame, 1, 0) for frame in (*range(10), *range(20, 30))]
    found = animal(labels, [("f", "a", 0, 25), ("f", "b", 25, 30)], [("f", 8, 22)], others=[(10, 15), (15, 20), (40, 50)])
    assert found.said["f"]["a"].tolist() == [[0, 10], [20, 25]] and found.said["f"]["b"].tolist() == [[25, 30]]
    assert found.unsure["f"].tolist() == [[8, 10], [10, 15], [15, 20], [20, 22]], "drawn as not known"
    assert found.known.tolist() == [[0, 10], [20, 30]]


def test_outside_agrees_with_frames() -> None:
    from etholoop.core.bouts.intervals import flags_of, intervals_of

    rng = np.random.default_rng(0)
    for _ in range(200):
        own, others = rng.random((2, 15)) < 0.4
        left = outside(intervals_of(own), intervals_of(others))
        assert (flags_of(left, 15) == (own & ~others)).all()
        assert (np.diff(left.ravel()) > 0).all()


@pytest.mark.parametrize(
    ("first", "second", "shared"),
    [
        ([[0, 5]], [[5, 9]], False),
        ([[0, 6]], [[5, 9]], True),
        ([[0, 2], [8, 9]], [[3, 7]], False),
        ([[4, 5]], [[0, 20]], True),
        ([], [[0, 1]], False),
    ],
)
def test_overlap(first, second, shared) -> None:
    one, other = (np.array(intervals, np.int64).reshape(-1, 2) for intervals in (first, second))
    assert overlap(one, other) is shared and overlap(other, one) is shared


def test_overlap_agrees_with_frames() -> None:
    rng = np.random.default_rng(0)
    from etholoop.core.bouts.intervals import intervals_of

    for _ in range(200):
        flags = rng.random((2, 12)) < 0.2
        assert overlap(intervals_of(flags[0]), intervals_of(flags[1])) == bool((flags[0] & flags[1]).any())


def test_behaviours_that_never_overlap_share_a_lane() -> None:
    apart = animal((), [("f", "a", 0, 5), ("f", "b", 5, 9), ("f", "c", 3, 7)], behaviours=("a", "b", "c"))
    assert lanes_of([apart], ("a", "b", "c")) == [["a", "b"], ["c"]]
    assert lanes_of([], ("a", "b")) == [["a", "b"]]


def test_budgets_count_known_time_only() -> None:
    labels = [(0, 1, 0), (1, 1, 0), (2, 0, 1), (8, 0, 0)]
    shares = budgets([animal(labels, [("f", "a", 1, 8)])], ("a", "b"), ["f"])
    assert shares[LABELLED].tolist() == [0.5, 0.25]
    assert shares["f"].tolist() == [0.5, 0.0]
    assert np.isnan(budgets([], ("a",), ["f"])["f"]).all()


def test_of_too_many_bouts_the_middle_is_left() -> None:
    few = animal((), [("f", "a", 10 * k, 10 * k + 5) for k in range(20)])
    assert middle_of(few, 20) is few
    part = middle_of(few, 6)
    assert 4 <= n_bouts(part) <= 6 and part.part_of == (0, 195)
    assert abs((part.start_frame + part.stop_frame) / 2 - 97.5) <= 1
    bouts = part.said["f"]["a"]
    assert bouts.min() >= part.start_frame and bouts.max() <= part.stop_frame
    crowded = animal((), [("f", "a", 2 * k, 2 * k + 1) for k in range(500)] + [("f", "b", 1000, 100_000)])
    assert n_bouts(middle_of(crowded, 10)) <= 10
