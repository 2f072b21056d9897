"""Small animals in large pictures: the whole picture and overlapping tiles of it go through the network, and what they show is merged.

A network sees a picture of 3840 px at 640: an animal of 40 px has 7 left. A tile keeps them. An animal at the border of a tile is cut
there, but stands whole in the next one as long as it is not longer than the overlap; so detections that touch a border inside the
picture are left out, and each place of the picture has one tile that has the first word on it. Animals longer than the overlap are
taken from the whole picture.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from etholoop.modeling.records import Prediction

TOUCH_PX = 2.0
"""A box that ends so close to a border inside the picture may go on behind it."""

SAME_IOU, SAME_SHARE = 0.45, 0.7
"""Two views show one animal from this overlap on, or where so much of the smaller box lies inside the larger."""

SMALL_PX, GOOD_PX = 20.0, 32.0
"""``auto`` makes tiles where the network would see animals smaller than the first, and so that they have the second."""

ROOM = 1.25
"""``auto``: overlap in lengths of the longest animals."""

Find = Callable[[list[np.ndarray]], list[Prediction]]


@dataclass(frozen=True)
class Tiling:
    """Side of the tiles and their least overlap, in pixels of the picture."""

    size: int
    overlap: int


def tiling_of(settings: Mapping[str, Any], imgsz: int, width: int, height: int) -> Tiling | None:
    """Tiles as the settings say; None where the whole picture is enough.

    Args:
        settings: ``size`` and ``overlap``; or ``animal_px`` and ``longest_px``, the length of most and of the longest animals.
        imgsz: long side of what the network sees.
    """
    if "size" in settings:
        tiling = Tiling(int(settings["size"]), int(settings["overlap"]))
    else:
        animal = float(settings["animal_px"])
        if animal * imgsz / max(width, height) >= SMALL_PX:
            return None
        size = max(round(imgsz * animal / GOOD_PX), 64)
        tiling = Tiling(size, min(round(ROOM * float(settings["longest_px"])), size // 2))
    return tiling if tiling.size < max(width, height) else None


def starts(length: int, tiling: Tiling) -> list[int]:
    """Where tiles begin along one side: evenly, the first at its start and the last at its end."""
    if length <= tiling.size:
        return [0]
    n = int(np.ceil((length - tiling.overlap) / (tiling.size - tiling.overlap)))
    return [int(start) for start in np.linspace(0, length - tiling.size, n).round()]


def tiles_of(width: int, height: int, tiling: Tiling) -> np.ndarray:
    """Tiles (n, 4) as x_min, y_min, x_max, y_max."""
    rows = [
        [x, y, min(x + tiling.size, width), min(y + tiling.size, height)] for y in starts(height, tiling) for x in starts(width, tiling)
    ]
    return np.array(rows, dtype=np.int64)


def own_parts(width: int, height: int, tiling: Tiling) -> np.ndarray:
    """The part (n, 4) of the picture where each tile has the first word: up to the middle of the overlaps."""
    columns, rows = _own_spans(width, tiling), _own_spans(height, tiling)
    return np.array([[left, top, right, bottom] for top, bottom in rows for left, right in columns])


def _own_spans(length: int, tiling: Tiling) -> list[tuple[float, float]]:
    begins = starts(length, tiling)
    cuts = [(one + tiling.size + other) / 2 for one, other in pairwise(begins)]
    return list(zip([-np.inf, *cuts], [*cuts, np.inf], strict=True))


def find_in_tiles(find: Find, image: np.ndarray, tiling: Tiling, limit: int) -> Prediction:
    """What the whole picture and its tiles show, each animal once; at most ``limit`` of them. The embedding is the whole picture's."""
    height, width = image.shape[:2]
    tiles = tiles_of(width, height, tiling)
    whole, *parts = find([image, *(np.ascontiguousarray(image[y0:y1, x0:x1]) for x0, y0, x1, y1 in tiles)])
    moved = [_moved(part, tile[:2]) for part, tile in zip(parts, tiles, strict=True)]
    return merge(whole, moved, tiling, (width, height), limit)


def merge(whole: Prediction, parts: Sequence[Prediction], tiling: Tiling, picture: tuple[int, int], limit: int) -> Prediction:
    """Each animal once, by falling confidence; ``picture`` is its width and height.

    First come animals of the whole picture that are longer than the overlap, then those of the tiles on their own part, then those
    that a tile shows beyond it, at last the small ones of the whole picture; a later one is dropped where an earlier one of another
    view is the same animal. Two boxes of one view have been told apart by the network's own suppression and stay.
    """
    views = [whole, *parts]
    boxes = np.concatenate([view.boxes for view in views])
    origin = np.repeat(np.arange(len(views)), [len(view.boxes) for view in views])
    confidence = np.concatenate([view.probabilities.max(axis=1, initial=0) for view in views])
    turn = _turns(boxes, origin, tiling, *picture)
    order = np.lexsort((-confidence, turn))
    kept: list[int] = []
    for number in order[turn[order] < _NEVER]:
        others = np.array([other for other in kept if origin[other] != origin[number]], dtype=np.int64)
        same = _same(boxes[number], boxes[others])
        # something large and doubtful in the whole picture, perhaps a herd, does not hide a surer animal in it
        hides = (turn[others] > 0) | (confidence[others] >= confidence[number])
        if not np.any(same & hides):
            kept.append(int(number))
    chosen = np.array(sorted(kept, key=lambda number: -confidence[number])[:limit], dtype=np.int64)
    return Prediction(
        boxes[chosen],
        np.concatenate([view.probabilities for view in views])[chosen],
        np.concatenate([view.keypoints for view in views])[chosen],
        whole.embedding,
    )


_NEVER = 9


def _turns(boxes: np.ndarray, origin: np.ndarray, tiling: Tiling, width: int, height: int) -> np.ndarray:
    """When each box has its say: 0 long ones of the whole picture, 1 and 2 tiles, 3 small ones of the whole picture, never cut ones."""
    long = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, initial=0) > tiling.overlap
    turn = np.where(long, 0, 3)
    in_tile = origin > 0
    tile = tiles_of(width, height, tiling)[origin[in_tile] - 1]
    own = own_parts(width, height, tiling)[origin[in_tile] - 1]
    mine = boxes[in_tile]
    centre = (mine[:, :2] + mine[:, 2:]) / 2
    inside = np.all((centre >= own[:, :2]) & (centre < own[:, 2:]), axis=1)
    cut = (mine[:, :2] < tile[:, :2] + TOUCH_PX) & (tile[:, :2] > 0)
    cut |= (mine[:, 2:] > tile[:, 2:] - TOUCH_PX) & (tile[:, 2:] < [width, height])
    turn[in_tile] = np.where(cut.any(axis=1), _NEVER, np.where(inside, 1, 2))
    return turn


def _same(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Which of the others (n, 4) show the same animal as a box."""
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    common = np.clip(high - low, 0, None).prod(axis=1)
    area, areas = (box[2:] - box[:2]).prod(), (others[:, 2:] - others[:, :2]).prod(axis=1)
    union, smaller = area + areas - common, np.minimum(area, areas)
    return (common > SAME_IOU * union) | (common > SAME_SHARE * smaller)


def _moved(part: Prediction, corner: np.ndarray) -> Prediction:
    """What a tile shows, in pixels of the picture."""
    boxes = part.boxes + np.tile(corner, 2)
    keypoints = part.keypoints + np.array([corner[0], corner[1], 0])
    return Prediction(boxes, part.probabilities, keypoints, part.embedding)
