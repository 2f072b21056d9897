"""Gate ``videos``: are the sources usable, and named so that everything after them can rely on it?"""

import pandas as pd

from etholoop.checks.engine import Gate, Table, Warn, gxe, is_true, rule
from etholoop.schema.columns import VIDEO_ID_PATTERN

HOW_TO_ADD = "at least one usable source: add recordings with `etholoop videos add PATH…`, or image folders below data/raw/images"
FILE = "data/manifest/videos.parquet"


def gate(videos: pd.DataFrame, quarantine: pd.DataFrame, images: pd.DataFrame, gaps: pd.DataFrame) -> Gate:
    """Questions about schema.videos.Videos, with Quarantine, Images and Gaps."""
    videos = videos.reset_index(drop=True)
    of_images = videos["kind"] == "images"
    rows = videos.assign(
        frame_rate_known=of_images | ((videos["fps_num"] > 0) & (videos["fps_den"] > 0)),
        images_listed=~of_images | videos["video_id"].isin(images["video_id"]),
    )
    rules = (
        rule("some_source", HOW_TO_ADD, gxe.ExpectTableRowCountToBeBetween, min_value=1),
        rule(
            "id_is_plain",
            "ids of a-z, 0-9, _ and -: rename the file",
            gxe.ExpectColumnValuesToMatchRegex,
            column="video_id",
            regex=f"^{VIDEO_ID_PATTERN}$",
        ),
        rule("id_is_unique", "one id for one source: rename one of the files", gxe.ExpectColumnValuesToBeUnique, column="video_id"),
        rule("path_is_unique", "one row for one file", gxe.ExpectColumnValuesToBeUnique, column="path"),
        is_true("frame_rate_known", "a frame rate above 0 in every video: the container names none, re-encode the file"),
        is_true("images_listed", "every image folder has its images listed in data/manifest/images.parquet"),
        rule("has_frames", "at least one frame that decodes", gxe.ExpectColumnValuesToBeBetween, column="n_frames", min_value=1),
        rule("has_width", "a width above 0", gxe.ExpectColumnValuesToBeBetween, column="width", min_value=1),
        rule("has_height", "a height above 0", gxe.ExpectColumnValuesToBeBetween, column="height", min_value=1),
    )
    n_lost = int((gaps["stop_frame"] - gaps["start_frame"]).sum())
    counts = {
        "n_sources": len(videos),
        "n_videos": int((~of_images).sum()),
        "n_image_folders": int(of_images.sum()),
        "n_quarantined": len(quarantine),
        "n_frames": int((~of_images * videos["n_frames"]).sum()) + len(images) - n_lost,
        "n_frames_in_gaps": n_lost,
    }
    return Gate("videos", {"videos": Table(rows, FILE, ("video_id", "path"), rules)}, counts, _warnings(videos, quarantine, gaps))


def _warnings(videos: pd.DataFrame, quarantine: pd.DataFrame, gaps: pd.DataFrame) -> dict[str, Warn]:
    shown = ["video_id", "path"]
    header = videos["n_frames_header"]
    other_count = header.notna() & (header != videos["n_frames"]).fillna(False).astype(bool) & (videos["kind"] == "video")
    by_content = videos.duplicated("sha256", keep=False)
    return {
        "quarantined": Warn("files put aside; nothing is made from them", quarantine),
        "gaps": Warn(
            "frames that are damaged or missing; nothing is made from them, and frame numbers are counted as if they were there", gaps
        ),
        "variable_frame_rate": Warn(
            "times are taken from the frames' own stamps, not from a constant rate", videos.loc[videos["variable_rate"], shown]
        ),
        "header_count_differs": Warn(
            "the container claims another number of frames than decode", videos.loc[other_count, [*shown, "n_frames_header", "n_frames"]]
        ),
        "same_content": Warn("equal files under several names count several times", videos.loc[by_content, shown]),
    }
