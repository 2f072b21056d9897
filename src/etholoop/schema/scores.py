"""What a behaviour model says: the probability of every behaviour of each animal in each frame it looked at."""

import pandera.pandas as pa

from etholoop.schema.columns import frame, integer, video_id

WHOLE_VIDEO = -1
"""``track`` of a video that is looked at as a whole, without boxes."""

Scores = pa.DataFrameSchema(
    {
        "video_id": video_id(),
        "track": integer("number of the animal within its video; -1 = the whole picture", pa.Check.ge(WHOLE_VIDEO)),
        "frame": frame(),
        "computed": pa.Column(
            bool, required=False, description="with a stride that adapts itself: False = filled in between computed frames"
        ),
        "^p_.+$": pa.Column(
            "float16", pa.Check.in_range(0, 1), regex=True, required=False, description="probability of each behaviour, p_<behaviour>"
        ),
    },
    strict=True,
    unique=["video_id", "track", "frame"],
)
