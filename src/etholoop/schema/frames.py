"""FrameManifest: which frames were taken from each source, and why."""

import pandera.pandas as pa

from etholoop.schema.columns import frame, integer, number, text, video_id

Frames = pa.DataFrameSchema(
    {
        "video_id": video_id(),
        "frame": frame(),
        "path": text(description="image file below data/frames"),
        "width": integer("", pa.Check.ge(1)),
        "height": integer("", pa.Check.ge(1)),
        "strategy": text(description="name of the sampling plug-in"),
        "reason": text(description="why this frame, in words"),
        "cluster": pa.Column("Int64", nullable=True),
        "score": number(True, "the strategy's own number, higher = wanted more"),
    },
    strict=True,
    ordered=True,
    unique=["video_id", "frame"],
)
