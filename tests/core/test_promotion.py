"""The rule that makes a champion."""

from etholoop.core.promotion import decide


def ledger(cycle, promoted, **metrics):
    return {"cycle": cycle, "promoted": promoted, "metrics": metrics}


def test_without_held_out_figures_nothing_is_promoted():
    assert not decide({}, []).promoted


def test_the_first_model_with_figures_is_champion():
    assert decide({"oks_ap": 0.2}, []).promoted


def test_a_better_model_replaces_the_last_champion_not_the_last_cycle():
    earlier = [ledger("c001", True, oks_ap=0.6), ledger("c002", False, oks_ap=0.5)]
    assert not decide({"oks_ap": 0.55}, earlier).promoted
    assert decide({"oks_ap": 0.61}, earlier).promoted


def test_equal_is_not_better():
    assert not decide({"oks_ap": 0.6}, [ledger("c001", True, oks_ap=0.6)]).promoted


def test_boxes_decide_where_there_are_no_keypoints():
    decision = decide({"oks_ap": None, "box_ap": 0.7}, [ledger("c001", True, box_ap=0.5)])
    assert decision.promoted
    assert "box_ap" in decision.reason


def test_a_model_that_finds_nothing_is_no_champion():
    assert not decide({"oks_ap": 0.0}, []).promoted


def videos(*scores):
    return {f"v{number}": {"oks_ap": score} for number, score in enumerate(scores)}


def champion(*scores):
    return [ledger("c001", True, oks_ap=sum(scores) / len(scores)) | {"by_video": videos(*scores)}]


def test_better_on_every_video_is_better():
    decision = decide({"oks_ap": 0.7}, champion(0.5, 0.6, 0.4), videos(0.6, 0.75, 0.5))
    assert decision.promoted
    assert "mean difference over 3 videos +0.117" in decision.reason and "CI not reliable: n videos < 10" in decision.reason


def test_a_better_mean_that_one_video_makes_is_not_surely_better():
    decision = decide({"oks_ap": 0.7}, champion(0.5, 0.6, 0.4, 0.5), videos(0.95, 0.58, 0.39, 0.5))
    assert not decision.promoted
    assert "not surely better" in decision.reason


def test_only_videos_that_judged_both_count():
    candidate = videos(0.6, 0.7) | {"new": {"oks_ap": 0.0}}
    decision = decide({"oks_ap": 0.9}, champion(0.5, 0.6), candidate)
    assert decision.promoted and "over 2 videos" in decision.reason


def test_without_two_common_videos_the_plain_figures_decide_and_it_is_said():
    earlier = [ledger("c001", True, oks_ap=0.6)]
    decision = decide({"oks_ap": 0.61}, earlier, videos(0.61))
    assert decision.promoted and "too few for an interval" in decision.reason
    assert not decide({"oks_ap": 0.6}, earlier, videos(0.6)).promoted
    missing = {"v0": {"oks_ap": None}, "v1": {"oks_ap": float("nan")}, "v2": {"oks_ap": 0.9}}
    assert "1 videos judged both" in decide({"oks_ap": 0.9}, champion(0.1, 0.2, 0.3), missing).reason
