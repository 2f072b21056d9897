"""The animals a refiner learns from: one small picture each, cut out once and kept in the scratch folder."""

import hashlib
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from etholoop.errors import EthoLoopError
from etholoop.modeling.records import LabelledImage
from etholoop.modeling.refiners import _crops
from etholoop.modeling.refiners._heatmap_settings import Params

KEPT_BYTES = 500_000_000
"""Pictures of so much memory are read only once in a training."""


@dataclass(frozen=True)
class Instance:
    """One labelled animal. ``points`` (K, 2) source pixels, NaN = missing; ``matrix`` leads from source to pixels of ``picture``."""

    picture: Path
    matrix: np.ndarray
    window: _crops.Window
    points: np.ndarray
    sha256: str

    def patch(self) -> _crops.Patch:
        return _crops.Patch(read_rgb(self.picture), self.matrix)


class Patches:
    """Pictures of animals, read once and kept as long as all that are kept stay below ``limit`` bytes; the others are read each time."""

    def __init__(self, limit: int = KEPT_BYTES):
        self.room, self.kept = limit, dict[Path, _crops.Patch]()

    def of(self, instance: Instance) -> _crops.Patch:
        patch = self.kept.get(instance.picture)
        if patch is None:
            patch = instance.patch()
            if patch.image.nbytes <= self.room:
                self.room -= patch.image.nbytes
                self.kept[instance.picture] = patch
        return patch


def instances_of(images: Sequence[LabelledImage], params: Params, folder: Path) -> list[Instance]:
    """Cut out every animal that has a keypoint, in the order of the images; ``folder`` is made anew."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    found: list[Instance] = []
    for labelled in tqdm(images, desc="crops", unit="image", disable=None, leave=False):
        found += _cut_out(labelled, params, folder, len(found))
    return found


def digest(instances: Sequence[Instance]) -> str:
    """SHA-256 over pictures, boxes and keypoints."""
    total = hashlib.sha256()
    for instance in instances:
        total.update(instance.sha256.encode())
        for array in (instance.matrix, instance.window.centre, np.array(instance.window.side), instance.points):
            total.update(np.ascontiguousarray(array, dtype=np.float64).tobytes())
    return total.hexdigest()


def read_rgb(path: Path) -> np.ndarray:
    """An image file as (h, w, 3) uint8 RGB.

    Raises:
        EthoLoopError: the file is missing or is not an image.
    """
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise EthoLoopError(f"{path}: not readable as an image. Remove the data set's folder and run `etholoop repro`.")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def _cut_out(labelled: LabelledImage, params: Params, folder: Path, number: int) -> Iterator[Instance]:
    points = np.where(labelled.keypoints[:, :, 2:] > 0, labelled.keypoints[:, :, :2], np.nan).astype(float)
    wanted = np.flatnonzero(np.isfinite(points).all(axis=2).any(axis=1))
    if not len(wanted):
        return
    image = read_rgb(labelled.path)
    for offset, row in enumerate(wanted):
        window = _crops.window_of(labelled.boxes[row], params.margin)
        patch = _crops.cut(image, window, params.crop_px, _crops.reach_of(params.zoom, params.shift))
        picture = folder / f"{number + offset:06d}.png"
        cv2.imwrite(str(picture), cv2.cvtColor(patch.image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, 1])
        yield Instance(picture, patch.matrix, window, points[row], hashlib.sha256(patch.image.tobytes()).hexdigest())
