"""Figures of the runs in MLflow: the report's own charts, as files."""

import base64
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from etholoop.io.report_html import Picture
    from etholoop.project import Project

SHOWN = 24
"""Frames on the contact sheet of a batch; all are in batch.parquet."""
THUMBNAIL_PX = 200


def figures_of(project: "Project", stage: str) -> dict[str, bytes]:
    """PNG or JPEG bytes by file name; empty for a stage that has nothing to show."""
    makers = {"pose_train": _training, "evaluate": _evaluation, "select": _batch}
    return makers[stage](project) if stage in makers else {}


def _training(project: "Project") -> dict[str, bytes]:
    from etholoop.stages import _report_pictures as pictures
    from etholoop.stages._report_inputs import plot

    return _named({"training.png": pictures.training_chart(plot(project, "pose_curves"))})


def _evaluation(project: "Project") -> dict[str, bytes]:
    from etholoop.stages import _report_pictures as pictures
    from etholoop.stages._report_inputs import plot, record

    test = record(project.metrics / "evaluate.json").get("test") or {}
    return _named(
        {
            "precision_recall.png": pictures.pr_chart(plot(project, "pr_curve")),
            "calibration.png": pictures.calibration_chart(plot(project, "calibration")),
            "keypoint_errors.png": pictures.keypoint_chart(test.get("keypoints") or {}),
            "by_video.png": pictures.by_video_chart(plot(project, "by_video"), {"box_ap50": "box AP50", "oks_ap50": "OKS-AP50"}),
        }
    )


def _batch(project: "Project") -> dict[str, bytes]:
    """The first frames that people are asked to label."""
    from etholoop.io.contact_sheet import contact_sheet
    from etholoop.stages._report_inputs import Inputs
    from etholoop.stages._report_pictures import Pictures

    inputs = Inputs(project)
    rows = inputs.batch.sort_values("rank").head(SHOWN).to_dict("records")
    if not rows:
        return {}
    pictures = Pictures(inputs, THUMBNAIL_PX)
    shown = [pictures.pick(row, len(inputs.predicted) > 0) for row in rows]
    return {"batch.jpg": contact_sheet([_content(picture) for picture in shown], [picture.caption for picture in shown])}


def _named(pictures: "dict[str, Picture | None]") -> dict[str, bytes]:
    return {name: _content(picture) for name, picture in pictures.items() if picture is not None}


def _content(picture: "Picture") -> bytes:
    return base64.b64decode(picture.source.partition(",")[2])
