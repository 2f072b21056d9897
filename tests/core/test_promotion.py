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
