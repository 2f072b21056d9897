"""The behaviour data set: stretches of animals whose behaviour people looked at, and the labels of their frames."""

import pandera.pandas as pa

from etholoop.schema.columns import SPLITS, frame, integer, text, video_id
from etholoop.schema.scores import WHOLE_VIDEO

Stretches = pa.DataFrameSchema(
    {
        "stretch": integer("number of the stretch", pa.Check.ge(0)),
        "video_id": video_id(),
        "track": integer("-1 = the whole picture", pa.Check.ge(WHOLE_VIDEO)),
        "subject": text(description="name in the labels; '' = the only animal"),
        "split": pa.Column(str, pa.Check.isin(list(SPLITS))),
        "group": text(description="the unit that stays together in one split"),
        "start_frame": integer("first labelled frame", pa.Check.ge(0)),
        "stop_frame": integer("exclusive", pa.Check.ge(1)),
        "context_start_frame": integer("clips may reach back to here: same animal, same split, not lost meanwhile", pa.Check.ge(0)),
        "context_stop_frame": integer("exclusive", pa.Check.ge(1)),
    },
    checks=[
        pa.Check(lambda table: table["stop_frame"] > table["start_frame"], name="stop_after_start"),
        pa.Check(lambda table: table["context_start_frame"] <= table["start_frame"], name="context_begins_before"),
        pa.Check(lambda table: table["context_stop_frame"] >= table["stop_frame"], name="context_ends_after"),
    ],
    strict=True,
    ordered=True,
    unique=["stretch"],
)
"""Index of the data set. Every frame of a stretch was looked at by a person and belongs to one split."""

FrameLabels = pa.DataFrameSchema(
    {
        "stretch": integer("", pa.Check.ge(0)),
        "video_id": video_id(),
        "track": integer("", pa.Check.ge(WHOLE_VIDEO)),
        "frame": frame(),
        "split": pa.Column(str, pa.Check.isin(list(SPLITS))),
        "^y_.+$": pa.Column(
            "int8", pa.Check.isin([0, 1]), regex=True, required=False, description="whether the behaviour happens, y_<name>"
        ),
    },
    strict=True,
    unique=["video_id", "track", "frame"],
)
"""One row for each frame that was looked at; frames without a row are not known and never count as 'none'."""
