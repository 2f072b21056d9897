"""Public recordings whose animals are known in every frame, for the benchmarks of tracking, and noise of known size on top.

``sequences(folder)`` reads them from the folder with the public data; ``noisy(sequence, …)`` is the same recording seen by a worse
detector. Boxes are the extent of an animal's keypoints, grown by a margin. Where a real detector gave two rough points and no extent
(`sleap_fly_pair_real`), animals are points: the thorax, or else the head (an anchor part, as SLEAP places its crops), and they match by
distance, as in TrackEval's 2D point similarity. Trackers that need boxes get a square of a fly's length about that point.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from etholoop.core.tracking.detections import DetectionFrames
from etholoop.io.video import VideoReader, probe
from etholoop.modeling.silhouettes import Read

MARGIN_PX = 6.0
FLY_PX = 120.0
"""Side of the square that stands for a fly where no more than head and thorax were detected."""
SAME_FLY_PX = 75.0
"""A point within this distance of a fly's shows that fly. The thoraces of the two are never less than 72 px apart, head and thorax, which
this detector takes for each other, 38 px; with perfect identities IDF1 hardly grows beyond this radius (.976 here, .980 at 120 px)."""
SIDE_PX = 1024
FPS = 25.0
FALSE_TRACK = -1
BOX = ["x_min", "y_min", "x_max", "y_max"]


@dataclass(frozen=True)
class Sequence:
    """One recording.

    ``truth``: track, frame, x_min, y_min, x_max, y_max of every animal in every frame it is in. ``true_track`` (n,) tells which animal
    each detection shows, -1 = none (a false one) and is None where nobody knows. ``radius_px``: animals are points, the middles of the
    boxes, and match up to this distance; None = they are boxes and match by their overlap. ``read``: gives the pictures of given frames, as
    `Source.read` does; None = there is no video.
    """

    name: str
    fps: float
    width: int
    height: int
    truth: pd.DataFrame
    detections: DetectionFrames
    true_track: NDArray[np.int64] | None = None
    radius_px: float | None = None
    read: Read | None = None


def near(radius_px: float) -> Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]:
    """Similarity of the boxes' middles: 1 at the same place, .5 (where pairs begin to match) at ``radius_px``, 0 from twice that on."""

    def similarity(one: NDArray[np.float64], two: NDArray[np.float64]) -> NDArray[np.float64]:
        distance = np.linalg.norm(_centres(one)[:, None] - _centres(two)[None], axis=2)
        return np.clip(1 - distance / (2 * radius_px), 0, 1)

    return similarity


def sequences(root: Path) -> list[Sequence]:
    """All recordings below ``root`` (the folder that holds ``data/``): seen perfectly, or by a real detector where the name says so."""
    data = root / "data"
    pair, two, four = data / "sleap_fly_pair", data / "dreem_two_flies", data / "dreem_four_flies_tracks_only"
    found = [
        _from_keypoints("sleap_fly_pair", pair / "derived_clip_keypoints.csv"),
        _head_and_thorax("sleap_fly_pair_real", pair / "derived_clip_keypoints.csv", pair / "clip.predictions.slp"),
        _from_keypoints("dreem_two_flies", two / "derived_two_flies_keypoints.csv"),
        _from_keypoints("dreem_two_flies_real", two / "derived_two_flies_keypoints.csv", two / "derived_two_flies_noisy_keypoints.csv"),
        _from_keypoints("dreem_four_flies", four / "derived_four_flies_keypoints.csv"),
    ]
    videos = {"sleap_fly_pair": pair / "clip.mp4", "dreem_two_flies": two / "two_flies.mp4"}
    return [replace(one, read=_reader(videos[name])) if (name := one.name.removesuffix("_real")) in videos else one for one in found]


def _reader(path: Path) -> Read:
    """Pictures of a video; it is opened when they are asked for."""

    def read(frames: Iterable[int]) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        with VideoReader(path, probe(path)[1]) as reader:
            yield from reader.read(frames)

    return read


def noisy(sequence: Sequence, drop: float, jitter_px: float, false_rate: float, seed: int) -> Sequence:
    """The same recording seen by a worse detector; the truth stays.

    Args:
        drop: share of detections that are missed, each by itself.
        jitter_px: standard deviation added to each side of a box and to each coordinate of a keypoint.
        false_rate: mean number of false detections per frame, of the animals' sizes, anywhere in the picture.
        seed: same seed, same noise.

    Confidences are drawn too: .5 to .95 for animals, .3 to .8 for false detections.
    """
    rng = np.random.default_rng(seed)
    old = sequence.detections
    kept = np.flatnonzero(rng.random(old.n) >= drop)
    box = _ordered(old.box[kept] + rng.normal(0, jitter_px, (len(kept), 4)))
    points = None if old.keypoints is None else _moved(old.keypoints[kept], jitter_px, rng)
    frames = np.repeat(np.arange(old.n_frames), rng.poisson(false_rate, old.n_frames))
    false_box, false_points = _false_ones(old, len(frames), sequence, rng)
    is_animal = np.repeat([True, False], [len(kept), len(frames)])
    confidence = np.where(is_animal, rng.uniform(0.5, 0.95, len(is_animal)), rng.uniform(0.3, 0.8, len(is_animal)))
    known = np.full(old.n, FALSE_TRACK) if sequence.true_track is None else sequence.true_track
    detections, order = _detections(
        np.concatenate([old.frame[kept], frames]),
        np.concatenate([box, false_box]),
        confidence,
        None if points is None else np.concatenate([points, false_points]),
        n_frames=old.n_frames,
        n_animals=old.n_animals,
    )
    true_track = np.concatenate([known[kept], np.full(len(frames), FALSE_TRACK)])[order]
    return replace(sequence, detections=detections, true_track=None if sequence.true_track is None else true_track)


def _from_keypoints(name: str, truth_csv: Path, detected_csv: Path | None = None) -> Sequence:
    truth, points = _read_keypoints(truth_csv)
    seen, seen_points = (truth, points) if detected_csv is None else _read_keypoints(detected_csv)
    box = _extent(seen_points, MARGIN_PX)
    detections, order = _detections(
        seen["frame"].to_numpy(np.int64),
        box,
        np.ones(len(box)),
        seen_points,
        n_frames=int(max(seen["frame"].max(), truth["frame"].max())) + 1,
        n_animals=truth["track"].nunique(),
    )
    true_track = seen["track"].to_numpy(np.int64)[order]
    return Sequence(name, FPS, SIDE_PX, SIDE_PX, _truth(truth, _extent(points, MARGIN_PX)), detections, true_track)


def _head_and_thorax(name: str, truth_csv: Path, predictions: Path) -> Sequence:
    """Points found by a real detector that takes one part of a fly for another in a quarter of the frames."""
    truth, points = _read_keypoints(truth_csv, ["thorax", "head"])
    frame, seen, confidence = _read_predictions(predictions, ["thorax", "head"])
    detections, _ = _detections(
        frame, _squares(seen), confidence, seen, n_frames=int(truth["frame"].max()) + 1, n_animals=truth["track"].nunique()
    )
    table = _truth(truth, _squares(points))
    return Sequence(name, FPS, SIDE_PX, SIDE_PX, table, detections, _shown(table, detections), SAME_FLY_PX)


def _shown(truth: pd.DataFrame, detections: DetectionFrames) -> NDArray[np.int64]:
    """Which animal each detection shows, -1 = none: the assignment of least distance in each frame."""
    animal = np.full(detections.n, FALSE_TRACK)
    true_frame, true_track = truth["frame"].to_numpy(), truth["track"].to_numpy()
    centre, true_centre = _centres(detections.box), _centres(truth[BOX].to_numpy())
    for number in np.unique(detections.frame).tolist():
        rows, here = np.flatnonzero(detections.frame == number), np.flatnonzero(true_frame == number)
        distance = np.linalg.norm(centre[rows, None] - true_centre[None, here], axis=2)
        for row, column in zip(*linear_sum_assignment(np.minimum(distance, SAME_FLY_PX)), strict=True):
            if distance[row, column] < SAME_FLY_PX:
                animal[rows[row]] = true_track[here[column]]
    return animal


def _centres(box: NDArray[np.float64]) -> NDArray[np.float64]:
    return (box[:, :2] + box[:, 2:]) / 2


def _squares(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Boxes (n, 4) around the first of the points that was found."""
    first = np.isfinite(points[..., 0]).argmax(axis=1)
    middle = points[np.arange(len(points)), first, :2]
    return np.concatenate([middle - FLY_PX / 2, middle + FLY_PX / 2], axis=1)


def _truth(truth: pd.DataFrame, box: NDArray[np.float64]) -> pd.DataFrame:
    table = truth[["track", "frame"]].assign(**{key: box[:, column] for column, key in enumerate(BOX)})
    return table.sort_values(["frame", "track"], ignore_index=True)


def _detections(
    frame: NDArray[np.int64],
    box: NDArray[np.float64],
    confidence: NDArray[np.float64],
    keypoints: NDArray[np.float64] | None,
    *,
    n_frames: int,
    n_animals: int | None,
) -> tuple[DetectionFrames, NDArray[np.int64]]:
    """Detections sorted as a detector gives them, by falling confidence within a frame, and that order; equal ones from left to right."""
    order = np.lexsort((box[:, 0], -confidence, frame))
    frame = frame[order].astype(np.int64)
    first = np.searchsorted(frame, frame)
    detections = DetectionFrames(
        frame=frame,
        box=box[order],
        confidence=confidence[order],
        species=np.full(len(frame), "fly", dtype=object),
        instance=np.arange(len(frame)) - first,
        n_frames=n_frames,
        keypoints=None if keypoints is None else keypoints[order],
        n_animals=n_animals,
    )
    return detections, order


def _read_keypoints(path: Path, only: list[str] | None = None) -> tuple[pd.DataFrame, NDArray[np.float64]]:
    """(frame, track) of each row and its points (n, K, 3); a missing point is NaN, a given one has confidence 1."""
    table = pd.read_csv(path)
    names = only or [column.removesuffix("_x") for column in table.columns if column.endswith("_x")]
    xy = np.stack([table[[f"{name}_x", f"{name}_y"]].to_numpy(float) for name in names], axis=1)
    keep = ~np.isnan(xy).all(axis=(1, 2))
    confidence = np.where(np.isnan(xy[..., :1]), np.nan, 1.0)
    return table.loc[keep, ["frame", "track"]], np.concatenate([xy, confidence], axis=2)[keep]


def _read_predictions(path: Path, names: list[str]) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Frame, points (n, K, 3) and confidence of each predicted instance of a SLEAP file; identities in it are left unread."""
    with h5py.File(path) as file:
        metadata = json.loads(file["metadata"].attrs["json"])
        instances, frames, points = file["instances"][:], file["frames"][:], file["pred_points"][:]
    nodes = [metadata["nodes"][node["id"]]["name"] for node in metadata["skeletons"][0]["nodes"]]
    columns = [nodes.index(name) for name in names]
    frame_of = dict(zip(frames["frame_id"].tolist(), frames["frame_idx"].tolist(), strict=True))
    frame = np.array([frame_of[key] for key in instances["frame_id"].tolist()], np.int64)
    xyc = np.stack([points["x"], points["y"], points["score"]], axis=1).astype(float)
    rows = instances["point_id_start"].astype(np.int64)[:, None] + np.array(columns)
    found = xyc[rows]
    keep = ~np.isnan(found[..., :2]).all(axis=(1, 2))
    return frame[keep], found[keep], np.clip(instances["score"].astype(float)[keep], 0, 1)


def _extent(points: NDArray[np.float64], margin_px: float) -> NDArray[np.float64]:
    low, high = np.nanmin(points[..., :2], axis=1), np.nanmax(points[..., :2], axis=1)
    return np.concatenate([low - margin_px, high + margin_px], axis=1)


def _ordered(box: NDArray[np.float64]) -> NDArray[np.float64]:
    """Corners in order again where strong noise has turned a small box inside out."""
    low, high = np.minimum(box[:, :2], box[:, 2:]), np.maximum(box[:, :2], box[:, 2:])
    return np.concatenate([low, high], axis=1)


def _moved(points: NDArray[np.float64], jitter_px: float, rng: np.random.Generator) -> NDArray[np.float64]:
    moved = points.copy()
    moved[..., :2] += rng.normal(0, jitter_px, moved[..., :2].shape)
    return moved


def _false_ones(
    old: DetectionFrames, n: int, sequence: Sequence, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Boxes (n, 4) and keypoints (n, K, 3) of another moment's animals, put anywhere in the picture."""
    model = rng.integers(0, max(old.n, 1), n)
    box = old.box[model]
    size = box[:, 2:] - box[:, :2]
    corner = rng.uniform(0, 1, (n, 2)) * np.maximum(np.array([sequence.width, sequence.height]) - size, 0)
    shift = corner - box[:, :2]
    points = np.zeros((n, 0, 3)) if old.keypoints is None else old.keypoints[model].copy()
    points[..., :2] += shift[:, None, :]
    return np.concatenate([corner, corner + size], axis=1), points


Noise = Callable[[Sequence, int], Sequence]
NOISES: dict[str, Noise] = {
    "as detected": lambda sequence, seed: sequence,
    "drop 10 %, jitter 2 px": lambda sequence, seed: noisy(sequence, 0.1, 2.0, 0.0, seed),
    "drop 20 %, jitter 4 px": lambda sequence, seed: noisy(sequence, 0.2, 4.0, 0.0, seed),
    "drop 20 %, jitter 4 px, false 0.2": lambda sequence, seed: noisy(sequence, 0.2, 4.0, 0.2, seed),
}
"""The noises of the tables, by the words that stand there."""
