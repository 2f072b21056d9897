"""PoseDataset: the labelled images a pose model is trained and judged on."""

import pandera.pandas as pa

from etholoop.schema.columns import frame, integer, text, video_id

PoseDataset = pa.DataFrameSchema(
    {
        "video_id": video_id(),
        "frame": frame(),
        "split": pa.Column(str, pa.Check.isin(["train", "val", "test"])),
        "group": text(description="session or block, the unit that is never split"),
        "image": text(description="below data/datasets/pose"),
        "label": text(description="YOLO text below data/datasets/pose"),
        "width": integer("", pa.Check.ge(1)),
        "height": integer("", pa.Check.ge(1)),
        "n_instances": integer("", pa.Check.ge(0)),
        "sha256": text(description="of the image file"),
    },
    strict=True,
    ordered=True,
    unique=["video_id", "frame"],
)
