"""The animals of each frame as arrays, from the long tables of labels or predictions."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from etholoop.errors import FaultsError

FRAME = ["video_id", "frame"]
INSTANCE = [*FRAME, "instance"]


@dataclass(frozen=True)
class Animals:
    """The n animals of one frame.

    ``instance`` (n,), ``species`` (n,) names, ``boxes`` (n, 4) xyxy, ``confidence`` (n,) NaN for labels, ``keypoints`` (n, K, 3):
    x, y and visibility (labels) or confidence (predictions); a missing point has NaN coordinates, a missing label visibility 0.
    """

    instance: np.ndarray
    species: np.ndarray
    boxes: np.ndarray
    confidence: np.ndarray
    keypoints: np.ndarray

    def __len__(self) -> int:
        return len(self.instance)


def no_animals(n_keypoints: int) -> Animals:
    """A frame without any."""
    return Animals(np.zeros(0, int), np.zeros(0, object), np.zeros((0, 4)), np.zeros(0), np.zeros((0, n_keypoints, 3)))


def animals_by_frame(boxes: pd.DataFrame, keypoints: pd.DataFrame, names: Sequence[str], third: str) -> dict[tuple[str, int], Animals]:
    """Animals of every frame that has any.

    Args:
        boxes: rows with video_id, frame, instance, species, the corners and confidence.
        keypoints: rows with video_id, frame, instance, keypoint, x, y and the column ``third``.
        names: keypoints of the skeleton, in order.
        third: ``visibility`` for labels, ``confidence`` for predictions.

    Raises:
        FaultsError: keypoints that are not in the skeleton or belong to no box.
    """
    boxes = boxes.sort_values(INSTANCE, ignore_index=True)
    points = _points(boxes, keypoints, names, third)
    corners = boxes[["x_min", "y_min", "x_max", "y_max"]].to_numpy(float)
    species, instance = boxes["species"].to_numpy(object), boxes["instance"].to_numpy(int)
    confidence = boxes["confidence"].to_numpy(float)
    frame_of = list(zip(boxes["video_id"], boxes["frame"], strict=True))
    return {
        (str(frame_of[rows[0]][0]), int(frame_of[rows[0]][1])): Animals(
            instance[rows], species[rows], corners[rows], confidence[rows], points[rows]
        )
        for rows in boxes.groupby(FRAME, sort=True).indices.values()
    }


def _points(boxes: pd.DataFrame, keypoints: pd.DataFrame, names: Sequence[str], third: str) -> np.ndarray:
    """Keypoints (n_boxes, K, 3) in the order of the boxes."""
    points = np.full((len(boxes), len(names), 3), np.nan)
    points[:, :, 2] = 0 if third == "visibility" else np.nan
    if keypoints.empty:
        return points
    rows = pd.MultiIndex.from_frame(boxes[INSTANCE]).get_indexer(pd.MultiIndex.from_frame(keypoints[INSTANCE]))
    columns = pd.Index(list(names)).get_indexer(pd.Index(keypoints["keypoint"]))
    unknown = sorted(set(keypoints.loc[columns < 0, "keypoint"]))
    faults = [f"keypoint '{name}' is not in the skeleton ({', '.join(names)})" for name in unknown]
    homeless = keypoints.loc[rows < 0, INSTANCE].drop_duplicates()
    faults += [f"{row.video_id} frame {row.frame}: keypoints of instance {row.instance}, which has no box" for row in homeless.itertuples()]
    if faults:
        raise FaultsError(f"keypoints with {third}", faults, "Run `etholoop repro`, so that labels and predictions fit the skeleton again.")
    points[rows, columns] = keypoints[["x", "y", third]].to_numpy(float)
    return points
