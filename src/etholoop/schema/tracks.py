"""Tracks: which detection is which animal, what people call it, and where two animals may have been exchanged."""

import pandera.pandas as pa

from etholoop.schema.columns import box, confidence, frame, integer, number, text, video_id

DETECTED, INTERPOLATED, HUMAN = "detected", "interpolated", "human"
STATES = (DETECTED, INTERPOLATED, HUMAN)
"""Where a track's box comes from: a detector, the line between two detections, a person."""

NO_INSTANCE = -1
"""``instance`` of a row that has no detection behind it."""

Tracks = pa.DataFrameSchema(
    {
        "video_id": video_id(),
        "track": integer("number of the animal within its video", pa.Check.ge(0)),
        "frame": frame(),
        **box(),
        "species": text(),
        "confidence": confidence(),
        "state": pa.Column(str, pa.Check.isin(STATES), description="detected, interpolated or human; a lost animal has no row"),
        "instance": integer("the detection's instance in that frame; -1 = none", pa.Check.ge(NO_INSTANCE)),
    },
    strict=True,
    ordered=True,
    unique=["video_id", "track", "frame"],
)

TrackNames = pa.DataFrameSchema(
    {
        "video_id": video_id(),
        "track": integer("", pa.Check.ge(0)),
        "name": text(True, "identity given by a person; missing = not named"),
        "species": text(),
        "start_frame": frame(),
        "stop_frame": integer("first frame after the track", pa.Check.ge(1)),
        "n_detected": integer("", pa.Check.ge(0)),
        "n_interpolated": integer("", pa.Check.ge(0)),
    },
    strict=True,
    ordered=True,
    unique=["video_id", "track"],
)

SwapRisks = pa.DataFrameSchema(
    {
        "video_id": video_id(),
        "frame": pa.Column("int64", pa.Check.ge(0), description="where to look first: the frame of the highest risk"),
        "track_a": integer("", pa.Check.ge(0)),
        "track_b": integer("the other one", pa.Check.ge(0)),
        "risk": number(False, "estimated probability that the two are exchanged here", pa.Check.in_range(0, 1)),
        "reasons": text(description="why, comma-separated words"),
        "start_frame": frame(),
        "stop_frame": integer("first frame after the doubtful stretch", pa.Check.ge(1)),
    },
    strict=True,
    ordered=True,
    unique=["video_id", "frame", "track_a", "track_b"],
)
