"""YOLO label text: known lines, faults with their place, there and back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etholoop.errors import EthoLoopError, FaultsError
from etholoop.io import yolo_pose
from etholoop.schema.skeleton import skeleton_from

SKELETON = skeleton_from({"species": ["mouse", "rat"], "keypoints": ["nose", "tail"]}, "test")
NAN = float("nan")


def test_known_line_and_missing_keypoint_keeps_the_width():
    found = yolo_pose.lines(np.array([[10, 20, 30, 60]]), [1], np.array([[[20, 40, 1], [NAN, NAN, 0]]]), 100, 200, decimals=6)
    assert found == ["1 0.200000 0.200000 0.200000 0.200000 0.200000 0.200000 1 0 0 0"]


def test_no_animals_and_no_keypoints():
    assert yolo_pose.lines(np.zeros((0, 4)), [], np.zeros((0, 2, 3)), 10, 10) == []
    assert yolo_pose.lines(np.array([[0, 0, 5, 5]]), [0], np.zeros((1, 0, 3)), 10, 10, decimals=6) == [
        "0 0.250000 0.250000 0.500000 0.500000"
    ]


def test_box_is_clipped_to_the_image():
    (line,) = yolo_pose.lines(np.array([[-10, 0, 50, 250]]), [0], np.zeros((1, 0, 3)), 100, 200, decimals=6)
    assert line == "0 0.250000 0.500000 0.500000 1.000000"


def test_box_outside_and_bad_visibility_are_refused():
    with pytest.raises(EthoLoopError, match="no area inside"):
        yolo_pose.lines(np.array([[200, 0, 250, 50]]), [0], np.zeros((1, 0, 3)), 100, 200)
    with pytest.raises(EthoLoopError, match="visibility"):
        yolo_pose.lines(np.array([[0, 0, 50, 50]]), [0], np.array([[[1, 1, 3]]]), 100, 200)


def test_counts_that_do_not_fit_are_refused():
    with pytest.raises(EthoLoopError, match="do not fit"):
        yolo_pose.lines(np.zeros((2, 4)), [0], np.zeros((2, 0, 3)), 10, 10)


def test_all_faulty_lines_are_named(tmp_path):
    good = "0 .5 .5 .2 .2 .5 .5 2 0 0 0"
    bad = [
        "0 .5 .5 .2 .2 .5 .5 2",
        "7 .5 .5 .2 .2 .5 .5 2 0 0 0",
        "0 .5 x .2 .2 .5 .5 2 0 0 0",
        "0 .5 .5 0 .2 .5 .5 2 0 0 0",
        "0 .5 .5 .2 .2 1.5 .5 2 0 0 0",
        "0 .5 .5 .2 .2 .5 .5 3 0 0 0",
        "0 nan .5 .2 .2 .5 .5 2 0 0 0",
    ]
    path = tmp_path / "a.txt"
    path.write_text("\n".join([good, *bad]))
    with pytest.raises(FaultsError) as caught:
        yolo_pose.read(path, 100, 100, SKELETON)
    assert len(caught.value.faults) == len(bad)
    assert all(f"a.txt:{number}:" in fault for number, fault in enumerate(caught.value.faults, start=2))
    assert "expected 11 numbers" in caught.value.faults[0]


def test_empty_file_means_no_animal_and_no_file_is_an_error(tmp_path):
    (tmp_path / "a.txt").write_text("")
    assert yolo_pose.read(tmp_path / "a.txt", 10, 10, SKELETON) == []
    with pytest.raises(EthoLoopError, match="not found"):
        yolo_pose.read(tmp_path / "b.txt", 10, 10, SKELETON)


WIDTH, HEIGHT = 1280, 720
x_places, y_places = st.floats(0, WIDTH), st.floats(0, HEIGHT)
points = st.none() | st.tuples(x_places, y_places, st.sampled_from([1, 2]))


@st.composite
def animals(draw):
    x, y = draw(st.floats(0, WIDTH - 2)), draw(st.floats(0, HEIGHT - 2))
    box = [x, y, draw(st.floats(x + 1, WIDTH)), draw(st.floats(y + 1, HEIGHT))]
    named = {name: draw(points) for name in SKELETON.keypoint_names}
    keypoints = {name: list(point) for name, point in named.items() if point}
    return {"class": draw(st.sampled_from(SKELETON.species)), "box": box, "identity": None, "keypoints": keypoints}


@settings(max_examples=40, deadline=None)
@given(st.lists(animals(), max_size=4))
def test_there_and_back(tmp_path_factory, instances):
    path = tmp_path_factory.mktemp("yolo") / "a.txt"
    path.write_text("\n".join(yolo_pose.lines_of(instances, SKELETON, WIDTH, HEIGHT)))
    back = yolo_pose.read(path, WIDTH, HEIGHT, SKELETON)
    assert [instance["class"] for instance in back] == [instance["class"] for instance in instances]
    for one, other in zip(instances, back, strict=True):
        assert np.allclose(one["box"], other["box"], atol=1e-4)
        assert one["keypoints"].keys() == other["keypoints"].keys()
        for name, point in one["keypoints"].items():
            assert np.allclose(point, other["keypoints"][name], atol=1e-4)
