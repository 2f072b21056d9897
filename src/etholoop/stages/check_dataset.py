"""DVC stage `check_dataset`: stop here if the data set is damaged, lacks a split, or leaks between splits."""

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field, StringConstraints
from tqdm import tqdm

from etholoop.core.duplicates import MAX_LEVEL, thumbnails
from etholoop.core.leaks import find_leaks
from etholoop.core.splits import split_faults
from etholoop.errors import EthoLoopError, FaultsError
from etholoop.io import tables
from etholoop.io.vocabulary import read_skeleton
from etholoop.params import Section
from etholoop.project import Project
from etholoop.schema.dataset import PoseDataset
from etholoop.schema.skeleton import Skeleton
from etholoop.schema.splits import Splits
from etholoop.schema.videos import Videos
from etholoop.stages import _gate

if TYPE_CHECKING:
    from etholoop.checks.engine import Gate

Split = Literal["train", "val", "test"]


class Override(Section):
    """Lets a rule fail, with the reason, which is printed on every report."""

    rule: Literal["same_group", "neighbours", "near_duplicate", "same_bytes", "split_present", "recordings_suffice"]
    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class Params(Section):
    """``min_gap_s`` (videos) and ``min_gap_frames`` (image folders): least distance of frames in different splits."""

    min_gap_s: float = Field(1.0, ge=0)
    min_gap_frames: int = Field(3, ge=0)
    max_level: float = Field(MAX_LEVEL, ge=0)
    """Grey levels two images may differ by at most, anywhere, to count as near-duplicates."""
    required_splits: tuple[Split, ...] = ("train",)
    """Splits without which the gate is red; the others are noted. A first training may come before the held-out labels."""
    overrides: tuple[Override, ...] = ()


def run(project: Project, params: Params) -> None:
    _gate.ask(project, gate(project, params))


def gate(project: Project, params: Params) -> "Gate":
    """What is asked."""
    from etholoop.checks import dataset

    index = tables.read(project.pose_dataset / "index.parquet", PoseDataset)
    videos = tables.read(project.manifest / "videos.parquet", Videos)
    skeleton = read_skeleton(project.skeleton)
    image_faults, thumbs = _look_at_images(project, index)
    label_faults = [_label_fault(project, row, skeleton) for row in index.to_dict("records")]
    leaks = _leaks(index, videos, np.array(image_faults) == "", thumbs, params)
    faults = split_faults(tables.read(project.splits, Splits))
    overrides: dict[str, str] = {override.rule: override.reason for override in params.overrides}
    return dataset.gate(
        index,
        image_faults=image_faults,
        label_faults=label_faults,
        leaks=leaks,
        split_faults=faults,
        required_splits=params.required_splits,
        overrides=overrides,
    )


def _look_at_images(project: Project, index: pd.DataFrame) -> tuple[list[str], np.ndarray]:
    """Per image why it cannot be used ('' = it can), and the thumbnails (n_usable, 48, 48) of those that can."""
    from etholoop.io.images import ImageFault, read_rgb

    faults, thumbs = [], [thumbnails([])]
    for row in tqdm(index.to_dict("records"), total=len(index), desc="images", disable=None):
        try:
            image = read_rgb(project.pose_dataset / row["image"])
        except ImageFault as error:
            faults.append(f"{row['image']}: {error.detail}")
            continue
        height, width = image.shape[:2]
        if (width, height) != (row["width"], row["height"]):
            faults.append(f"{row['image']}: {width}x{height} pixels, the index says {row['width']}x{row['height']}")
            continue
        faults.append("")
        thumbs.append(thumbnails([image]))
    return faults, np.concatenate(thumbs)


def _label_fault(project: Project, row: Mapping[Any, Any], skeleton: Skeleton) -> str:
    """What is wrong with the label file of a row of the index; '' = nothing."""
    from etholoop.io import yolo_pose

    path = project.pose_dataset / row["label"]
    try:
        found = yolo_pose.read(path, row["width"], row["height"], skeleton)
    except FaultsError as error:
        return "; ".join(error.faults).replace(f"{project.pose_dataset}/", "")
    except EthoLoopError as error:
        return str(error).replace(f"{project.pose_dataset}/", "")
    expected = row["n_instances"]
    return "" if len(found) == expected else f"{row['label']}: {len(found)} animals, the index says {expected}"


def _leaks(index: pd.DataFrame, videos: pd.DataFrame, usable: np.ndarray, thumbs: np.ndarray, params: Params) -> pd.DataFrame:
    """Leaks among usable images; the least distance is that of each video's own frame rate."""
    index = index[usable].reset_index(drop=True)
    found = [find_leaks(index, thumbs, min_gap_frames=0, max_level=params.max_level)]
    for video_id, part in index.groupby("video_id"):
        gap = _gap_frames(videos[videos["video_id"] == video_id], params)
        near = find_leaks(part, None, min_gap_frames=gap)
        found.append(near[near["rule"] == "neighbours"])
    return pd.concat(found, ignore_index=True)


def _gap_frames(video: pd.DataFrame, params: Params) -> int:
    if video.empty or not video["fps_num"].item():
        return params.min_gap_frames
    return math.ceil(Fraction(str(params.min_gap_s)) * Fraction(video["fps_num"].item(), video["fps_den"].item()))
