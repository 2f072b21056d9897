"""Charts: PNG bytes that the same numbers always give, for the smallest inputs too."""

import cv2
import numpy as np
import pytest

from etholoop.io import charts

ROW = {"cycle": "c001", "n_frames": 10, "figures": {"box_ap50": 0.5, "rmse_px": 4.0}, "ci": {"box_ap50": [0.4, 0.7]}}
LATER = {"cycle": "c002", "n_frames": 20, "figures": {"box_ap50": 0.8, "rmse_px": None}, "ci": {}}
EDGES = np.linspace(0, 1, 4)

CHARTS = {
    "one cycle": lambda: charts.learning_curve([ROW], {"box_ap50": "AP50"}, {"rmse_px": "RMSE"}),
    "two cycles, one without pixels": lambda: charts.learning_curve([ROW, LATER], {"box_ap50": "AP50"}, {"rmse_px": "RMSE"}),
    "a cycle without labels": lambda: charts.learning_curve([{**ROW, "n_frames": 0}], {"box_ap50": "AP50"}, {"rmse_px": "RMSE"}),
    "precision and recall": lambda: charts.precision_recall({"boxes": (np.array([0.0, 1.0]), np.array([1.0, 0.5]))}),
    "calibration": lambda: charts.calibration(
        EDGES[:-1], EDGES[1:], np.array([0.0, 2.0, 5.0]), np.array([np.nan, 0.5, 0.9]), np.array([np.nan, 1, 0.8])
    ),
    "one epoch": lambda: charts.training(np.array([1]), {"box loss": np.array([2.0])}, {"box AP50": (np.array([1]), np.array([0.3]))}),
    "training without validation": lambda: charts.training(np.array([1, 2]), {"box loss": np.array([2.0, 1.0])}, {}),
    "keypoints": lambda: charts.keypoint_errors(["nose", "tail"], {"median": np.array([1.0, 2.0]), "RMSE": np.array([3.0, np.nan])}),
    "recordings": lambda: charts.by_video(["a", "b" * 80], {"AP50": np.array([0.5, np.nan])}),
}


@pytest.mark.parametrize("name", CHARTS)
def test_chart_is_a_picture_and_always_the_same(name):
    content = CHARTS[name]()
    picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape[1] > 600
    assert (picture != 255).any()
    assert CHARTS[name]() == content
    assert b"Matplotlib" not in content


def test_other_numbers_give_another_picture():
    other = {**ROW, "figures": {"box_ap50": 0.6, "rmse_px": 4.0}}
    assert charts.learning_curve([ROW], {"box_ap50": "AP50"}, {}) != charts.learning_curve([other], {"box_ap50": "AP50"}, {})


def test_drawing_leaves_the_settings_of_others_alone():
    import matplotlib

    before = matplotlib.rcParams["axes.grid"]
    CHARTS["one epoch"]()
    assert matplotlib.rcParams["axes.grid"] == before
