"""Clips: the recorded rule, and plans that serve many clips in one pass."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etholoop.core import clips
from etholoop.errors import EthoLoopError

KABR = clips.ClipRule(16, 5)


def test_a_clip_lies_slightly_left_of_its_moment():
    assert KABR.frames(np.array([100]), 1000)[0].tolist() == list(range(60, 140, 5))


def test_what_lies_outside_the_video_is_its_first_or_last_frame():
    assert KABR.frames(np.array([0]), 20)[0].tolist() == [0] * 9 + [5, 10, 15] + [19] * 4


def test_impossible_rules_are_refused():
    with pytest.raises(EthoLoopError, match="1 or more"):
        clips.ClipRule(16, 0)


@settings(max_examples=150, deadline=None)
@given(
    n=st.integers(1, 90),
    more=st.integers(0, 20),
    stride=st.integers(1, 12),
    size=st.integers(1, 9),
    rule=st.builds(clips.ClipRule, st.integers(1, 17), st.integers(1, 6)),
)
def test_one_pass_gives_every_clip_its_frames(n, more, stride, size, rule):
    moments = np.arange(0, n, stride)
    plan = clips.units(moments, n + more, rule, size)
    needed = clips.frames_needed(plan)
    assert (np.diff(needed) > 0).all() and needed[-1] < n + more
    images = ((int(frame), np.full((1, 1, 3), frame, np.int64)) for frame in needed)
    found = {}
    for unit, pictures in clips.windows(plan, images):
        assert len(pictures) == unit.step * (size - 1) + rule.n_frames
        for place, moment in enumerate(unit.moments.tolist()):
            found[moment] = pictures[unit.step * place :][: rule.n_frames, 0, 0, 0]
    expected = dict(zip(moments.tolist(), rule.frames(moments, n + more), strict=True))
    assert found.keys() == expected.keys()
    assert all((found[moment] == expected[moment]).all() for moment in found)


def test_few_pictures_are_kept_however_long_the_video():
    """A unit of 8 clips 5 frames apart spans 110 frames, its neighbours begin one frame later each; 40 moments later the next ones."""
    alive, most = 0, 0

    class Picture(np.ndarray):
        def __del__(self):
            nonlocal alive
            alive -= self.base is None

    def images():
        nonlocal alive, most
        for frame in range(3000):
            alive += 1
            most = max(most, alive)
            yield frame, Picture((2, 2, 3), np.uint8)

    plan = clips.units(np.arange(3000), 3000, KABR, 8)
    assert sum(len(unit.moments) for unit, _ in clips.windows(plan, images())) == 3000
    assert 100 < most <= 160


def test_pictures_that_end_too_early_are_a_fault():
    plan = clips.units(np.arange(50), 50, KABR, 8)
    images = ((frame, np.zeros((1, 1, 3), np.uint8)) for frame in range(40))
    with pytest.raises(EthoLoopError, match="before frame"):
        list(clips.windows(plan, images))


def test_moments_must_be_equally_spaced():
    with pytest.raises(EthoLoopError, match="equally"):
        clips.units(np.array([0, 1, 3]), 10, KABR, 4)


def test_between_moments_the_nearest_counts():
    assert clips.nearest_moment(7, 1).tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert clips.nearest_moment(8, 3).tolist() == [0, 0, 1, 1, 1, 2, 2, 2]
    assert clips.nearest_moment(6, 4).tolist() == [0, 0, 0, 1, 1, 1]  # of two the earlier
    assert clips.nearest_moment(10, 4).tolist() == [0, 0, 0, 1, 1, 1, 1, 2, 2, 2]
