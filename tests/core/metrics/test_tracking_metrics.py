"""Tracking metrics against TrackEval's numbers, and against what one can count."""

import json
import math
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from etholoop.core.metrics import tracking
from etholoop.errors import FaultsError

sys.path.insert(0, str(Path(__file__).parent))
from tracking_cases import COLUMNS, SEEDS, case

EXPECTED = json.loads(Path(__file__).with_name("trackeval_expected.json").read_text(encoding="utf-8"))
OURS = {
    **{"IDSW": "switches", "Frag": "fragmentations", "CLR_FP": "fp", "CLR_FN": "fn"},
    **{"MT": "mostly_tracked", "PT": "partially_tracked", "ML": "mostly_lost"},
}
NOTHING_TO_DIVIDE_BY = {"0": {"MOTP", "IDP"}, "1": {"MOTA", "MOTP", "IDR"}}
"""TrackEval says 0 here (or a negative number), we say NaN: video 0 has no tracks, video 1 no animals."""


def line(track: int, x: float, frames: "range | list[int]", size: float = 10) -> list[list[float]]:
    return [[track, frame, x, 0, x + size, size] for frame in frames]


def table(*rows: list[list[float]]) -> pd.DataFrame:
    together = pd.DataFrame([row for part in rows for row in part], columns=COLUMNS)
    return together.astype({"track": "int64", "frame": "int64"})


def judge(truth: pd.DataFrame, found: pd.DataFrame) -> dict[str, float]:
    return tracking.figures([tracking.gather(truth, found)])


@pytest.mark.parametrize("seed", SEEDS)
def test_generated_videos_give_trackevals_numbers(seed: int) -> None:
    figures = judge(*case(seed))
    for name, value in EXPECTED["videos"][str(seed)].items():
        if name in NOTHING_TO_DIVIDE_BY.get(str(seed), ()):
            assert math.isnan(figures[OURS.get(name, name)]), name
        else:
            assert figures[OURS.get(name, name)] == pytest.approx(value, abs=1e-9), name


def test_all_generated_videos_together_give_trackevals_numbers() -> None:
    figures = tracking.figures([tracking.gather(*case(seed)) for seed in SEEDS])
    for name, value in EXPECTED["all"].items():
        assert figures[OURS.get(name, name)] == pytest.approx(value, abs=1e-9), name


@pytest.mark.parametrize("name", ["TUD-Campus", "TUD-Stadtmitte"])
def test_pedestrians_give_the_published_numbers(public_data: Path, name: str) -> None:
    from etholoop.io import mot

    folder = public_data / "data" / "motmetrics_TUD"
    expected = json.loads((folder / "expected_metrics.json").read_text(encoding="utf-8"))[name]
    figures = judge(*(mot.read(folder / "data" / name / file, video_id="v") for file in ("gt.txt", "test.txt")))
    for key, value in expected.items():
        if not isinstance(value, dict):
            assert figures[OURS.get(key, key)] == pytest.approx(value, abs=1e-5), key  # the recorded numbers have five decimals


def test_perfect_tracks_under_other_numbers() -> None:
    truth = table(line(0, 0, range(5)), line(1, 50, range(5)))
    figures = judge(truth, truth.assign(track=truth["track"] + 7))
    assert {figures[name] for name in ("HOTA", "DetA", "AssA", "LocA", "IDF1", "MOTA", "MOTP")} == {1.0}
    assert (figures["switches"], figures["mostly_tracked"]) == (0, 2)


def test_one_swap_half_way_is_two_switches_and_half_the_identities() -> None:
    truth = table(line(0, 0, range(10)), line(1, 50, range(10)))
    found = table(line(0, 0, range(5)), line(1, 0, range(5, 10)), line(1, 50, range(5)), line(0, 50, range(5, 10)))
    figures = judge(truth, found)
    assert (figures["switches"], figures["IDF1"], figures["MOTA"]) == (2, 0.5, 0.9)
    assert figures["DetA"] == 1.0
    assert figures["AssA"] == pytest.approx(5 / 15)  # each pair shares 5 boxes of 10 + 10 - 5


def test_a_gap_is_a_fragmentation_and_no_switch() -> None:
    truth = table(line(0, 0, range(6)), line(1, 50, range(6)))
    figures = judge(truth, table(line(0, 0, [0, 1, 4, 5]), line(1, 50, range(6))))
    assert (figures["fragmentations"], figures["switches"], figures["fn"], figures["partially_tracked"]) == (1, 0, 2, 1)


def test_a_held_box_of_a_lost_animal_counts_against_the_tracker() -> None:
    truth = table(line(0, 0, range(4)))
    assert judge(truth, table(line(0, 0, range(8))))["fp"] == 4
    assert judge(truth, table(line(0, 0, range(4))))["fp"] == 0


def test_nothing_at_all_is_no_number() -> None:
    figures = judge(table([]), table([]))
    assert all(math.isnan(figures[name]) for name in ("HOTA", "LocA", "IDF1", "MOTA", "MOTP"))
    assert figures["switches"] == 0


def test_two_boxes_of_one_track_in_one_frame_are_refused() -> None:
    with pytest.raises(FaultsError, match="track 3 has more than one box in frame 2"):
        judge(table(line(3, 0, [2]), line(3, 9, [2])), table([]))


def test_the_order_of_rows_does_not_matter() -> None:
    truth, found = case(7)
    assert judge(truth, found) == judge(truth.sample(frac=1, random_state=0), found.sample(frac=1, random_state=1))


def test_intervals_hold_the_figure_and_one_video_has_none() -> None:
    evidence = [tracking.gather(*case(seed)) for seed in range(2, 14)]
    low, high = tracking.figure_intervals(evidence, n=200)["HOTA"]
    assert low < tracking.figures(evidence)["HOTA"] < high
    assert all(np.isnan(tracking.figure_intervals(evidence[:1])["HOTA"]))


def test_weights_are_repetitions() -> None:
    first, second = (tracking.gather(*case(seed)) for seed in (4, 5))
    assert tracking.figures([first, second], [2, 1]) == pytest.approx(tracking.figures([first, first, second]))


def test_report_names_videos_and_all() -> None:
    pairs = {"b": case(4), "a": case(5)}
    report = tracking.report(pairs, n=50)
    assert list(report["videos"]) == ["a", "b"]
    assert report["all"] == tracking.figures([tracking.gather(*pairs["a"]), tracking.gather(*pairs["b"])])
    assert set(report["interval"]) == set(report["all"])
    assert tracking.report({}) == {"videos": {}, "all": {}, "interval": {}}
