"""What was decided from scores: bouts, and time of which nothing is said. People's bouts are in schema/annotations.py."""

import pandera.pandas as pa

from etholoop.schema.columns import confidence, integer, text, video_id
from etholoop.schema.scores import WHOLE_VIDEO

PredictedBouts = pa.DataFrameSchema(
    {
        "video_id": video_id(),
        "track": integer("number of the animal within its video; -1 = the whole picture", pa.Check.ge(WHOLE_VIDEO)),
        "family": text(description="family of the model whose scores these were"),
        "behaviour": text(),
        "start_frame": integer("", pa.Check.ge(0)),
        "stop_frame": integer("exclusive", pa.Check.ge(1)),
        "confidence": confidence(),
    },
    checks=pa.Check(lambda table: table["stop_frame"] > table["start_frame"], name="stop_after_start"),
    strict=True,
    ordered=True,
    unique=["video_id", "track", "family", "behaviour", "start_frame"],
)

Unsure = pa.DataFrameSchema(
    {
        "video_id": video_id(),
        "track": integer("", pa.Check.ge(WHOLE_VIDEO)),
        "family": text(),
        "start_frame": integer("", pa.Check.ge(0)),
        "stop_frame": integer("exclusive", pa.Check.ge(1)),
    },
    checks=pa.Check(lambda table: table["stop_frame"] > table["start_frame"], name="stop_after_start"),
    strict=True,
    ordered=True,
    unique=["video_id", "track", "family", "start_frame"],
)
"""Time of which nothing is said: the model was not sure enough, or the animal was lost between two frames of its track."""
