"""Pictures that `normalise` cut, padded or scaled: what is drawn in stands at its place, and labels come back in source pixels."""

from dataclasses import astuple
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etholoop.core.picture_layout import layout
from etholoop.io import label_studio_annotations as annotations
from etholoop.io import label_studio_tasks as tasks
from etholoop.io.label_studio_picture import picture_of
from etholoop.schema.skeleton import skeleton_from

SKELETON = skeleton_from({"species": ["mouse"], "keypoints": ["nose", "tail"]}, "test")
PADDED = {"width": 80, "height": 80, "affine": [0.5, 0.0, 0.0, 0.0, 0.5, 10.0]}
"""A source of 160 x 120 at half size, 10 black rows above and below."""
CUT = {"width": 100, "height": 100, "affine": [1.0, 0.0, -20.0, 0.0, 1.0, -10.0]}
"""Columns 20 to 120 and rows 10 to 110 of the source."""


def data_of(picture: dict[str, Any] | None) -> dict[str, Any]:
    return {"uid": "a:00000001", "width": 160, "height": 120} | ({"picture": picture} if picture else {})


def record_of(box: list[float], **points: list[float]) -> dict[str, Any]:
    animal = {"class": "mouse", "box": box, "identity": None, "keypoints": points}
    return {"uid": "a:00000001", "annotator": "anna", "status": "animals", "note": "", "instances": [animal]}


def place_of(results: list[dict[str, Any]], control: str) -> list[float]:
    value = next(item["value"] for item in results if item["from_name"] == control)
    return [value[name] for name in ("x", "y", "width", "height") if name in value]


def test_a_padded_picture_has_its_percent():
    """Source (40, 40) is picture (20, 30), a quarter across and three eighths down."""
    results = tasks.results_of_frame(record_of([40, 40, 80, 80], nose=[80, 60, 2]), data_of(PADDED))
    assert place_of(results, "animal") == [25, 37.5, 25, 25]
    assert place_of(results, "keypoint")[:2] == [50, 50]
    assert {(item["original_width"], item["original_height"]) for item in results} == {(80, 80)}


def test_what_a_cut_picture_does_not_show_is_not_drawn():
    results = tasks.results_of_frame(record_of([0, 0, 40, 40], nose=[10, 30, 2], tail=[30, 30, 2]), data_of(CUT))
    assert place_of(results, "animal") == [0, 0, 20, 30], "cut at the picture's edge"
    assert [item["value"]["keypointlabels"] for item in results if item["type"] == "keypointlabels"] == [["tail"]]
    assert tasks.results_of_frame(record_of([130, 0, 160, 40]), data_of(CUT)) == []


def drawn(x: float, y: float, width: float, height: float, size: int = 100) -> dict[str, Any]:
    value = {"x": x, "y": y, "width": width, "height": height, "rotation": 0, "rectanglelabels": ["mouse"]}
    return {"id": "a", "type": "rectanglelabels", "from_name": "animal", "value": value, "original_width": size, "original_height": size}


def test_a_box_drawn_into_the_filling_is_cut_at_the_source():
    read = annotations.frame_record(data_of(PADDED), [drawn(0, 0, 50, 50, 80)], "anna", SKELETON)
    assert read.record and read.record["instances"][0]["box"] == [0, 0, 80, 60]
    assert "beyond the image's edge" in read.remarks[0]


def test_a_keypoint_on_the_filling_is_refused():
    point = {"id": "k", "type": "keypointlabels", "from_name": "keypoint", "parentID": "a", "value": {"x": 50, "y": 2}}
    point["value"] |= {"keypointlabels": ["nose"]}
    read = annotations.frame_record(data_of(PADDED), [drawn(10, 20, 50, 50, 80), point], "anna", SKELETON)
    assert read.record is None and "lies outside of the image" in read.reasons[0]


def test_a_cut_picture_labelled_in_the_source_s_shape_is_refused():
    """Someone put the whole source in the place of the picture: its percent mean other pixels."""
    result = drawn(0, 0, 50, 50) | {"original_width": 160, "original_height": 120}
    read = annotations.frame_record(data_of(CUT), [result], "anna", SKELETON)
    assert "was shown 160 x 120, and is 100 x 100" in read.reasons[0]


@pytest.mark.parametrize("affine", [[0, 1, 0, 1, 0, 0], [-1, 0, 80, 0, 1, 0], [0, 0, 0, 0, 1, 0]])
def test_a_turned_or_mirrored_picture_is_refused(affine):
    with pytest.raises(ValueError, match="turned, mirrored or flattened"):
        picture_of(data_of({"width": 80, "height": 80, "affine": affine}))


@st.composite
def laid_out(draw):
    """Any layout that `normalise` can make, and an animal in the part of the source that it shows."""
    width, height = draw(st.integers(2, 4000)), draw(st.integers(2, 4000))
    x, y = draw(st.integers(0, width - 2)), draw(st.integers(0, height - 2))
    crop = (x, y, draw(st.integers(2, width - x)), draw(st.integers(2, height - y)))
    wanted = [draw(st.none() | st.integers(2, 2000)) for _ in range(2)]
    made = layout((width, height), draw(st.none() | st.just(crop)), *wanted, draw(st.sampled_from(["keep", "pad", "crop", "stretch"])))
    picture = {"width": made.canvas[0], "height": made.canvas[1], "affine": list(astuple(made.affine))}
    data = {"uid": "a:00000001", "width": width, "height": height, "picture": picture}
    left, top, right, bottom = picture_of(data).seen
    share = st.floats(0, 1).map(lambda value: round(value, 6))

    def inside(low, high):
        return low + draw(share) * (high - low)

    xs, ys = sorted(inside(left, right) for _ in range(2)), sorted(inside(top, bottom) for _ in range(2))
    points = {name: [inside(left, right), inside(top, bottom), draw(st.integers(1, 2))] for name in ("nose", "tail")}
    box = [xs[0], ys[0], max(xs[1], xs[0] + 0.01), max(ys[1], ys[0] + 0.01)]
    return data, record_of([min(box[0], right - 0.01), min(box[1], bottom - 0.01), min(box[2], right), min(box[3], bottom)], **points)


@given(laid_out())
def test_untouched_predictions_of_any_picture_come_back_as_they_were(case):
    data, record = case
    task = tasks.frame_task(
        {"frame_uid": data["uid"], "video_id": "a", "frame": 1, "predictions": [], **data}, model_version="m", image="i"
    )
    results = tasks.results_of_frame(record, task["data"])
    assert all(-1e-6 <= item["value"][axis] <= 100 + 1e-6 for item in results for axis in "xy" if axis in item["value"])
    read = annotations.frame_record(task["data"], results, "anna", SKELETON)
    assert read.reasons == [] and read.remarks == []
    assert read.record is not None
    (one,), (other,) = read.record["instances"], record["instances"]
    assert one["box"] == pytest.approx(other["box"], abs=0.01)
    for name, place in other["keypoints"].items():
        assert one["keypoints"][name] == pytest.approx(place, abs=0.01)
