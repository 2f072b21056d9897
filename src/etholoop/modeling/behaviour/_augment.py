"""Other looks at a training clip: the same change for all of its frames, so that movement stays what it was."""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from etholoop.modeling.recolour import recoloured


@dataclass(frozen=True)
class Augment:
    """How strongly clips are changed; see the settings of the families for each number."""

    flip: float = 0.5
    flipud: float = 0.0
    rot90: float = 0.0
    degrees: float = 10.0
    zoom: float = 0.15
    shift: float = 0.08
    light: float = 1.0
    recolour: float = 0.0
    speed: float = 0.2
    jitter: int = 0


def places(rng: np.random.Generator, offsets: np.ndarray, augment: Augment) -> np.ndarray:
    """Offsets of a clip's frames, played a little faster or slower and from a little earlier or later."""
    speed = math.exp(rng.uniform(-augment.speed, augment.speed))
    late = int(rng.integers(-augment.jitter, augment.jitter + 1)) if augment.jitter else 0
    return np.round(offsets * speed).astype(np.int64) + late


def changed(clip: np.ndarray, rng: np.random.Generator, augment: Augment, side: int) -> np.ndarray:
    """A clip (t, side, side, 3) uint8 from one of (t, h, w, 3): a random square part, turned, mirrored, in other light."""
    clip = _turned(clip, rng, augment)
    matrix = _matrix(clip.shape[1], clip.shape[2], rng, augment, side)
    clip = np.stack([_warped(picture, matrix, side) for picture in clip])
    if augment.recolour and rng.random() < augment.recolour:
        # one tall picture: all frames get the same colours
        clip = recoloured(clip.reshape(-1, side, 3), rng).reshape(clip.shape)
    return _relit(clip, rng, augment.light)


def _turned(clip: np.ndarray, rng: np.random.Generator, augment: Augment) -> np.ndarray:
    if rng.random() < augment.flip:
        clip = clip[:, :, ::-1]
    if rng.random() < augment.flipud:
        clip = clip[:, ::-1]
    if rng.random() < augment.rot90:
        clip = np.rot90(clip, int(rng.integers(1, 4)), axes=(1, 2))
    return clip


def _matrix(height: int, width: int, rng: np.random.Generator, augment: Augment, side: int) -> np.ndarray:
    """From the pictures to a square of their shorter side, with a random turn, size and place."""
    angle = math.radians(rng.uniform(-augment.degrees, augment.degrees))
    scale = side / min(height, width) * math.exp(rng.uniform(-augment.zoom, augment.zoom))
    dx, dy = rng.uniform(-augment.shift, augment.shift, 2) * side
    # a wide picture: any square part along its longer side
    free = np.array([max(0, width - height), max(0, height - width)]) * rng.uniform(-0.5, 0.5)
    cosine, sine = scale * math.cos(angle), scale * math.sin(angle)
    centre = np.array([(width - 1) / 2, (height - 1) / 2]) + free
    turn = np.array([[cosine, -sine], [sine, cosine]])
    move = np.array([(side - 1) / 2 + dx, (side - 1) / 2 + dy]) - turn @ centre
    return np.column_stack([turn, move])


def _warped(picture: np.ndarray, matrix: np.ndarray, side: int) -> np.ndarray:
    picture = np.ascontiguousarray(picture)
    return cv2.warpAffine(picture, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)


def _relit(clip: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    if strength <= 0:
        return clip
    contrast, brightness = math.exp(strength * rng.uniform(-0.35, 0.35)), strength * rng.uniform(-40, 40)
    tint = 1 + strength * rng.uniform(-0.1, 0.1, 3)
    table = np.arange(256, dtype=np.float64)[:, None]
    table = np.clip(((table - 127) * contrast + 127 + brightness) * tint, 0, 255).astype(np.uint8)
    lit = cv2.LUT(clip.reshape(-1, clip.shape[2], 3), table[:, None, :])
    return np.asarray(lit).reshape(clip.shape)
