"""Selection: the batch that people are asked to label next, and the held-out list that judges the model."""

import pandera.pandas as pa

from etholoop.schema.columns import frame, integer, number, text, video_id

Selection = pa.DataFrameSchema(
    {
        "rank": integer("0 = label first", pa.Check.ge(0)),
        "video_id": video_id(),
        "frame": frame(),
        "path": text(description="image below data/frames"),
        "acquisition": text(description="acquisition function, 'random' for the unbiased share, 'held_out' for test groups"),
        "priority": number(True, "value of the acquisition function, higher = annotate sooner"),
        "reason": text(description="why this frame, in words"),
        "session": text(),
    },
    strict=True,
    ordered=True,
    unique=["video_id", "frame"],
)
