"""Rendered look-alikes: mice of one coat and one size that are made to cross each other's ways, drawn by `etholoop.simulation`.

What is detected is what can be seen: the box of the visible part of each body and its visible keypoints, a little beside; an animal of
which less than a tenth shows is missing, and of two that lie over each other the detector often gives one box around both. The appearance
is that of the pixels: brightness inside the box, as the camera sees it, which here tells nothing about who is who.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
from _lookalikes import SIDE_PX, ways
from _tracking_data import BOX, FPS, Sequence
from numpy.typing import NDArray

from etholoop.core.metrics.matching import box_iou
from etholoop.core.tracking.detections import DetectionFrames
from etholoop.simulation import body, truth
from etholoop.simulation.render import render
from etholoop.simulation.scene import Scene, make_scene

N_ANIMALS, N_FRAMES = 4, 500
JITTER_PX = 0.8
DROP = 0.02
OVER = 0.4
"""From this overlap on two bodies may be taken for one animal, …"""
MERGED = 0.5
"""… with this probability."""
SMALL = 0.5
"""Share of the usual body length, so that there is room for meeting and parting."""
QUANTILES = (0.1, 0.3, 0.5, 0.7, 0.9)


def rendered_lookalikes(seed: int, n_animals: int = N_ANIMALS, n_frames: int = N_FRAMES) -> Sequence:
    """A rendered recording of ``n_animals`` that nobody could tell apart by their looks."""
    scene = crossing_scene(seed, n_animals, n_frames)
    rng = np.random.default_rng([seed, 1])
    rows = [row for frame in range(n_frames) for row in _seen(scene, frame, rng)]
    whole = [(animal, frame, *_whole(scene, frame, animal)) for frame in range(n_frames) for animal in range(n_animals)]
    frame = np.array([row[0] for row in rows], np.int64)
    detections = DetectionFrames(
        frame=frame,
        box=np.array([row[2] for row in rows]),
        confidence=rng.uniform(0.6, 0.95, len(frame)),
        species=np.full(len(frame), "mouse", dtype=object),
        instance=np.arange(len(frame)) - np.searchsorted(frame, frame),
        n_frames=n_frames,
        keypoints=np.array([row[3] for row in rows]),
        embedding=np.array([row[4] for row in rows], np.float32),
        n_animals=n_animals,
    )
    table = pd.DataFrame(whole, columns=["track", "frame", *BOX])
    true_track = np.array([row[1] for row in rows], np.int64)
    return Sequence(
        "rendered look-alikes",
        FPS,
        scene.width,
        scene.height,
        table,
        detections,
        true_track,
        read=lambda frames: ((frame, render(scene, frame)) for frame in frames),
    )


def crossing_scene(seed: int, n_animals: int, n_frames: int) -> Scene:
    """A session whose animals have the first one's coat, are of one length and walk the ways of `_lookalikes`, laid into the arena."""
    scene = make_scene(f"crossings{seed}", seed=seed, n_frames=n_frames, n_animals=n_animals)
    centre, heading = ways(np.random.default_rng([seed, 0]), n_animals, n_frames)
    length = SMALL * scene.lengths[0]
    reach = np.array([scene.arena.half_width, scene.arena.half_height]) - 0.5 * length
    centre = np.array(scene.arena.centre) + (centre / SIDE_PX - 0.5) * 2 * reach
    motion = replace(scene.motion, centre=centre, heading=heading)
    return replace(scene, coats=(scene.coats[0],) * n_animals, lengths=np.full(n_animals, length), motion=motion)


Row = tuple[int, int, NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]
"""Frame, animal, box (4,), keypoints (K, 3), appearance (d,)."""


def _seen(scene: Scene, frame: int, rng: np.random.Generator) -> list[Row]:
    image = render(scene, frame)
    visible = {animal: np.array(corners) for animal, corners in truth.visible_animals(scene, frame).items()}
    rows = []
    for animal in _found(scene, frame, visible, rng):
        points, state = truth.keypoints_of(scene, frame, animal)
        points = points + rng.normal(0, JITTER_PX, points.shape)
        points[state != truth.VISIBLE] = np.nan
        sure = np.where(np.isnan(points[:, :1]), np.nan, 1.0)
        corners = visible[animal] + rng.normal(0, JITTER_PX, 4)
        rows.append((frame, animal, corners, np.concatenate([points, sure], axis=1), _appearance(image, corners)))
    return rows


def _found(scene: Scene, frame: int, visible: dict[int, NDArray[np.float64]], rng: np.random.Generator) -> list[int]:
    """Animals that are detected; of two over each other often only the upper one, in a box around both."""
    found = [animal for animal in scene.present(frame) if animal in visible and rng.random() >= DROP]
    for lower in list(found):
        for upper in found[found.index(lower) + 1 :]:
            both = [_whole(scene, frame, animal)[None] for animal in (lower, upper)]
            if box_iou(*both)[0, 0] > OVER and rng.random() < MERGED:
                low, high = np.minimum(visible[lower], visible[upper])[:2], np.maximum(visible[lower], visible[upper])[2:]
                visible[upper] = np.concatenate([low, high])
                found.remove(lower)
                break
    return found


def _whole(scene: Scene, frame: int, animal: int) -> NDArray[np.float64]:
    """Box of a body, whether it is hidden or not."""
    points = scene.to_image(body.outline(body.shape(scene.posture(frame, animal))))
    return np.concatenate([points.min(axis=0), points.max(axis=0)])


def _appearance(image: NDArray[np.uint8], corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Quantiles of the grey levels inside a box, 0 to 1."""
    low = np.clip(np.floor(corners[:2]).astype(int), 0, (image.shape[1] - 1, image.shape[0] - 1))
    high = np.maximum(np.ceil(corners[2:]).astype(int), low + 1)
    crop = image[low[1] : high[1], low[0] : high[0]].mean(axis=2)
    return np.quantile(crop, QUANTILES) / 255
