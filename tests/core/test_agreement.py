"""Agreement on known answers."""

import math

import pytest

from etholoop.core import agreement


def behaviour(annotator, *bouts, looked_at=((0, 100),), video="v"):
    marked = [{"behaviour": name, "start": start, "stop": stop} for name, start, stop in bouts]
    return {"video": video, "subject": "", "annotator": annotator, "looked_at": [list(part) for part in looked_at], "bouts": marked}


def frame(annotator, *animals, uid="v:00000001", status="animals"):
    instances = [{"class": "mouse", "box": list(box), "identity": None, "keypoints": points} for box, points in animals]
    return {"uid": uid, "annotator": annotator, "status": status, "note": "", "instances": instances}


def figures(found):
    return {(figure.name, figure.of): figure for figure in found}


def test_kappa_by_hand():
    # of 100 frames both mark 20, only a 10, only b 5, neither 65: p_o = .85, p_e = .3 * .25 + .7 * .75 = .6
    records = [behaviour("a", ("walk", 0, 30)), behaviour("b", ("walk", 0, 20), ("walk", 40, 45))]
    found = figures(agreement.behaviour_agreement(records, ["walk"]))
    assert found["kappa", "walk"].value == pytest.approx((0.85 - 0.6) / 0.4)
    assert found["kappa", "walk"].n == 100
    # 0-30 and 0-20 overlap by 2/3, the other bout has no partner
    assert found["bout F1", "walk"].value == pytest.approx(2 / 3)
    assert math.isnan(found["kappa", "walk"].low), "one video has no interval"


def test_only_time_that_both_looked_at_counts():
    records = [behaviour("a", ("walk", 0, 50)), behaviour("b", ("walk", 0, 50), looked_at=[(0, 60)])]
    records[0]["bouts"].append({"behaviour": "walk", "start": 80, "stop": 90})
    found = figures(agreement.behaviour_agreement(records, ["walk"]))
    assert found["kappa", "walk"].value == 1 and found["kappa", "walk"].n == 60
    assert found["bout F1", "walk"].value == 1


def test_nothing_in_common_is_no_figure():
    assert agreement.behaviour_agreement([behaviour("a", looked_at=[(0, 10)]), behaviour("b", looked_at=[(10, 20)])], ["walk"]) == []
    assert agreement.behaviour_agreement([behaviour("a"), behaviour("a", video="w")], ["walk"]) == []


def test_a_behaviour_nobody_marked_has_no_kappa():
    found = figures(agreement.behaviour_agreement([behaviour("a"), behaviour("b")], ["walk"]))
    assert math.isnan(found["kappa", "walk"].value) and math.isnan(found["bout F1", "walk"].value)


def test_one_bout_cannot_be_hit_twice():
    records = [behaviour("a", ("walk", 0, 30)), behaviour("b", ("walk", 0, 15), ("walk", 15, 30))]
    assert figures(agreement.behaviour_agreement(records, ["walk"]))["bout F1", "walk"].value == pytest.approx(2 / 3)


def test_boxes_and_keypoints_by_hand():
    one = frame("a", ((0, 0, 10, 10), {"nose": [1, 1, 2]}), ((50, 50, 60, 60), {}))
    other = frame("b", ((0, 0, 10, 8), {"nose": [4, 5, 2], "tail": [0, 0, 2]}))
    found = figures(agreement.frame_agreement([other, one]))
    assert found["animals F1", ""].value == pytest.approx(2 / 3)
    assert found["box IoU", ""].value == pytest.approx(0.8)
    assert found["box side px", ""].value == pytest.approx(0.5)
    assert found["keypoint px", "nose"].value == pytest.approx(5) and ("keypoint px", "tail") not in found


def test_an_interval_holds_the_value_and_is_the_same_twice():
    records = []
    for number in range(12):
        uid = f"v{number}:00000001"
        one = frame("a", ((0, 0, 10, 10), {"nose": [0, 0, 2]}), uid=uid)
        records += [one, frame("b", ((0, 0, 10, 10), {"nose": [number, 0, 2]}), uid=uid)]
    one, again = (figures(agreement.frame_agreement(records))["keypoint px", "nose"] for _ in range(2))
    assert one == again
    assert one.low < one.value == 5.5 < one.high and one.n_videos == 12


def test_three_people_are_three_pairs():
    records = [frame(name, ((0, 0, 10, 10), {})) for name in "abc"]
    assert {figure.pair for figure in agreement.frame_agreement(records)} == {("a", "b"), ("a", "c"), ("b", "c")}


def test_the_queue_has_the_worst_first_and_nothing_that_agrees():
    same = [frame(name, ((0, 0, 10, 10), {}), uid="v:00000001") for name in "ab"]
    both = frame("a", ((0, 0, 10, 10), {}), ((50, 50, 60, 60), {}), uid="v:00000002")
    missed = [both, frame("b", ((0, 0, 10, 10), {}), uid="v:00000002")]
    status = [frame("a", ((0, 0, 10, 10), {}), uid="v:00000003"), frame("b", uid="v:00000003", status="no_animal")]
    told = [behaviour("a", ("walk", 0, 25)), behaviour("b", ("sniff", 0, 25))]
    found = agreement.disputes(same + missed + status, told)
    assert [(item.uid, item.disagreement) for item in found] == [("v:00000003", 1.0), ("v:00000002", 0.5), ("v", 0.25)]
