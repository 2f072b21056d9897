"""Splits: intervals of sources assigned to train, val, test or gap; never by frame except in compatibility mode."""

import pandera.pandas as pa

from etholoop.schema.columns import SPLITS, integer, text, video_id

Splits = pa.DataFrameSchema(
    {
        "video_id": video_id(),
        "group": text(description="the unit that stays together, for example the session"),
        "start_frame": integer("", pa.Check.ge(0)),
        "stop_frame": integer("exclusive", pa.Check.ge(1)),
        "split": pa.Column(str, pa.Check.isin(list(SPLITS))),
        "mode": pa.Column(str, pa.Check.isin(["group", "blocks", "fixed"])),
    },
    checks=pa.Check(lambda table: table["stop_frame"] > table["start_frame"], name="stop_after_start"),
    strict=True,
    ordered=True,
    unique=["video_id", "start_frame"],
)
