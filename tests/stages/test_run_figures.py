"""Figures that go to MLflow with the runs."""

import cv2
import numpy as np
import pytest
from cycle_project import STEP, new_project, write_labels, write_predictions

from etholoop.commands._figures import SHOWN, THUMBNAIL_PX, figures_of
from etholoop.io.contact_sheet import CAPTION_PX, GAP_PX, contact_sheet
from etholoop.stages import evaluate, select

LABELS = [(video, frame) for video in ("cage1", "cage2", "cage3", "cage4") for frame in range(0, 300, 4 * STEP)]


@pytest.fixture(scope="module")
def untrained(tmp_path_factory):
    project = new_project(tmp_path_factory.mktemp("before") / "project")
    select.run(project, select.Params())
    return project


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    project = new_project(tmp_path_factory.mktemp("after") / "project")
    write_labels(project, LABELS)
    write_predictions(project)
    evaluate.run(project, evaluate.Params(n_bootstrap=20))
    (project.metrics / "plots/pose_curves.csv").write_text("epoch,train_box_loss,val_box_mAP50\n1,2.0,\n2,1.0,0.5\n")
    select.run(project, select.Params())
    return project


def decoded(content: bytes) -> np.ndarray:
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return image


@pytest.mark.parametrize(
    ("stage", "names"),
    [
        ("pose_train", {"training.png"}),
        ("evaluate", {"precision_recall.png", "calibration.png", "keypoint_errors.png"}),
        ("select", {"batch.jpg"}),
        ("refine_train", set()),
    ],
)
def test_each_stage_shows_what_it_has(trained, stage, names):
    figures = figures_of(trained, stage)
    assert set(figures) == names  # one held-out recording: there is nothing to compare recording by recording
    for name, content in figures.items():
        assert content.startswith(b"\x89PNG" if name.endswith("png") else b"\xff\xd8")
        assert decoded(content).std() > 5, "an empty picture shows nothing"
    assert figures_of(trained, stage) == figures


@pytest.mark.parametrize("stage", ["pose_train", "evaluate"])
def test_before_any_model_there_is_nothing_to_show(untrained, stage):
    assert figures_of(untrained, stage) == {}


def test_the_first_batch_is_shown_without_a_model(untrained):
    sheet = decoded(figures_of(untrained, "select")["batch.jpg"])
    n, high = min(SHOWN, 8), THUMBNAIL_PX * 120 // 160  # batch_size 8, frames of 160 x 120
    assert sheet.shape[:2] == (-(-n // 6) * (high + CAPTION_PX + GAP_PX) + GAP_PX, 6 * (THUMBNAIL_PX + GAP_PX) + GAP_PX)


def test_a_contact_sheet_keeps_the_order_row_by_row():
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]  # BGR
    pictures = [cv2.imencode(".png", np.full((20, 30, 3), colour, np.uint8))[1].tobytes() for colour in colours]
    sheet = decoded(contact_sheet(pictures, ["a", "b", "c"], columns=2)).astype(int)
    places = [(0, 0), (0, 1), (1, 0)]
    for colour, (row, column) in zip(colours, places, strict=True):
        y, x = GAP_PX + row * (20 + CAPTION_PX + GAP_PX) + 10, GAP_PX + column * (30 + GAP_PX) + 15
        assert np.abs(sheet[y, x] - colour).max() < 12
    assert sheet[-GAP_PX - 12, -GAP_PX - 12].min() > 240, "the last cell is empty"


def test_what_is_no_picture_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        contact_sheet([], [])
    with pytest.raises(ValueError, match="neither PNG nor JPEG"):
        contact_sheet([b"text"], ["a"])
