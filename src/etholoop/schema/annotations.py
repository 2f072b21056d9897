"""What people said: labelled frames, boxes, keypoints and bouts.

A labelled frame without boxes is only legal with status ``no_animal``: an empty frame is a statement, not an omission.
"""

import pandera.pandas as pa

from etholoop.schema.columns import box, confidence, frame, integer, number, text, video_id

STATUSES = ("animals", "no_animal", "unusable")

LabelledFrames = pa.DataFrameSchema(
    {
        "video_id": video_id(),
        "frame": frame(),
        "status": pa.Column(str, pa.Check.isin(list(STATUSES))),
        "n_animals": integer("", pa.Check.ge(0)),
        "source": text(description="annotator, or importer and annotator"),
        "note": text(True),
    },
    strict=True,
    ordered=True,
    unique=["video_id", "frame"],
)

Boxes = pa.DataFrameSchema(
    {
        "video_id": video_id(),
        "frame": frame(),
        "instance": integer("0-based number of the animal within its frame", pa.Check.ge(0)),
        "species": text(),
        **box(),
        "identity": text(True, "name of the individual, if the annotator gave one"),
        "confidence": confidence(),
        "source": text(),
    },
    strict=True,
    ordered=True,
    unique=["video_id", "frame", "instance"],
)

Keypoints = pa.DataFrameSchema(
    {
        "video_id": video_id(),
        "frame": frame(),
        "instance": integer("", pa.Check.ge(0)),
        "keypoint": text(),
        "x": number(True, "source pixels; NaN = missing"),
        "y": number(True, "source pixels; NaN = missing"),
        "visibility": integer("0 missing, 1 placed but hidden, 2 visible", pa.Check.isin([0, 1, 2])),
        "confidence": confidence(),
    },
    strict=True,
    ordered=True,
    unique=["video_id", "frame", "instance", "keypoint"],
)

Bouts = pa.DataFrameSchema(
    {
        "video_id": video_id(),
        "subject": text(description="individual or track; '' = the only animal"),
        "behaviour": text(),
        "start_frame": integer("", pa.Check.ge(0)),
        "stop_frame": integer("exclusive; start + 1 for a point event", pa.Check.ge(1)),
        "confidence": confidence(),
        "source": text(),
    },
    checks=pa.Check(lambda table: table["stop_frame"] > table["start_frame"], name="stop_after_start"),
    strict=True,
    ordered=True,
)

LookedAt = pa.DataFrameSchema(
    {
        "video_id": video_id(),
        "subject": text(description="individual or track; '' = the only animal"),
        "start_frame": integer("", pa.Check.ge(0)),
        "stop_frame": integer("exclusive", pa.Check.ge(1)),
        "source": text(description="annotator whose bouts count here"),
    },
    checks=pa.Check(lambda table: table["stop_frame"] > table["start_frame"], name="stop_after_start"),
    strict=True,
    ordered=True,
    unique=["video_id", "subject", "start_frame"],
)
"""Time that a person looked at for behaviour. Outside of it nothing is known; inside, no bout means 'none of the behaviours'."""

Dropped = pa.DataFrameSchema(
    {
        "what": pa.Column(str, pa.Check.isin(["frame", "behaviour", "keypoint"]), description="kind of label"),
        "name": text(description="frame uid, or video id for behaviour"),
        "source": text(description="annotator"),
        "reason": text(description="why it is in none of the tables"),
    },
    strict=True,
    ordered=True,
)
"""Labels that were given and could not be used."""
