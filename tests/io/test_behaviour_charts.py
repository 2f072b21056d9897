"""Charts of behaviour: PNG bytes that the same numbers always give; colours that can be told apart."""

import cv2
import numpy as np
import pytest

from etholoop.core.behaviour_facts import LABELLED, AnimalTime
from etholoop.io import behaviour_charts
from etholoop.io.report_html import chart_width

NONE = np.zeros((0, 2), np.int64)


def spans(*pairs):
    return np.array(pairs, np.int64).reshape(-1, 2)


def animal(labels=True, video_id="cage1", stop=40):
    said = {LABELLED: {"rest": spans((0, 10)), "walk": spans((10, 15), (20, stop))}} if labels else {}
    said["motion"] = {"rest": spans((0, 12)), "walk": NONE}
    return AnimalTime(video_id, 3, "", 0, stop, spans((0, 15), (20, stop)) if labels else NONE, said, {"motion": spans((12, 14))})


BEHAVIOURS, LANES = ["rest", "walk"], [["rest", "walk"]]
COUNTS = np.array([[0, 0, 0], [1, 90, 9], [0, 5, 45]])
CHARTS = {
    "ethogram": lambda: behaviour_charts.ethogram([animal(), animal(video_id="x" * 90)], LANES, BEHAVIOURS, {"cage1": 0.04}),
    "nothing known": lambda: behaviour_charts.ethogram([animal(labels=False, stop=12)], [["rest"], ["walk"]], BEHAVIOURS, {}),
    "no time at all": lambda: behaviour_charts.ethogram([AnimalTime("a", -1, "", 0, 0, NONE, {}, {})], LANES, BEHAVIOURS, {}),
    "confusion": lambda: behaviour_charts.confusion(["(none)", "rest", "walk"], COUNTS),
    "confusion of 20": lambda: behaviour_charts.confusion([f"behaviour {k}" for k in range(20)], np.eye(20)),
    "budgets": lambda: behaviour_charts.budgets(BEHAVIOURS, {LABELLED: np.array([0.5, 0.2]), "motion": np.array([0.4, 0.0])}),
}


@pytest.mark.parametrize("name", CHARTS)
def test_chart_is_a_picture_and_always_the_same(name):
    content = CHARTS[name]()
    picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape[1] > 300 and (picture != 255).any()
    assert chart_width(content) == round(0.69 * picture.shape[1])
    assert CHARTS[name]() == content
    assert b"Matplotlib" not in content


def test_the_ethogram_shows_labels_and_family_in_the_behaviours_colours():
    drawn = cv2.imdecode(np.frombuffer(CHARTS["ethogram"](), np.uint8), cv2.IMREAD_COLOR)[..., ::-1].reshape(-1, 3)
    for number in range(2):
        colour = [int(behaviour_charts.style_of(number)["facecolor"][place : place + 2], 16) for place in (1, 3, 5)]
        assert (drawn == colour).all(axis=1).sum() > 500
    other = AnimalTime(
        *(getattr(animal(), name) for name in ("video_id", "track", "subject", "start_frame", "stop_frame", "known")),
        {**animal().said, "motion": {"rest": NONE, "walk": NONE}},
        {"motion": NONE},
    )
    assert behaviour_charts.ethogram([other], LANES, BEHAVIOURS, {}) != behaviour_charts.ethogram([animal()], LANES, BEHAVIOURS, {})
