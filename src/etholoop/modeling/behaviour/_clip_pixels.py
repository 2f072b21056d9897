"""From pictures to what a SlowFast network sees: size, order of colours, normalisation."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import floor
from typing import Any

import cv2
import numpy as np
import torch

from etholoop.errors import FaultsError


@dataclass(frozen=True)
class PixelRule:
    """``short_px``: the shorter side after scaling. ``mean`` and ``std`` per channel, of values 0 to 1. ``bgr``: blue comes first."""

    short_px: int
    mean: tuple[float, ...] = (0.45, 0.45, 0.45)
    std: tuple[float, ...] = (0.225, 0.225, 0.225)
    bgr: bool = False


def scaled_size(width: int, height: int, short_px: int) -> tuple[int, int]:
    """(width, height) with the shorter side at ``short_px``; the longer one is rounded down."""
    if width <= height:
        return short_px, floor(height / width * short_px)
    return floor(width / height * short_px), short_px


def scaled(image: np.ndarray, rule: PixelRule) -> np.ndarray:
    """An RGB picture (h, w, 3) uint8 in the size and the order of colours of the rule; bilinear without smoothing, as OpenCV does it."""
    height, width = image.shape[:2]
    size = scaled_size(width, height, rule.short_px)
    if min(width, height) != rule.short_px:
        image = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
    return image[..., ::-1] if rule.bgr else image


def normalised(pictures: torch.Tensor, rule: PixelRule) -> torch.Tensor:
    """uint8 (…, h, w, 3) → float32 of the same shape: value / 255, minus mean, over std."""
    mean, std = (torch.tensor(values, dtype=torch.float32, device=pictures.device) for values in (rule.mean, rule.std))
    return (pictures.float() / 255.0 - mean) / std


CHANNEL_ORDERS = ("compat", "train")


def rule_from_slowfast(values: Mapping[str, Any], where: str, channel_order: str) -> PixelRule:
    """The rule that a SlowFast configuration (dotted keys) describes.

    Args:
        channel_order: ``compat``, as kabr-tools labels: RGB, turned round where DATA.REVERSE_INPUT_CHANNEL is set. ``train``, as SlowFast's
            loader of picture files reads them: BGR, turned round where it is set.

    Raises:
        FaultsError: missing or impossible values, or an unknown order.
    """
    faults = []
    if channel_order not in CHANNEL_ORDERS:
        faults.append(f"channel order '{channel_order}': expected {' or '.join(CHANNEL_ORDERS)}")
    short_px = values.get("DATA.TEST_CROP_SIZE", 256)
    if not isinstance(short_px, int) or short_px < 1:
        faults.append(f"DATA.TEST_CROP_SIZE is {short_px!r}; expected pixels")
    channels = []
    for key, default in (("DATA.MEAN", (0.45,) * 3), ("DATA.STD", (0.225,) * 3)):
        given = values.get(key, default)
        good = isinstance(given, list | tuple) and len(given) == 3 and all(isinstance(value, int | float) for value in given)
        if not good or (key == "DATA.STD" and min(given) <= 0):
            faults.append(f"{key} is {given!r}; expected three numbers" + (" above 0" if key == "DATA.STD" else ""))
        channels.append(tuple(map(float, given)) if good else ())
    if faults:
        raise FaultsError(where, faults)
    turned = bool(values.get("DATA.REVERSE_INPUT_CHANNEL", False))
    return PixelRule(short_px, channels[0], channels[1], bgr=turned if channel_order == "compat" else not turned)
