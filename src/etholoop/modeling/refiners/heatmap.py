"""Heatmap refiner: cuts a square around each box, and reads each keypoint from a heatmap at half the crop's resolution.

Top-down pose estimation with the body of YOLOv8n, so that its COCO weights may be used where they are at hand; with a hundred
labelled frames they are what makes the difference.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from etholoop.errors import EthoLoopError
from etholoop.modeling.backends import Network
from etholoop.modeling.backends._export import to_onnx
from etholoop.modeling.precision import resolved
from etholoop.modeling.records import LabelledImage, Progress, TrainResult
from etholoop.modeling.refiners import _crops, _readout, _weights
from etholoop.modeling.refiners._heatmap_fit import Fit, Job, judge
from etholoop.modeling.refiners._heatmap_settings import Params
from etholoop.modeling.refiners._instances import Instance, digest, instances_of
from etholoop.modeling.refiners._network import HeatmapNetwork, fused, new_network
from etholoop.schema.skeleton import Skeleton

__all__ = ["VERSION", "Params", "Refiner", "train"]

VERSION = 3
"""Raise it when the same inputs would give other results; it is part of the memo key."""

CHUNK = 16
"""Animals whose crops go through the network together in use."""


def train(
    images: Sequence[LabelledImage],
    validation: Sequence[LabelledImage],
    skeleton: Skeleton,
    params: Params,
    *,
    seed: int,
    out: Path,
    scratch: Path,
    init_weights: Path | None = None,
    progress: Progress | None = None,
) -> TrainResult:
    """Learn from every labelled animal with at least one keypoint and write the weights to ``out``.

    Validation images are only looked at, nothing is chosen by them. A killed training goes on from ``scratch`` and comes to
    the same end. The same inputs, seed and number of threads give the same bytes on one kind of CPU.

    Raises:
        EthoLoopError: no keypoint to learn from, an unreadable image, weights that do not fit, a loss that is not a number.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(params.threads or os.cpu_count() or 1)
    try:
        job = _job(images, validation, skeleton, params, seed=seed, scratch=scratch, init_weights=init_weights)
        network = new_network(len(skeleton.keypoints), params.width, seed)
        notes = _weights.transfer(network, init_weights) if init_weights else ["Started from scratch: all weights at random."]
        notes += _sides_note(skeleton, params)
        fit = Fit(network, job)
        curves = fit.run(scratch / "state.pt", progress)
        _weights.save(out, _content(fit.averaged, skeleton, params, size_of(job.train_set)))
        result = _result(fit, curves, notes)
    finally:
        torch.set_num_threads(threads)
    shutil.rmtree(scratch)
    return result


def _job(
    images: Sequence[LabelledImage],
    validation: Sequence[LabelledImage],
    skeleton: Skeleton,
    params: Params,
    *,
    seed: int,
    scratch: Path,
    init_weights: Path | None,
) -> Job:
    train_set = instances_of(images, params, scratch / "train")
    if not train_set:
        raise EthoLoopError("the refiner found no labelled animal with a keypoint to learn from. Label keypoints on training frames first.")
    val_set = instances_of(validation, params, scratch / "val")
    key = _key([*train_set, *val_set], skeleton, params, seed, init_weights)
    return Job(train_set, val_set, skeleton.flip_index, params, seed, key)


def _result(fit: Fit, curves: list[dict[str, float]], notes: list[str]) -> TrainResult:
    job = fit.job
    metrics = {"instances": float(len(job.train_set)), "steps": float(job.n_steps), "loss": curves[-1]["loss"]}
    if not job.val_set:
        return TrainResult(metrics, curves, [*notes, "No validation images: nothing is known about the error on other images."])
    return TrainResult(metrics | judge(fit.averaged, job.val_set, job.params, job.reading(_views(job.params))), curves, notes)


class Refiner:
    """Moves keypoints to where the heatmaps see them."""

    def __init__(self, network: HeatmapNetwork, content: dict[str, Any], device: str):
        self.module = network.to(device, memory_format=torch.channels_last).eval()
        self._run: _readout.Run = self.module
        self.keypoint_names: tuple[str, ...] = tuple(content["keypoints"])
        self.crop_px, self.margin = int(content["crop_px"]), float(content["margin"])
        # weights written before there were several looks have one
        self.looks, self.size = int(content.get("looks", 1)), float(content.get("size", 0.0))
        views = [(int(turns), bool(mirrored)) for turns, mirrored in content["views"]]
        self.reading = _readout.Reading(tuple(content["flip_index"]), float(content["sigma_px"]), views, device)

    @classmethod
    def load(cls, path: Path, device: str = "cpu") -> "Refiner":
        """Read weights that :func:`train` wrote.

        Raises:
            EthoLoopError: no such file, a damaged one, or weights of something else.
        """
        content = _weights.load(path, device)
        network = HeatmapNetwork(len(content["keypoints"]), int(content["width"]))
        network.load_state_dict(content["weights"])
        return cls(fused(network), content, device)

    def refine(self, image: np.ndarray, boxes: np.ndarray, keypoints: np.ndarray) -> np.ndarray:
        """Places and confidences (n, K, 3) of the keypoints of n animals.

        Args:
            image: (h, w, 3) uint8 RGB.
            boxes: (n, 4) xyxy pixels; a box with a NaN keeps its keypoints as they are.
            keypoints: (n, K, 3) x, y, confidence as the detector saw them; only their shape is used.

        Raises:
            EthoLoopError: another number of keypoints than was learnt.
        """
        boxes, refined = np.asarray(boxes, dtype=float), np.array(keypoints, dtype=float)
        if refined.shape[0] != len(boxes) or refined.shape[1:] != (len(self.keypoint_names), 3):
            raise EthoLoopError(
                f"the refiner learnt {len(self.keypoint_names)} keypoints ({', '.join(self.keypoint_names)}) and got {len(boxes)} boxes "
                f"with keypoints of shape {refined.shape}. Train it again after a change of the skeleton."
            )
        usable = np.flatnonzero(np.isfinite(boxes).all(axis=1))
        for start in range(0, len(usable), CHUNK):
            rows = usable[start : start + CHUNK]
            refined[rows] = self._look(image, boxes[rows])
        return refined

    def use(self, network: Network) -> None:
        """Let another backend that answers alike run the exported network."""
        self._run = _readout.through(network)

    def export(self, path: Path) -> None:
        """Write the network as ONNX, for any number of crops."""
        example = torch.zeros(1, 3, self.crop_px, self.crop_px)
        to_onnx(self.module, example, path, ("heatmaps",), {"images": {0: "n"}, "heatmaps": {0: "n"}})

    def answer(self, image: np.ndarray, boxes: np.ndarray) -> dict[str, np.ndarray]:
        """The heatmaps of each box, before a place is read from them: a place may jump between two that are equally probable."""
        crops = [self._crop(image, window)[0] for window in (_crops.window_of(box, self.margin) for box in boxes)]
        return {"heatmap": _readout.maps_of(self._run, np.stack(crops), self.reading).cpu().numpy()} if crops else {}

    def _look(self, image: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        windows = [_crops.window_of(box, self.margin) for box in boxes]
        found = self._read(image, windows)
        for _ in range(self.looks - 1):
            windows = [_crops.window_around(points[:, :2], self.size, window) for points, window in zip(found, windows, strict=True)]
            again = self._read(image, windows)
            # the surer look counts: a square around keypoints that were wrong may hold less of the animal than the box did
            surer = again[:, :, 2].mean(axis=1) >= found[:, :, 2].mean(axis=1)
            found = np.where(surer[:, None, None], again, found)
        return found

    def _read(self, image: np.ndarray, windows: list[_crops.Window]) -> np.ndarray:
        """Places and confidences (n, K, 3), in pixels of the image."""
        seen = [self._crop(image, window) for window in windows]
        matrices = [matrix for _, matrix in seen]
        places = _readout.places(self._run, np.stack([crop for crop, _ in seen]), self.reading)
        back = [_crops.transform(place[:, :2], np.linalg.inv(matrix)) for place, matrix in zip(places, matrices, strict=True)]
        return np.concatenate([np.stack(back), places[:, :, 2:]], axis=2)

    def _crop(self, image: np.ndarray, window: _crops.Window) -> tuple[np.ndarray, np.ndarray]:
        """What the network sees of a window, and the matrix that leads there."""
        matrix = _crops.view_matrix(window, self.crop_px)
        return _crops.look(_crops.cut(image, window, self.crop_px), matrix, self.crop_px), matrix


def _sides_note(skeleton: Skeleton, params: Params) -> list[str]:
    """A warning where mirrored pictures would teach the wrong side."""
    alone = [name for place, name in enumerate(skeleton.keypoint_names) if skeleton.flip_index[place] == place]
    sided = [name for name in alone if "left" in name.lower() or "right" in name.lower()]
    if not sided or params.flip == 0:
        return []
    return [
        f"Keypoints {', '.join(sided)} sound like sides but are in no pair of left_right in skeleton.yaml: mirrored pictures teach them "
        "wrongly. Add the pairs, or set flip: 0."
    ]


def _views(params: Params) -> list[tuple[int, bool]]:
    return _readout.views_of(params.views, turned=params.degrees >= 180, mirrored=params.flip > 0)


def _content(network: HeatmapNetwork, skeleton: Skeleton, params: Params, size: float) -> dict[str, Any]:
    """What the weights file holds: everything that use needs, and nothing else."""
    return {
        "format": _weights.FORMAT,
        "keypoints": list(skeleton.keypoint_names),
        "flip_index": list(skeleton.flip_index),
        "views": [list(view) for view in _views(params)],
        "crop_px": params.crop_px,
        "margin": params.margin,
        "looks": params.looks if size else 1,
        "size": size,
        "sigma_px": params.sigma_px,
        "width": params.width,
        "weights": _weights.canonical(network),
    }


def size_of(instances: Sequence[Instance]) -> float:
    """Median side of the squares around the labelled boxes, in diagonals of the extent of all keypoints; 0 where that is unknown."""
    extents = [np.linalg.norm(np.ptp(instance.points, axis=0)) for instance in instances]  # NaN where a keypoint is missing
    sides = [instance.window.side / extent for instance, extent in zip(instances, extents, strict=True) if extent > 0]
    return float(np.median(sides)) if sides else 0.0


def _key(train_set: Sequence[Instance], skeleton: Skeleton, params: Params, seed: int, init_weights: Path | None) -> str:
    """Digest of all that decides the outcome; a state saved under another key is not gone on from."""
    ingredients = {
        "version": VERSION,
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "precision": resolved(params.precision, params.device),
        "settings": params.model_dump(),
        "seed": seed,
        "flip_index": list(skeleton.flip_index),
        "init": _weights.file_digest(init_weights),
        "data": digest(train_set),
    }
    return hashlib.sha256(json.dumps(ingredients, sort_keys=True).encode()).hexdigest()
