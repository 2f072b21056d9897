"""Tiny labelled images for training tests: dark blobs with a bright nose on grey."""

from pathlib import Path

import cv2
import numpy as np
import yaml

from etholoop.io.yolo_pose import lines
from etholoop.schema.skeleton import Skeleton, skeleton_from
from etholoop.stages.pose_dataset import description

MOUSE = skeleton_from(
    {"name": "blob", "species": ["mouse", "rat"], "keypoints": ["nose", "left", "right"], "left_right": [["left", "right"]]}, "test"
)
BOXES_ONLY = skeleton_from({"name": "blob", "species": ["mouse"]}, "test")


def blob(rng: np.random.Generator, width: int = 64, height: int = 48) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """RGB image, box (1, 4) and keypoints (1, 3, 3); the third keypoint is missing."""
    image = np.full((height, width, 3), 128, np.uint8)
    x, y = int(rng.integers(14, width - 14)), int(rng.integers(12, height - 12))
    cv2.rectangle(image, (x - 10, y - 7), (x + 9, y + 6), (40, 30, 30), -1)
    cv2.rectangle(image, (x + 4, y - 2), (x + 7, y + 1), (250, 200, 200), -1)
    keypoints = np.array([[[x + 6, y, 2], [x - 10, y, 1], [np.nan, np.nan, 0]]])
    return image, np.array([[x - 10, y - 7, x + 10, y + 7]], float), keypoints


def dataset(folder: Path, n_train: int = 6, n_val: int = 2, skeleton: Skeleton = MOUSE, size: tuple[int, int] = (64, 48)) -> Path:
    """A data set in the layout of the pose_dataset stage; the last training image is empty."""
    rng = np.random.default_rng(1)
    width, height = size
    for split, count in (("train", n_train), ("val", n_val)):
        for kind in ("images", "labels"):
            (folder / kind / split).mkdir(parents=True)
        for number in range(count):
            image, boxes, keypoints = blob(rng, width, height)
            empty = split == "train" and number == n_train - 1
            text = [] if empty else lines(boxes, [0], keypoints[:, : len(skeleton.keypoints)], width, height)
            cv2.imwrite(str(folder / f"images/{split}/v_{number:08d}.png"), image[..., ::-1])
            (folder / f"labels/{split}/v_{number:08d}.txt").write_text("".join(f"{line}\n" for line in text))
    (folder / "data.yaml").write_text(yaml.safe_dump(description(skeleton)))
    return folder
