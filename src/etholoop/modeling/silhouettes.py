"""Pixels for the tracker: which silhouette each detection sits on, which silhouettes are one body over time, and what they look like.

A detector may see one animal twice and miss the one beside it, with confidence; the picture does not. Colours inside the boxes against
colours outside them (histogram backprojection, Swain & Ballard 1991), learnt from a few frames of the video, tell animals from ground with
no background picture, so that an animal which never moves is found as well as one that runs. Silhouettes that lie over each other from
one frame to the next, and over no other, are one body.

Frames are read once, forwards, and made small; of each no more is kept than one row for each detection and one for each body.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from etholoop.core.tracking.bodies import NO_BODY, one_animal_each
from etholoop.core.tracking.detections import DetectionFrames
from etholoop.modeling.colour_counts import log_shares

Read = Callable[[Iterable[int]], Iterator[tuple[int, NDArray[np.uint8]]]]
"""Gives (frame, uint8 RGB image (h, w, 3) in source pixels) for ascending frames, as ``Source.read`` does."""

VERSION = 2
"""To be changed with what is found in the same pixels; it is part of the memo key."""

SIDE_PX = 40
"""Animals are made about as large as this; smaller pictures are left as they are."""

MOST_PX = 600_000
"""Pixels of a small picture at most."""

SAMPLE = 24
"""So many frames, evenly spaced, teach the colours."""

ROUNDS = 3
N_LIGHT, N_TINT = 32, 16
"""Bins of the lightness and of each of the two tints of CIE Lab."""

LEAST_AREA = 0.2
"""Silhouettes below this share of the usual area are no animals: reflections, wings, what lies around."""

OVERLAP = 0.1
"""Two silhouettes lie over each other from this share of the smaller one on."""

UNCLEAR = 0.5
"""A box shows no silhouette for certain where another one fills it by more than this share of what the first does."""

LOOSE = 0.5
"""A box belongs to a silhouette if it fits at least this share as well as the middle one of its video."""

GROWTH = 1.6
"""A body does not change its area by more from one frame to the next: another one came to lie on it."""

LEGS = 8
"""Threads thinner than this part of an animal's size are cut: two animals whose legs touch are two."""

FEATURES = 7
"""Length of an embedding: log area, log of the two half axes, three quantiles of lightness, saturation of the tint."""


def watched(frames: DetectionFrames, read: Read, shown: NDArray[np.int64]) -> DetectionFrames:
    """The same detections with ``embedding``, ``body``, ``body_fit`` and ``body_span`` from the pixels of the frames ``shown`` (ascending).

    Without a number of animals bodies stay unknown: nothing else says whether a silhouette is one of them or two.
    """
    shown = shown[(shown >= frames.frame[0]) & (shown <= frames.frame[-1])] if frames.n else shown[:0]
    seen = np.intersect1d(shown, frames.frame)
    if not len(seen):
        return frames
    view = _view(frames, read, seen[np.linspace(0, len(seen) - 1, min(SAMPLE, len(seen))).astype(np.int64)])
    start, stop = np.searchsorted(frames.frame, shown), np.searchsorted(frames.frame, shown, side="right")
    embedding = np.full((frames.n, FEATURES), np.nan, np.float32)
    body, fit = np.full(frames.n, NO_BODY, np.int64), np.zeros(frames.n, np.float32)
    chains = Chains(view.area)
    for (number, image), low, high in zip(read(shown.tolist()), start.tolist(), stop.tolist(), strict=True):
        picture = view.small(image)
        blobs = view.blobs(picture)
        chain = chains.next(number, blobs)
        for row in range(low, high):
            place, fit[row] = blobs.under(frames.box[row] * view.scale)
            if place > 0:
                body[row], embedding[row] = chain[place], _looks(picture, blobs, place)
    span = np.array(chains.spans, np.int64).reshape(-1, 2)
    # a box that fits much worse than others of this video may be a false one that lies over an animal by chance
    body[fit < LOOSE * np.median(fit[body >= 0] if (body >= 0).any() else fit)] = NO_BODY
    sure = one_animal_each(frames, body, span)
    if frames.n_animals is not None:
        embedding[sure < 0] = np.nan  # a silhouette of two looks like neither
    return replace(frames, embedding=embedding, body=sure, body_fit=fit, body_span=span)


@dataclass(frozen=True)
class Blobs:
    """Silhouettes of one small picture: ``label`` (h, w) int32, 0 = ground; ``area`` and ``corner`` (x, y, width, height) of each label."""

    label: NDArray[np.int32]
    area: NDArray[np.int64]
    corner: NDArray[np.int64]

    def under(self, box: NDArray[np.float64]) -> tuple[int, float]:
        """Label of the silhouette that fills a box, 0 = none or more than one, and how well its own box overlaps with it (IoU)."""
        height, width = self.label.shape
        left, top = (max(int(np.floor(side)), 0) for side in box[:2])
        right, bottom = min(int(np.ceil(box[2])), width), min(int(np.ceil(box[3])), height)
        if right <= left or bottom <= top:
            return 0, 0.0
        count = np.bincount(self.label[top:bottom, left:right].ravel(), minlength=len(self.area))
        count[0] = 0
        place = int(count.argmax())
        least = OVERLAP * min(self.area[place], (right - left) * (bottom - top))
        if count[place] < least or np.delete(count, place).max() > UNCLEAR * count[place]:
            return 0, 0.0
        x, y, w, h = self.corner[place].tolist()
        inner = max(min(box[2], x + w) - max(box[0], x), 0) * max(min(box[3], y + h) - max(box[1], y), 0)
        return place, float(inner / ((box[2] - box[0]) * (box[3] - box[1]) + w * h - inner))


@dataclass(frozen=True)
class View:
    """How the pictures of one video are looked at.

    ``step``: of so many pixels in a row and column one is taken. ``told``: nats for the animal by colour. ``leg``: what is thinner is cut.
    ``area``: of the usual silhouette. The last two in pixels of the small picture.
    """

    step: int
    told: NDArray[np.float32]
    leg: int
    area: float

    @property
    def scale(self) -> float:
        return 1 / self.step

    def small(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The picture in CIE Lab, of every ``step``-th pixel only: what noise that leaves is smoothed with the evidence."""
        first = self.step // 2
        return np.asarray(cv2.cvtColor(np.ascontiguousarray(image[first :: self.step, first :: self.step]), cv2.COLOR_RGB2LAB), np.uint8)

    def blobs(self, picture: NDArray[np.uint8]) -> Blobs:
        """Silhouettes of a small picture; what is too small for an animal is ground."""
        evidence = cv2.GaussianBlur(self.told[_codes(picture)], (0, 0), 1.0)
        mask = (evidence > 0).astype(np.uint8)
        mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (self.leg, self.leg))).astype(np.uint8)
        _, label, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=4)
        large = stats[:, cv2.CC_STAT_AREA] >= LEAST_AREA * self.area
        large[0] = False
        renumbered = np.where(large, np.cumsum(large), 0).astype(np.int32)
        kept = np.r_[0, np.flatnonzero(large)]
        area, corner = stats[kept, cv2.CC_STAT_AREA].astype(np.int64), stats[kept, :4].astype(np.int64)
        return Blobs(renumbered[label], area, corner)


class Chains:
    """Silhouettes followed from frame to frame; ``spans``: first and last frame of each body."""

    def __init__(self, area: float):
        self.spans: list[list[int]] = []
        self._usual = area
        self._before: Blobs | None = None
        self._chain = np.zeros(0, np.int64)

    def next(self, frame: int, blobs: Blobs) -> NDArray[np.int64]:
        """Body of each label of the next frame."""
        follows = _follows(self._before, blobs)
        chain = np.full(len(blobs.area), NO_BODY, np.int64)
        for place in range(1, len(blobs.area)):
            if follows[place] > 0:
                chain[place] = self._chain[follows[place]]
                self.spans[chain[place]][1] = frame
            else:
                chain[place] = len(self.spans)
                self.spans.append([frame, frame])
        self._before, self._chain = blobs, chain
        return chain


def _follows(before: Blobs | None, after: Blobs) -> NDArray[np.int64]:
    """Label in the picture before that each label continues, 0 = none: the only one under it, which lies under no other."""
    follows = np.zeros(len(after.area), np.int64)
    if before is None or len(before.area) < 2 or len(after.area) < 2:
        return follows
    n = len(after.area)
    both = np.flatnonzero((before.label > 0) & (after.label > 0))
    pairs = before.label.ravel()[both] * n + after.label.ravel()[both]
    shared = np.bincount(pairs, minlength=len(before.area) * n).reshape(-1, n)[1:, 1:]
    over = shared >= OVERLAP * np.minimum(before.area[1:, None], after.area[None, 1:])
    over &= shared > 0
    growth = after.area[None, 1:] / before.area[1:, None]
    single = over & (over.sum(0) == 1)[None, :] & (over.sum(1) == 1)[:, None] & (growth < GROWTH) & (growth > 1 / GROWTH)
    old, new = np.nonzero(single)
    follows[new + 1] = old + 1
    return follows


def _view(frames: DetectionFrames, read: Read, sample: NDArray[np.int64]) -> View:
    """Colours, scale and usual area, from a few frames."""
    side = np.sqrt(np.maximum(np.prod(frames.box[:, 2:] - frames.box[:, :2], axis=1), 1))
    size = float(np.median(side))
    pictures: list[NDArray[np.uint8]] = []
    boxes = []
    view = View(1, np.zeros(0, np.float32), 3, 0.0)
    for number, image in read(sample.tolist()):
        if not pictures:
            step = max(int(size / SIDE_PX), int(np.ceil(np.sqrt(image.shape[0] * image.shape[1] / MOST_PX))), 1)
            view = replace(view, step=step, leg=max(3, round(size / step / LEGS)))
        pictures.append(view.small(image))
        boxes.append(frames.box[frames.frame == number] * view.scale)
    codes = [_codes(picture) for picture in pictures]
    inside = [_inside(picture.shape[:2], own, 0.7) for picture, own in zip(pictures, boxes, strict=True)]
    near = [_inside(picture.shape[:2], own, 1.3) for picture, own in zip(pictures, boxes, strict=True)]
    animal, ground = inside, [~one for one in near]
    told = np.zeros(0, np.float32)
    for _ in range(ROUNDS):
        told = _histogram(codes, animal) - _histogram(codes, ground)
        masks = [cv2.GaussianBlur(told[code], (0, 0), 1.0) > 0 for code in codes]
        animal = [mask & own for mask, own in zip(masks, near, strict=True)]
        ground = [~one for one in animal]
    view = replace(view, told=told)
    areas = []
    for picture, own in zip(pictures, boxes, strict=True):
        blobs = view.blobs(picture)
        places = {blobs.under(box)[0] for box in own} - {0}
        areas += blobs.area[sorted(places)].tolist()
    return replace(view, area=float(np.median(areas)) if areas else float((size * view.scale) ** 2))


LIGHT = (np.arange(256) * N_LIGHT // 256 * N_TINT * N_TINT).astype(np.uint16)
TINT = np.clip((np.arange(256) - 128) // 4 + N_TINT // 2, 0, N_TINT - 1).astype(np.uint16)


def _codes(picture: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """Bin of each pixel's colour; tints are binned finely around grey, where animals are."""
    return LIGHT[picture[..., 0]] + TINT[picture[..., 1]] * np.uint16(N_TINT) + TINT[picture[..., 2]]


def _histogram(codes: list[NDArray[np.uint16]], masks: list[NDArray[np.bool_]]) -> NDArray[np.float32]:
    """Logarithm of the share of each colour under the masks, neighbouring colours mixed."""
    total: NDArray[np.float64] = np.zeros(N_LIGHT * N_TINT * N_TINT)
    for code, mask in zip(codes, masks, strict=True):
        total += np.bincount(code[mask], minlength=len(total))
    return log_shares(total.reshape(N_LIGHT, N_TINT, N_TINT)).ravel().astype(np.float32)


def _inside(shape: tuple[int, int], boxes: NDArray[np.float64], grown: float) -> NDArray[np.bool_]:
    """Pixels in the ellipses that fit into the boxes, these made larger or smaller."""
    mask = np.zeros(shape, np.uint8)
    for box in boxes:
        centre = (round((box[0] + box[2]) / 2), round((box[1] + box[3]) / 2))
        axes = (max(round((box[2] - box[0]) * grown / 2), 1), max(round((box[3] - box[1]) * grown / 2), 1))
        cv2.ellipse(mask, centre, axes, 0, 0, 360, 1, -1)
    return mask > 0


def _looks(picture: NDArray[np.uint8], blobs: Blobs, place: int) -> NDArray[np.float32]:
    """Embedding (FEATURES,) of one silhouette, in its own small pixels."""
    x, y, w, h = blobs.corner[place].tolist()
    mask = blobs.label[y : y + h, x : x + w] == place
    pixels = picture[y : y + h, x : x + w][mask].astype(np.float32)
    moments = cv2.moments(mask.astype(np.uint8), binaryImage=True)
    spread = np.array([[moments["mu20"], moments["mu11"]], [moments["mu11"], moments["mu02"]]]) / moments["m00"]
    axes = np.log(np.sqrt(np.maximum(np.linalg.eigvalsh(spread), 0.25)))
    light = np.quantile(pixels[:, 0], (0.25, 0.5, 0.75)) / 255
    tint = float(np.hypot(*(pixels[:, 1:].mean(0) - 128))) / 128
    return np.array([np.log(blobs.area[place]), *axes, *light, tint], np.float32)
