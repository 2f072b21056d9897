"""Videos: every source of frames, the frames in them that cannot be used, and the files that were put aside."""

import pandera.pandas as pa

from etholoop.schema.columns import frame, integer, number, text, video_id

Videos = pa.DataFrameSchema(
    {
        "video_id": video_id(),
        "kind": pa.Column(str, pa.Check.isin(["video", "images"])),
        "path": text(description="below data/raw, with / between folders"),
        "sha256": text(description="of the file; for a folder of the numbers and digests of its images"),
        "n_frames": integer(
            "frame numbers there are, those of schema Gaps included; for images one more than the highest number", pa.Check.ge(1)
        ),
        "n_frames_header": pa.Column("Int64", nullable=True, description="what the container claims"),
        "fps_num": integer("0 for images", pa.Check.ge(0)),
        "fps_den": integer("", pa.Check.ge(1)),
        "duration_s": number(True),
        "width": integer("as shown, after rotation", pa.Check.ge(1)),
        "height": integer("as shown, after rotation", pa.Check.ge(1)),
        "codec": text(),
        "pix_fmt": text(),
        "rotation": integer("clockwise degrees applied for display"),
        "variable_rate": pa.Column(bool),
        "session": text(description="the unit that is never split"),
        "subject": text(True),
        "camera": text(True),
        "start_time": text(True, "ISO 8601"),
    },
    strict=True,
    ordered=True,
    unique=["video_id"],
)

Quarantine = pa.DataFrameSchema(
    {
        "path": text(),
        "reason": text(description="one word"),
        "detail": text(description="a sentence for people"),
        "frame": pa.Column("Int64", nullable=True, required=False, description="number of a single image of a folder"),
    },
    strict=True,
    ordered=True,
    unique=["path"],
)

Gaps = pa.DataFrameSchema(
    {
        "video_id": video_id(),
        "start_frame": frame(),
        "stop_frame": integer("the first frame after the gap", pa.Check.gt(0)),
        "reason": text(description="why these frames cannot be used: one word"),
    },
    checks=pa.Check(lambda table: table["stop_frame"] > table["start_frame"], name="stop_frame after start_frame"),
    strict=True,
    ordered=True,
    unique=["video_id", "start_frame"],
)
"""Frames of videos that are damaged, missing, or made from such frames; their numbers are never given out."""

Images = pa.DataFrameSchema(
    {"video_id": video_id(), "frame": frame(), "path": text(description="below data/raw"), "sha256": text()},
    strict=True,
    ordered=True,
    unique=["video_id", "frame"],
)
