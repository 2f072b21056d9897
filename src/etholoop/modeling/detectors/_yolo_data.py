"""A private copy of the data set for Ultralytics, which writes caches beside the labels and repairs images in place."""

import hashlib
from pathlib import Path

import cv2
import numpy as np
import yaml

from etholoop.errors import FaultsError

SUFFIXES = (".png", ".jpg", ".jpeg")


def images_of(dataset: Path, split: str) -> list[Path]:
    """Images of one split, sorted."""
    return sorted(file for file in (dataset / "images" / split).glob("*") if file.suffix.lower() in SUFFIXES)


def digest(dataset: Path) -> str:
    """SHA-256 over names and contents of everything a training reads."""
    total = hashlib.sha256()
    files = [dataset / "data.yaml", *images_of(dataset, "train"), *images_of(dataset, "val")]
    for image in files:
        for file in (image, label_of(dataset, image)) if image.parent != dataset else (image,):
            total.update(f"{file.relative_to(dataset).as_posix()}\0".encode())
            total.update(hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()


def label_of(dataset: Path, image: Path) -> Path:
    """Label file that belongs to an image."""
    return dataset / "labels" / image.parent.name / f"{image.stem}.txt"


def prepare(dataset: Path, target: Path, imgsz: int) -> Path:
    """Fill ``target`` with the training and validation data and return its data.yaml.

    Images larger than ``imgsz`` are shrunk here once, exactly as Ultralytics would shrink them in every epoch; the others are
    linked. Without validation images the training images stand in (Ultralytics demands some); they are then not looked at.

    Raises:
        FaultsError: images without a label file, or images that cannot be read.
    """
    faults = []
    for split in ("train", "val"):
        (target / "images" / split).mkdir(parents=True, exist_ok=True)
        (target / "labels" / split).mkdir(parents=True, exist_ok=True)
        for image in images_of(dataset, split):
            faults += _place(dataset, image, target, imgsz)
    if faults:
        raise FaultsError(str(dataset), faults, "Nothing was trained. Run the pose_dataset stage again.")
    content = yaml.safe_load((dataset / "data.yaml").read_text(encoding="utf-8"))
    content = {name: value for name, value in content.items() if name not in ("path", "test")}
    content |= {"train": "images/train", "val": "images/val" if images_of(dataset, "val") else "images/train"}
    description = target / "data.yaml"
    description.write_text(yaml.safe_dump(content, sort_keys=True), encoding="utf-8")
    return description


def _place(dataset: Path, image: Path, target: Path, imgsz: int) -> list[str]:
    label = label_of(dataset, image)
    if not label.is_file():
        return [f"{image.relative_to(dataset)}: no label file {label.relative_to(dataset)}"]
    pixels = cv2.imread(str(image), cv2.IMREAD_COLOR)
    if pixels is None:
        return [f"{image.relative_to(dataset)}: not readable as an image"]
    split, name = image.parent.name, image.name
    (target / "labels" / split / label.name).write_bytes(label.read_bytes())
    ratio = imgsz / max(pixels.shape[:2])
    place = target / "images" / split / name
    if ratio >= 1:
        place.symlink_to(image.resolve())
        return []
    height, width = (min(int(np.ceil(side * ratio)), imgsz) for side in pixels.shape[:2])
    small = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_LINEAR)
    cv2.imwrite(str(place.with_suffix(".png")), small, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    return []
