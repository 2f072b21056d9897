"""Videos: every source of frames, and the files that were put aside."""

import pandera.pandas as pa

from etholoop.schema.columns import frame, integer, number, text, video_id

Videos = pa.DataFrameSchema(
    {
        "video_id": video_id(),
        "kind": pa.Column(str, pa.Check.isin(["video", "images"])),
        "path": text(description="below data/raw, with / between folders"),
        "sha256": text(description="of the file; of the sorted image digests for a folder"),
        "n_frames": integer("frames that decode, from the demux index; for images one more than the highest number", pa.Check.ge(1)),
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
    {"path": text(), "reason": text(description="one word"), "detail": text(description="a sentence for people")},
    strict=True,
    ordered=True,
    unique=["path"],
)

Images = pa.DataFrameSchema(
    {"video_id": video_id(), "frame": frame(), "path": text(description="below data/raw"), "sha256": text()},
    strict=True,
    ordered=True,
    unique=["video_id", "frame"],
)
