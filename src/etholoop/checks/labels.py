"""Gate ``labels``: does what people marked fit the videos, the skeleton and the ethogram?"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from etholoop.checks.engine import Gate, Table, Warn, gxe, is_true, no_fault, rule
from etholoop.core.metrics.matching import box_iou
from etholoop.params import nearest
from etholoop.schema.columns import frame_uid

FRAME = ["video_id", "frame"]
INSTANCE = [*FRAME, "instance"]
CORNERS = ["x_min", "y_min", "x_max", "y_max"]
FOLDER = "data/annotations"
SAME_ANIMAL_IOU = 0.95
"""Two boxes of one frame that overlap more are one animal marked twice."""


@dataclass(frozen=True)
class Annotations:
    """The tables of schema.annotations."""

    frames: pd.DataFrame
    boxes: pd.DataFrame
    keypoints: pd.DataFrame
    bouts: pd.DataFrame


def gate(
    labels: Annotations,
    videos: pd.DataFrame,
    images: pd.DataFrame,
    *,
    species: Sequence[str],
    keypoint_names: Sequence[str],
    behaviours: Sequence[str],
    tolerance_px: float,
    box_margin: float,
) -> Gate:
    """Questions about labels.

    Args:
        tolerance_px: how far over the image's edge a box or keypoint may lie (rounding of other programs).
        box_margin: keypoints farther outside their box than this share of its size are counted as a warning.
    """
    boxes = labels.boxes.merge(videos[["video_id", "width", "height"]], on="video_id", how="left", validate="many_to_one")
    keypoints = _with_box(labels.keypoints, boxes)
    tables = {
        "labelled_frames": _frames_table(labels, videos, images),
        "boxes": _boxes_table(boxes, labels.frames, species, tolerance_px),
        "keypoints": _keypoints_table(keypoints, keypoint_names, tolerance_px),
        "bouts": _bouts_table(labels.bouts, videos, behaviours),
    }
    outside = keypoints[_outside_box(keypoints, box_margin)]
    shown = [*INSTANCE, "keypoint", "x", "y"]
    warnings = {"keypoint_outside_box": Warn(f"keypoints outside their box grown by {box_margin:g} of its size", outside[shown])}
    statuses = labels.frames["status"].value_counts()
    counts = {
        "n_labelled_frames": len(labels.frames),
        "n_videos": int(labels.frames["video_id"].nunique()),
        "n_boxes": len(labels.boxes),
        "n_keypoints": int((labels.keypoints["visibility"] > 0).sum()),
        "n_bouts": len(labels.bouts),
        **{f"n_{status}": int(statuses.get(status, 0)) for status in ("animals", "no_animal", "unusable")},
    }
    notes = () if len(labels.frames) else ("no labelled frames yet: label data/selection/batch.parquet",)
    return Gate("labels", tables, counts, warnings, notes)


def _frames_table(labels: Annotations, videos: pd.DataFrame, images: pd.DataFrame) -> Table:
    frames = labels.frames
    n_boxes = labels.boxes.groupby(FRAME).size()
    marked = n_boxes.reindex(pd.MultiIndex.from_frame(frames[FRAME])).fillna(0).to_numpy() if len(n_boxes) else np.zeros(len(frames))
    rows = frames.assign(
        frame_exists=_frame_faults(frames, videos, images),
        n_boxes=marked.astype(int),
        count_fits_status=np.select(
            [frames["status"] == "animals", frames["status"] == "no_animal"],
            [(marked > 0) & (marked == frames["n_animals"]), (marked == 0) & (frames["n_animals"] == 0)],
            True,
        ).astype(bool),
    )
    return Table(
        rows,
        f"{FOLDER}/labelled_frames.parquet",
        (*FRAME, "status", "n_animals", "n_boxes"),
        (
            no_fault("frame_exists", "a frame of a known source"),
            rule(
                "status_known",
                "animals, no_animal or unusable",
                gxe.ExpectColumnValuesToBeInSet,
                column="status",
                value_set=["animals", "no_animal", "unusable"],
            ),
            is_true("count_fits_status", "as many boxes as animals with status animals, none with status no_animal"),
            rule("frame_is_unique", "one row per frame", gxe.ExpectCompoundColumnsToBeUnique, column_list=FRAME),
        ),
    )


def _frame_faults(frames: pd.DataFrame, videos: pd.DataFrame, images: pd.DataFrame) -> list[str]:
    """What is wrong with each frame's place; '' = it exists."""
    known = {str(video["video_id"]): video for video in videos.to_dict("records")}
    existing = set(zip(images["video_id"], images["frame"], strict=True))
    return [_frame_fault(video_id, frame, known, existing) for video_id, frame in zip(frames["video_id"], frames["frame"], strict=True)]


def _frame_fault(video_id: str, frame: int, known: dict[str, Any], existing: set[tuple[str, int]]) -> str:
    if video_id not in known:
        return f"unknown source; {nearest(video_id, list(known))}" if known else "unknown source; there are none"
    if known[video_id]["kind"] == "images":
        return "" if (video_id, frame) in existing else "no image of this number in the folder"
    n_frames = known[video_id]["n_frames"]
    return "" if frame < n_frames else f"the video has {n_frames} frames, 0 to {n_frames - 1}"


def _boxes_table(boxes: pd.DataFrame, frames: pd.DataFrame, species: Sequence[str], tolerance_px: float) -> Table:
    size = boxes[["width", "height"]].to_numpy(float)
    corners = boxes[CORNERS].to_numpy(float)
    inside = np.all((corners[:, :2] >= -tolerance_px) & (corners[:, 2:] <= size + tolerance_px), axis=1)
    labelled = pd.MultiIndex.from_frame(frames[FRAME])
    rows = boxes.assign(
        frame_is_labelled=pd.MultiIndex.from_frame(boxes[FRAME]).isin(labelled),
        inside_image=inside,
        positive_area=np.all(corners[:, 2:] > corners[:, :2], axis=1),
        species_known=[_unknown(name, species) for name in boxes["species"]],
        marked_once=_repeated(boxes),
    )
    return Table(
        rows,
        f"{FOLDER}/boxes.parquet",
        (*INSTANCE, *CORNERS),
        (
            is_true("frame_is_labelled", "boxes on labelled frames only"),
            is_true("inside_image", f"boxes inside the image (up to {tolerance_px:g} px over its edge is taken as rounding)"),
            is_true("positive_area", "x_max above x_min and y_max above y_min"),
            no_fault("species_known", "a species of label_studio/skeleton.yaml"),
            no_fault("marked_once", f"each animal marked once: no two boxes of a frame with IoU above {SAME_ANIMAL_IOU:g}"),
            rule("instance_is_unique", "one box per instance", gxe.ExpectCompoundColumnsToBeUnique, column_list=INSTANCE),
        ),
    )


def _unknown(name: str, known: Sequence[str]) -> str:
    return "" if name in known else f"'{name}' is unknown; {nearest(name, list(known))}"


def _repeated(boxes: pd.DataFrame) -> list[str]:
    """For each box the earlier box of the frame that it repeats."""
    faults = np.full(len(boxes), "", object)
    corners, instance = boxes[CORNERS].to_numpy(float), boxes["instance"].to_numpy()
    uids = [frame_uid(video_id, frame) for video_id, frame in zip(boxes["video_id"], boxes["frame"], strict=True)]
    for rows in boxes.groupby(FRAME).indices.values():
        overlap = np.tril(box_iou(corners[rows], corners[rows]), -1)
        for later, earlier in np.argwhere(overlap > SAME_ANIMAL_IOU):
            faults[rows[later]] = f"same place as instance {instance[rows[earlier]]} of {uids[rows[later]]}"
    return faults.tolist()


def _with_box(keypoints: pd.DataFrame, boxes: pd.DataFrame) -> pd.DataFrame:
    places = boxes[[*INSTANCE, *CORNERS, "width", "height"]].drop_duplicates(INSTANCE)
    return keypoints.merge(places, on=INSTANCE, how="left", validate="many_to_one", indicator="box")


def _keypoints_table(keypoints: pd.DataFrame, names: Sequence[str], tolerance_px: float) -> Table:
    places, size = keypoints[["x", "y"]].to_numpy(float), keypoints[["width", "height"]].to_numpy(float)
    placed, finite = keypoints["visibility"].to_numpy() > 0, np.isfinite(places).all(axis=1)
    homeless = (keypoints["box"] != "both").to_numpy()
    inside = ((places >= -tolerance_px) & (places <= size + tolerance_px)).all(axis=1)
    rows = keypoints.assign(
        has_box=~homeless,
        placed_if_visible=placed == finite,
        inside_image=inside | ~placed | ~finite | homeless,
        keypoint_known=[
            _unknown(name, names) if names else f"'{name}', but the skeleton has no keypoints" for name in keypoints["keypoint"]
        ],
    )
    return Table(
        rows.drop(columns="box"),
        f"{FOLDER}/keypoints.parquet",
        (*INSTANCE, "keypoint", "x", "y", "visibility"),
        (
            is_true("has_box", "keypoints of an instance that has a box"),
            is_true("placed_if_visible", "coordinates with visibility 1 or 2, none (NaN) with visibility 0"),
            is_true("inside_image", f"keypoints inside the image (up to {tolerance_px:g} px over its edge is taken as rounding)"),
            no_fault("keypoint_known", "a keypoint of label_studio/skeleton.yaml"),
            rule("keypoint_is_unique", "one place per keypoint", gxe.ExpectCompoundColumnsToBeUnique, column_list=[*INSTANCE, "keypoint"]),
        ),
    )


def _outside_box(keypoints: pd.DataFrame, margin: float) -> np.ndarray:
    low, high = keypoints[CORNERS[:2]].to_numpy(float), keypoints[CORNERS[2:]].to_numpy(float)
    places, grown = keypoints[["x", "y"]].to_numpy(float), margin * (high - low)
    return np.any((places < low - grown) | (places > high + grown), axis=1)


def _bouts_table(bouts: pd.DataFrame, videos: pd.DataFrame, behaviours: Sequence[str]) -> Table:
    n_frames = bouts["video_id"].map(videos.set_index("video_id")["n_frames"]).astype("float64")
    rows = bouts.assign(
        source_known=n_frames.notna(),
        inside_video=n_frames.isna() | (bouts["stop_frame"] <= n_frames),
        behaviour_known=[
            _unknown(name, behaviours) if behaviours else f"'{name}', but the ethogram is empty" for name in bouts["behaviour"]
        ],
    )
    return Table(
        rows,
        f"{FOLDER}/bouts.parquet",
        ("video_id", "subject", "behaviour", "start_frame", "stop_frame"),
        (
            is_true("source_known", "bouts of known sources"),
            is_true("inside_video", "bouts that stop before the video does"),
            no_fault("behaviour_known", "a behaviour of label_studio/ethogram.yaml"),
        ),
    )
