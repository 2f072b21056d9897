"""Evaluation: which labelled animal each detection stood for, and how far each keypoint was off."""

import pandera.pandas as pa

from etholoop.schema.columns import frame, integer, number, text, video_id

KINDS = ("hit", "missed", "false")


def _split() -> pa.Column:
    return pa.Column(str, pa.Check.isin(["train", "val", "test"]))


Matches = pa.DataFrameSchema(
    {
        "video_id": video_id(),
        "frame": frame(),
        "split": _split(),
        "kind": pa.Column(str, pa.Check.isin(list(KINDS)), description="hit; missed = labelled, not found; false = found, not labelled"),
        "species": text(),
        "true_instance": pa.Column("Int64", nullable=True, description="missing for a false animal"),
        "predicted_instance": pa.Column("Int64", nullable=True, description="missing for a missed animal"),
        "iou": number(True, "with the matched animal; of a missed or false one with the nearest of the other side, 0 if there is none"),
        "oks": number(True, "of hits; NaN without labelled keypoints"),
        "confidence": number(True, "NaN for a missed animal"),
    },
    strict=True,
    ordered=True,
)

KeypointErrors = pa.DataFrameSchema(
    {
        "video_id": video_id(),
        "frame": frame(),
        "split": _split(),
        "instance": integer("of the label", pa.Check.ge(0)),
        "keypoint": text(),
        "error_px": number(True, "source pixels; NaN = labelled, but the model gave no such point"),
        "box_px": number(False, "longer side of the labelled box, the yardstick of PCK"),
        "visibility": integer("of the label: 1 hidden, 2 visible", pa.Check.isin([1, 2])),
        "confidence": number(True, "of the predicted keypoint"),
    },
    strict=True,
    ordered=True,
    unique=["video_id", "frame", "instance", "keypoint"],
)
