"""Prediction with a YOLO model, called directly: all class probabilities, keypoints and an embedding in one pass.

The same letterbox, suppression and scaling back as Ultralytics' own predictor, without its file handling, its colour
conversion, and its time limit on suppression (which would make results depend on how busy the computer is).
"""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from etholoop._torchvision_cure import nms
from etholoop.errors import EthoLoopError
from etholoop.modeling.backends import Network
from etholoop.modeling.detectors import _yolo_checkpoint as checkpoint
from etholoop.modeling.detectors import _yolo_network as network
from etholoop.modeling.records import Prediction

GREY = 114
"""Value of the border, as in Ultralytics' training."""

SAME_ANIMAL_IOU = 0.5
"""A detection in the mirrored image is the same animal from this overlap on."""


@dataclass(frozen=True)
class Limits:
    """What is kept of the network's many answers."""

    confidence: float
    iou: float
    max_detections: int


@dataclass(frozen=True)
class Letterbox:
    """How an image of ``width`` × ``height`` was scaled and bordered: ``network = source × gain + pad``."""

    width: int
    height: int
    gain: tuple[float, float]
    pad: tuple[int, int]


class Predictor:
    """A trained model, ready to look at images."""

    def __init__(self, model: torch.nn.Module, imgsz: int, flip_index: list[int] | None, device: str):
        self.device = torch.device(device)
        self.model = model.to(self.device).eval()
        self._module = network.YoloNetwork(self.model).eval()
        self.network: Network = network.TorchNetwork(self._module, self.device)
        self.imgsz = imgsz
        self.flip_index = flip_index
        self.species = tuple(str(model.names[number]) for number in sorted(model.names))
        self.head = model.model[-1]
        shape: tuple[int, int] = getattr(self.head, "kpt_shape", (0, 0))
        self.n_keypoints, self.keypoint_values = shape

    @classmethod
    def load(cls, path: Path, device: str = "cpu") -> "Predictor":
        """Load a checkpoint safely, ours or Ultralytics'.

        Raises:
            EthoLoopError: not a YOLO detect or pose checkpoint.
        """
        content = checkpoint.load_safely(path)
        model = content["model"]
        head = model.model[-1]
        if hasattr(head, "end2end"):
            # the one-to-many branch: only there each box has the probabilities of all classes
            head.end2end = False
        model = model.fuse(verbose=False)
        facts = content.get("etholoop") or {}
        imgsz = facts.get("imgsz") or (content.get("train_args") or {}).get("imgsz") or 640
        return cls(model, int(imgsz), facts.get("flip_index"), device)

    def predict(
        self,
        images: list[np.ndarray],
        *,
        confidence: float = 0.05,
        iou: float = 0.7,
        max_detections: int = 300,
        imgsz: int | None = None,
        flip: bool = False,
    ) -> list[Prediction]:
        """Find animals in RGB images (uint8, height × width × 3); everything comes back in pixels of these images.

        Args:
            confidence: least probability of a detection's most probable class.
            iou: of two boxes of one class that overlap more, the less probable is dropped.
            flip: look at the mirrored image too and average the keypoints.
        """
        limits = Limits(confidence, iou, max_detections)
        predictions: list[Prediction] = [None] * len(images)  # type: ignore[list-item]
        by_shape = defaultdict(list)
        for number, image in enumerate(images):
            _check_image(image, number)
            by_shape[image.shape].append(number)
        for numbers in by_shape.values():
            same = [images[number] for number in numbers]
            found = self._same_shape(same, limits, imgsz or self.imgsz)
            if flip:
                mirrored = [np.ascontiguousarray(image[:, ::-1]) for image in same]
                others = self._same_shape(mirrored, limits, imgsz or self.imgsz)
                found = [self._average(one, other, same[0].shape[1]) for one, other in zip(found, others, strict=True)]
            for number, prediction in zip(numbers, found, strict=True):
                predictions[number] = prediction
        return predictions

    def use(self, network: Network) -> None:
        """Let another backend that answers alike run the exported network."""
        self.network = network

    def export(self, path: Path) -> None:
        """Write the network as ONNX, for pictures of any size."""
        network.export(self._module, path)

    def exact_operations(self) -> list[str]:
        """Patterns of names of operations that keep 32 bits where the network gets 8."""
        return network.exact_operations(self._module)

    def picture(self, image: np.ndarray, imgsz: int | None = None) -> np.ndarray:
        """What the network sees of an image: uint8 (1, h, w, 3), scaled and bordered."""
        return letterbox(image, imgsz or self.imgsz, self._stride())[0][None]

    def answer(self, image: np.ndarray, imgsz: int | None = None) -> dict[str, np.ndarray]:
        """Everything the network says about an image before anything is left out, in its own pixels."""
        rows, embedding = self.network(self.picture(image, imgsz))
        n_classes = len(self.species)
        points = self._keypoints(rows[0, :, 4 + n_classes :])
        return {
            "box_px": rows[0, :, :4],
            "probability": rows[0, :, 4 : 4 + n_classes],
            "keypoint_px": points[..., :2],
            "keypoint_confidence": np.nan_to_num(points[..., 2]),  # NaN: this model knows none
            "embedding": embedding,
        }

    def _same_shape(self, images: list[np.ndarray], limits: Limits, imgsz: int) -> list[Prediction]:
        frames = [letterbox(image, imgsz, self._stride()) for image in images]
        box = frames[0][1]
        rows, embedding = self.network(np.stack([frame for frame, _ in frames]))
        return [self._one(row, vector, box, limits) for row, vector in zip(rows, embedding, strict=True)]

    def _one(self, rows: np.ndarray, embedding: np.ndarray, box: Letterbox, limits: Limits) -> Prediction:
        """Suppress and scale back one image's rows (anchors, 4 + classes + keypoint values)."""
        n_classes = len(self.species)
        rows = rows[rows[:, 4 : 4 + n_classes].max(axis=1) > limits.confidence]
        centre, half = rows[:, :2], rows[:, 2:4] / 2
        boxes = np.concatenate([centre - half, centre + half], axis=1)
        probabilities = rows[:, 4 : 4 + n_classes]
        kept = suppress(boxes, probabilities, limits.iou)[: limits.max_detections]
        keypoints = self._keypoints(rows[kept, 4 + n_classes :])
        return Prediction(
            boxes=to_source(boxes[kept].reshape(-1, 2, 2), box).reshape(-1, 4),
            probabilities=probabilities[kept].astype(np.float32),
            keypoints=np.concatenate([to_source(keypoints[..., :2], box), keypoints[..., 2:]], axis=-1),
            embedding=embedding.astype(np.float32),
        )

    def _keypoints(self, values: np.ndarray) -> np.ndarray:
        """(n, K, 3); a model that was trained without visibility gives NaN as confidence."""
        points = values.reshape(len(values), self.n_keypoints, self.keypoint_values)
        if self.keypoint_values == 2:
            points = np.concatenate([points, np.full((*points.shape[:2], 1), np.nan, points.dtype)], axis=-1)
        return points.reshape(len(values), self.n_keypoints, 3)

    def _average(self, prediction: Prediction, mirrored: Prediction, width: int) -> Prediction:
        """Average keypoints with those of the same animal in the mirrored image."""
        if not self.n_keypoints or not len(prediction.boxes) or not len(mirrored.boxes):
            return prediction
        if self.flip_index is None:
            raise EthoLoopError("these weights do not say which keypoints are mirror pairs; set flip: false, or train them with EthoLoop.")
        boxes = mirrored.boxes[:, [2, 1, 0, 3]].copy()
        boxes[:, [0, 2]] = width - boxes[:, [0, 2]]
        points = mirrored.keypoints[:, self.flip_index].copy()
        points[..., 0] = width - points[..., 0]
        overlap = overlaps(prediction.boxes, boxes)
        same_class = prediction.probabilities.argmax(axis=1)[:, None] == mirrored.probabilities.argmax(axis=1)
        overlap = np.where(same_class, overlap, 0)
        partner = overlap.argmax(axis=1)
        sure = overlap.max(axis=1) >= SAME_ANIMAL_IOU
        keypoints = prediction.keypoints.copy()
        keypoints[sure] = (keypoints[sure] + points[partner[sure]]) / 2
        return Prediction(prediction.boxes, prediction.probabilities, keypoints, prediction.embedding)

    def _stride(self) -> int:
        return max(int(self.model.stride.max()), 32)


def letterbox(image: np.ndarray, imgsz: int, stride: int) -> tuple[np.ndarray, Letterbox]:
    """Scale the long side to ``imgsz`` and add a grey border up to the next multiple of ``stride``."""
    height, width = image.shape[:2]
    ratio = min(imgsz / height, imgsz / width)
    new_width, new_height = max(round(width * ratio), 1), max(round(height * ratio), 1)
    if (new_width, new_height) != (width, height):
        image = cv2.resize(image, (new_width, new_height), interpolation=cv2.INTER_LINEAR)
    border_x, border_y = (imgsz - new_width) % stride / 2, (imgsz - new_height) % stride / 2
    left, right = round(border_x - 0.1), round(border_x + 0.1)
    top, bottom = round(border_y - 0.1), round(border_y + 0.1)
    image = cv2.copyMakeBorder(image, top, bottom, left, right, cv2.BORDER_CONSTANT, value=(GREY, GREY, GREY))
    return image, Letterbox(width, height, (new_width / width, new_height / height), (left, top))


def to_source(points: np.ndarray, box: Letterbox) -> np.ndarray:
    """Undo the letterbox for points (…, 2) and keep them inside the image."""
    source = (points - np.array(box.pad)) / np.array(box.gain)
    return np.clip(source, 0, (box.width, box.height))


def suppress(boxes: np.ndarray, probabilities: np.ndarray, iou: float) -> np.ndarray:
    """Indices kept by non-maximum suppression within each class, by falling confidence."""
    classes, scores = probabilities.argmax(axis=1), probabilities.max(axis=1)
    kept = []
    for number in np.unique(classes):
        members = np.flatnonzero(classes == number)
        kept.append(members[nms(boxes[members], scores[members], iou)])
    indices = np.concatenate(kept) if kept else np.zeros(0, dtype=np.int64)
    return indices[np.argsort(-scores[indices], kind="stable")]


def overlaps(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """IoU of every box of ``a`` (n, 4) with every box of ``b`` (m, 4)."""
    low, high = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    common = np.clip(high - low, 0, None).prod(axis=2)
    area_a, area_b = (a[:, 2:] - a[:, :2]).prod(axis=1), (b[:, 2:] - b[:, :2]).prod(axis=1)
    return common / np.maximum(area_a[:, None] + area_b[None] - common, 1e-9)


def _check_image(image: np.ndarray, number: int) -> None:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ValueError(f"image {number}: expected uint8 of shape (height, width, 3), found {image.dtype} {image.shape}")
