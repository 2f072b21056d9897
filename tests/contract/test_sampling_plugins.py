"""What every sampling strategy promises; a new file in core/sampling is tested here from its first day."""

import numpy as np
import pandas as pd
import pytest

from etholoop import registry
from etholoop.core.sampling._shared import COLUMNS, Footage
from etholoop.params import Section

PACKAGE = "etholoop.core.sampling"
STRATEGIES = [registry.load(PACKAGE, name) for name in registry.names(PACKAGE)]
pytestmark = pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda module: module.__name__.rsplit(".", 1)[-1])


def sources() -> list[Footage]:
    """Two videos and a folder of images with holes in its numbering."""
    return [Footage("cage2", np.arange(90)), Footage("cage1", np.arange(40)), Footage("stills", np.array([2, 3, 50, 51, 700]))]


def looked_at(strategy, footage: list[Footage]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Features of noisy images of different brightness, one per frame; nothing for strategies without features."""
    if strategy.FEATURES is None:
        return {}
    return {source.video_id: (source.frames, strategy.features(images(source))) for source in footage}


def images(source: Footage) -> list[np.ndarray]:
    rng = np.random.default_rng(sum(source.video_id.encode()))
    return [np.clip(rng.normal(40 + 5 * (frame % 30), 6, (24, 32, 3)), 0, 255).astype(np.uint8) for frame in source.frames]


def sample(strategy, footage: list[Footage], n: int, seed: int = 42, largest: int | None = None) -> pd.DataFrame:
    return strategy.sample(footage, looked_at(strategy, footage), n, max_per_video=largest, params=strategy.Params(), seed=seed)


def test_it_has_what_the_stage_asks_for(strategy):
    assert issubclass(strategy.Params, Section)
    assert strategy.FEATURES is None or isinstance(strategy.FEATURES, str)
    assert strategy.__doc__


@pytest.mark.parametrize("n", [1, 2, 17, 134, 135, 500])
def test_picks_exist_are_different_and_not_too_many(strategy, n: int):
    footage = sources()
    picks = sample(strategy, footage, n)
    assert tuple(picks.columns) == COLUMNS
    assert 1 <= len(picks) <= n
    assert not picks.duplicated(["video_id", "frame"]).any()
    existing = {(source.video_id, int(frame)) for source in footage for frame in source.frames}
    assert set(zip(picks["video_id"], picks["frame"], strict=True)) <= existing


def test_every_pick_says_why(strategy):
    reasons = sample(strategy, sources(), 20)["reason"]
    assert (reasons.str.len() > 10).all()


def test_the_same_seed_gives_the_same_picks(strategy):
    pd.testing.assert_frame_equal(sample(strategy, sources(), 20, seed=3), sample(strategy, sources(), 20, seed=3))


def test_order_of_sources_does_not_matter(strategy):
    pd.testing.assert_frame_equal(sample(strategy, sources()[::-1], 20), sample(strategy, sources(), 20))


def test_picks_come_sorted(strategy):
    picks = sample(strategy, sources(), 40)
    pd.testing.assert_frame_equal(picks.sort_values(["video_id", "frame"], ignore_index=True), picks)


def test_no_source_gives_more_than_its_quota(strategy):
    picks = sample(strategy, sources(), 30, largest=12)
    assert picks["video_id"].value_counts().max() <= 12
    assert len(picks) > 12


def test_inputs_are_left_alone(strategy):
    footage = sources()
    features = looked_at(strategy, footage)
    kept = {video_id: (frames.copy(), values.copy()) for video_id, (frames, values) in features.items()}
    strategy.sample(footage, features, 20, max_per_video=None, params=strategy.Params(), seed=1)
    assert [source.video_id for source in footage] == ["cage2", "cage1", "stills"]
    for video_id, (frames, values) in kept.items():
        np.testing.assert_array_equal(features[video_id][0], frames)
        np.testing.assert_array_equal(features[video_id][1], values)


@pytest.mark.parametrize("n", [0, 10])
def test_nothing_in_nothing_out(strategy, n: int):
    assert tuple(sample(strategy, [], n).columns) == COLUMNS and len(sample(strategy, [], n)) == 0
    assert len(sample(strategy, sources(), 0)) == 0


def test_a_source_of_one_frame(strategy):
    assert sample(strategy, [Footage("one", np.array([7]))], 5)["frame"].tolist() == [7]
