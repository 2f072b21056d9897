"""Mini-scenes: windows that follow one animal, cut from the source's frames when they are needed."""

import pandera.pandas as pa

from etholoop.schema.columns import box, frame, integer, video_id

MiniScenes = pa.DataFrameSchema(
    {"video_id": video_id(), "track": integer("", pa.Check.ge(0)), "frame": frame(), **box()},
    checks=[
        pa.Check(lambda table: table["x_max"] > table["x_min"], name="x_max right of x_min"),
        pa.Check(lambda table: table["y_max"] > table["y_min"], name="y_max below y_min"),
    ],
    strict=True,
    ordered=True,
    unique=["video_id", "track", "frame"],
)
"""The box is the window in source pixels; it reaches beyond the picture near an edge, and what lies there is black."""
