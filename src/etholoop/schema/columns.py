"""Building blocks shared by the table schemas."""

import re

import pandera.pandas as pa

VIDEO_ID_PATTERN = r"[a-z0-9][a-z0-9_-]*"
"""Ids are safe in file names, URLs and shell commands."""

SPLITS = ("train", "val", "test", "gap")
"""``gap`` frames lie between blocks of one recording and are used by nothing."""


def video_id() -> pa.Column:
    return pa.Column(str, pa.Check.str_matches(f"^{VIDEO_ID_PATTERN}$"), description="id of a source (video or image folder)")


def frame() -> pa.Column:
    return pa.Column("int64", pa.Check.ge(0), description="0-based frame index in decoding order of the source")


def text(nullable: bool = False, description: str = "") -> pa.Column:
    return pa.Column(str, nullable=nullable, description=description)


def number(nullable: bool = False, description: str = "", *checks: pa.Check) -> pa.Column:
    return pa.Column("float64", list(checks), nullable=nullable, description=description)


def integer(description: str = "", *checks: pa.Check) -> pa.Column:
    return pa.Column("int64", list(checks), description=description)


def box() -> dict[str, pa.Column]:
    """Corners of a box in source pixels."""
    return {name: number(description="source pixels") for name in ("x_min", "y_min", "x_max", "y_max")}


def confidence() -> pa.Column:
    return number(True, "0 to 1; NaN for human labels", pa.Check.in_range(0, 1))


def frame_uid(video_id: str, frame: int) -> str:
    """One word for one frame, stable over re-imports: ``<video_id>:<frame, 8 digits>``."""
    return f"{video_id}:{frame:08d}"


def parse_frame_uid(uid: str) -> tuple[str, int]:
    """Inverse of :func:`frame_uid`.

    Raises:
        ValueError: the text is not a frame uid.
    """
    match = re.fullmatch(rf"({VIDEO_ID_PATTERN}):(\d{{8,}})", uid)
    if not match:
        raise ValueError(f"'{uid}' is not a frame uid; expected <video_id>:<frame, 8 digits>, for example cage1:00000120")
    return match[1], int(match[2])
