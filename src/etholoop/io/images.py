"""Still images: RGB arrays from and to PNG and JPEG files."""

from pathlib import Path

import cv2
import numpy as np

from etholoop.errors import EthoLoopError
from etholoop.io import atomic

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
"""Lower-case suffixes of files that count as images."""

READ_VERSION = 1
"""Raised when an image that was usable no longer is, or the other way round: remembered results are then made anew."""

MAX_PIXELS = 8192 * 8192
"""Pixels of one image; more is refused."""


class ImageFault(EthoLoopError):  # noqa: N818 - a fault of the file, not of the program
    """An image file that cannot be used; ``reason`` is one of empty, not_an_image, too_large, unreadable."""

    def __init__(self, reason: str, detail: str, path: Path):
        self.reason = reason
        self.detail = detail
        super().__init__(f"{path}: {detail}")


def read_rgb(path: Path) -> np.ndarray:
    """Read an image as uint8 RGB (h, w, 3), as stored: an orientation tag is not applied, because labels are in stored pixels.

    Grey becomes three equal channels, 16 bits are scaled to 8, an alpha channel is dropped.

    Raises:
        ImageFault: the file is missing, empty, no image, or too large.
    """
    path = Path(path)
    content = _content(path)
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    except cv2.error as error:
        raise ImageFault("too_large", f"the image cannot be decoded ({error.err}).", path) from error
    if image is None:
        raise ImageFault("not_an_image", "the file is not a readable PNG, JPEG, BMP or TIFF image.", path)
    if image.shape[0] * image.shape[1] > MAX_PIXELS:
        raise ImageFault("too_large", f"{image.shape[1]}x{image.shape[0]} pixels are beyond the limit of {MAX_PIXELS}.", path)
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def encode_png(image: np.ndarray) -> bytes:
    """Lossless PNG bytes of a uint8 image, RGB (h, w, 3) or grey (h, w); the same pixels give the same bytes."""
    return _encode(image, ".png", [cv2.IMWRITE_PNG_COMPRESSION, 3])


def write_rgb(path: Path, image: np.ndarray) -> None:
    """Write a uint8 image all or nothing: JPEG (quality 95) if the suffix is .jpg or .jpeg, else lossless PNG."""
    if path.suffix.lower() in (".jpg", ".jpeg"):
        atomic.write_bytes(path, _encode(image, ".jpg", [cv2.IMWRITE_JPEG_QUALITY, 95]))
    else:
        atomic.write_bytes(path, encode_png(image))


def is_image(path: Path) -> bool:
    """Whether the name is that of an image; hidden files are not."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def _content(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ImageFault("unreadable", f"the file cannot be read: {error.strerror}.", path) from error
    if not content:
        raise ImageFault("empty", "the file is empty (0 bytes).", path)
    return content


def _encode(image: np.ndarray, suffix: str, options: list[int]) -> bytes:
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3):
        raise ValueError(f"expected a uint8 image of shape (h, w, 3) or (h, w), found {image.dtype} {image.shape}")
    pixels = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image
    done, encoded = cv2.imencode(suffix, pixels, options)
    if not done:
        raise EthoLoopError(f"an image of shape {image.shape} could not be encoded as {suffix}.")
    return encoded.tobytes()
