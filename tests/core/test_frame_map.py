"""Frame maps: the rule of the nearest frame by hand, and both ways for any source."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from etholoop.core.frame_map import FrameMap, constant_rate, first_seconds, one_to_one

MS = Fraction(1, 1000)


def even(n):
    return np.arange(n)


def test_half_the_rate_takes_every_other_frame():
    assert constant_rate(even(6), even(6), Fraction(1, 30), Fraction(15)).source.tolist() == [0, 2, 4]


def test_twice_the_rate_shows_each_frame_twice_and_a_tie_goes_to_the_earlier():
    # derived times 0, .5, 1, 1.5 … of a source period: the halves are ties
    assert constant_rate(even(3), even(3), Fraction(1, 10), Fraction(20)).source.tolist() == [0, 0, 1, 1, 2, 2]


def test_uneven_times_by_hand():
    # 10 per second: 0, 100, 200, 300, 400 ms; nearest of 0, 90, 260, 340 ms (300 is a tie); the last frame lasts 90 ms
    ticks = np.array([0, 90, 260, 340])
    assert constant_rate(even(4), ticks, MS, Fraction(10)).source.tolist() == [0, 1, 2, 2, 3]


def test_a_start_other_than_zero_changes_nothing():
    ticks = np.array([0, 90, 260, 340])
    shifted = constant_rate(even(4), ticks + 5000, MS, Fraction(10))
    assert shifted.source.tolist() == constant_rate(even(4), ticks, MS, Fraction(10)).source.tolist()


def test_the_first_seconds():
    assert constant_rate(even(100), even(100), Fraction(1, 25), Fraction(25), Fraction(2)).n_frames == 50
    assert first_seconds(even(100), even(100), Fraction(1, 25), Fraction(2)).source.tolist() == list(range(50))
    assert first_seconds(even(4), np.array([0, 90, 260, 340]), MS, Fraction(26, 100)).source.tolist() == [0, 1]


def test_a_gap_is_filled_with_the_nearest_usable_frame():
    usable = np.array([0, 1, 6, 7])
    assert constant_rate(usable, usable, Fraction(1, 10), Fraction(10)).source.tolist() == [0, 1, 1, 1, 6, 6, 6, 7]


def test_ntsc_has_no_drift():
    # an hour at 30000/1001: every derived frame is its own source frame
    n = 107_892
    rate = Fraction(30000, 1001)
    assert np.array_equal(constant_rate(even(n), even(n), 1 / rate, rate).source, even(n))


def test_both_ways_by_hand():
    shown = FrameMap(np.array([0, 0, 2, 5]))
    assert shown.to_source([1, 3]).tolist() == [0, 5]
    assert shown.to_derived([0, 2, 5]).tolist() == [0, 2, 3]
    assert shown.nearest_derived([1, 3, 4, 9]).tolist() == [0, 2, 3, 3]
    assert shown.frames.tolist() == [0, 2, 5]


@pytest.mark.parametrize("ask", [lambda m: m.to_derived([1]), lambda m: m.to_source([4]), lambda m: m.to_source([-1])])
def test_what_is_not_there_is_an_error(ask):
    with pytest.raises(ValueError):
        ask(FrameMap(np.array([0, 0, 2, 5])))


def test_time_runs_forwards():
    with pytest.raises(ValueError, match="never fall"):
        FrameMap(np.array([1, 0]))


sources = st.lists(st.integers(1, 500), min_size=1, max_size=60).map(lambda steps: np.cumsum([0, *steps]))


@given(sources, st.integers(1, 120), st.integers(0, 10**6))
def test_every_derived_frame_shows_the_nearest_and_the_way_back_holds(ticks, fps, start):
    shown = constant_rate(np.arange(len(ticks)), ticks + start, MS, Fraction(fps))
    for derived, source in enumerate(shown.source.tolist()):
        wanted = Fraction(derived * 1000, fps)
        distances = [abs(Fraction(int(tick)) - wanted) for tick in ticks]
        assert source == distances.index(min(distances))
    again = shown.to_derived(shown.frames)
    assert np.array_equal(shown.to_source(again), shown.frames)
    assert (shown.n_frames - 1) * 1000 < (ticks[-1] + float(np.median(np.diff(ticks)))) * fps


def test_huge_numbers_stay_exact():
    # a day on a clock of 27 MHz against a rate with a large denominator
    ticks = np.arange(0, 27_000_000 * 86_400, 27_000_000 * 864, dtype=np.int64)
    shown = constant_rate(np.arange(100), ticks, Fraction(1, 27_000_000), Fraction(999_983, 864_000_000))
    assert shown.source[:3].tolist() == [0, 1, 2]


def test_nothing_gives_nothing():
    assert constant_rate(even(0), even(0), MS, Fraction(25)).n_frames == 0
    assert one_to_one([]).to_derived([]).size == 0
