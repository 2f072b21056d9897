"""What a pose model says: the frames it looked at, its detections with every class probability, its keypoints."""

import pandera.pandas as pa

from etholoop.schema.columns import box, confidence, frame, integer, number, text, video_id

PredictedFrames = pa.DataFrameSchema(
    {"video_id": video_id(), "frame": frame(), "n_detections": integer("", pa.Check.ge(0))},
    strict=True,
    ordered=True,
    unique=["video_id", "frame"],
)

Detections = pa.DataFrameSchema(
    {
        "video_id": video_id(),
        "frame": frame(),
        "instance": integer("0-based, by falling confidence within the frame", pa.Check.ge(0)),
        "species": text(description="the most probable class"),
        **box(),
        "confidence": number(False, "probability of the most probable class", pa.Check.in_range(0, 1)),
        "source": text(description="digest of the weights"),
        "^p_.+$": pa.Column(
            "float32", pa.Check.in_range(0, 1), regex=True, required=False, description="probability of each class, p_<species>"
        ),
    },
    strict=True,
    unique=["video_id", "frame", "instance"],
)

PredictedKeypoints = pa.DataFrameSchema(
    {
        "video_id": video_id(),
        "frame": frame(),
        "instance": integer("", pa.Check.ge(0)),
        "keypoint": text(),
        "x": number(True, "source pixels"),
        "y": number(True, "source pixels"),
        "confidence": confidence(),
    },
    strict=True,
    ordered=True,
    unique=["video_id", "frame", "instance", "keypoint"],
)

Embeddings = pa.DataFrameSchema(
    {
        "video_id": video_id(),
        "frame": frame(),
        "^e_[0-9]+$": pa.Column(
            "float32", regex=True, required=False, description="pooled features of the detector's backbone, e_0, e_1, …"
        ),
    },
    strict=True,
    unique=["video_id", "frame"],
)
