"""Normalised: the derived video of each source, if it has one, and how its pixels lie to those of the source."""

import pandera.pandas as pa

from etholoop.schema.columns import integer, number, text, video_id

Normalised = pa.DataFrameSchema(
    {
        "video_id": video_id(),
        "path": text(description="below data/normalised; empty where nothing changes and the source itself is read"),
        "sha256": text(description="of the derived video; empty where there is none"),
        "n_frames": integer("of the derived video; of the source where there is none", pa.Check.ge(1)),
        "width": integer("of the pictures that are read", pa.Check.ge(1)),
        "height": integer("of the pictures that are read", pa.Check.ge(1)),
        "fps_num": integer("0 where pictures have no times", pa.Check.ge(0)),
        "fps_den": integer("", pa.Check.ge(1)),
        # x' = a x + b y + c, y' = d x + e y + f: from source pixels to pixels of the pictures that are read
        **{name: number(description="affine, source pixels → derived pixels") for name in "abcdef"},
    },
    strict=True,
    ordered=True,
    unique=["video_id"],
)
