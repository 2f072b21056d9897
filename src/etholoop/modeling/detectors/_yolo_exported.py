"""What a YOLO network's answers mean: letterbox, suppression and scaling back, all class probabilities, keypoints and an embedding.

The same as Ultralytics' own predictor does, without its file handling, its colour conversion, and its time limit on suppression
(which would make results depend on how busy the computer is). Nothing here needs torch: a worker that runs an exported network
does not load it.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np

from etholoop._torchvision_cure import nms
from etholoop.errors import EthoLoopError
from etholoop.modeling.backends import Network
from etholoop.modeling.records import Prediction

VERSION = 2
"""Raise it when the same inputs would give other predictions; it is part of the memo key."""

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


@dataclass(frozen=True)
class Facts:
    """What must be known of a network to understand its answers.

    ``keypoint_values`` is 2 (x, y) or 3 (with a confidence), 0 without keypoints; ``imgsz`` the size it was trained with; ``flip_index``
    the mirror partner of each keypoint, None where the weights do not say; ``stride``: sides of what it sees are multiples of this.
    """

    species: tuple[str, ...]
    n_keypoints: int
    keypoint_values: int
    imgsz: int
    flip_index: tuple[int, ...] | None
    stride: int


class Finder:
    """A network and what its answers mean."""

    def __init__(self, facts: Facts, network: Network):
        self.facts, self.network = facts, network

    @classmethod
    def of(cls, facts: Mapping[str, Any], network: Network) -> "Finder":
        """From what :meth:`known` gave, for an exported network."""
        flip_index = facts["flip_index"]
        pairs = None if flip_index is None else tuple(flip_index)
        return cls(Facts(**{**facts, "species": tuple(facts["species"]), "flip_index": pairs}), network)

    def known(self) -> dict[str, Any]:
        """What belongs beside an exported network, for JSON."""
        return asdict(self.facts)

    @property
    def species(self) -> tuple[str, ...]:
        return self.facts.species

    @property
    def n_keypoints(self) -> int:
        return self.facts.n_keypoints

    @property
    def imgsz(self) -> int:
        return self.facts.imgsz

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

    def picture(self, image: np.ndarray, imgsz: int | None = None) -> np.ndarray:
        """What the network sees of an image: uint8 (1, h, w, 3), scaled and bordered."""
        return letterbox(image, imgsz or self.imgsz, self.facts.stride)[0][None]

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
        frames = [letterbox(image, imgsz, self.facts.stride) for image in images]
        box = frames[0][1]
        seen = [frame for frame, _ in frames]
        rows, embedding = self.network(np.stack(seen) if len(seen) > 1 else seen[0][None])
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
        points = values.reshape(len(values), self.n_keypoints, self.facts.keypoint_values)
        if self.facts.keypoint_values == 2:
            points = np.concatenate([points, np.full((*points.shape[:2], 1), np.nan, points.dtype)], axis=-1)
        return points.reshape(len(values), self.n_keypoints, 3)

    def _average(self, prediction: Prediction, mirrored: Prediction, width: int) -> Prediction:
        """Average keypoints with those of the same animal in the mirrored image."""
        if not self.n_keypoints or not len(prediction.boxes) or not len(mirrored.boxes):
            return prediction
        if self.facts.flip_index is None:
            raise EthoLoopError("these weights do not say which keypoints are mirror pairs; set flip: false, or train them with EthoLoop.")
        boxes = mirrored.boxes[:, [2, 1, 0, 3]].copy()
        boxes[:, [0, 2]] = width - boxes[:, [0, 2]]
        points = mirrored.keypoints[:, list(self.facts.flip_index)].copy()
        points[..., 0] = width - points[..., 0]
        overlap = overlaps(prediction.boxes, boxes)
        same_class = prediction.probabilities.argmax(axis=1)[:, None] == mirrored.probabilities.argmax(axis=1)
        overlap = np.where(same_class, overlap, 0)
        partner = overlap.argmax(axis=1)
        sure = overlap.max(axis=1) >= SAME_ANIMAL_IOU
        keypoints = prediction.keypoints.copy()
        keypoints[sure] = (keypoints[sure] + points[partner[sure]]) / 2
        return Prediction(prediction.boxes, prediction.probabilities, keypoints, prediction.embedding)


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
    if any((top, bottom, left, right)):
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
