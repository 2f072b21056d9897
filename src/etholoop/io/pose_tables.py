"""The predictions of one video out of the tables of all, as arrays, read piece by piece so that memory is that of one video."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from etholoop.core.tracking.detections import DetectionFrames
from etholoop.errors import EthoLoopError

BOX = ("x_min", "y_min", "x_max", "y_max")
DETECTED = ("frame", "instance", "species", "confidence")
MANY = 1 << 20
"""More detections than one frame ever has: frame × MANY + instance is one number for each detection."""


def looked_at(folder: Path) -> dict[str, NDArray[np.int64]]:
    """Sorted numbers of the frames that the detector saw, by video.

    Raises:
        EthoLoopError: no such table.
    """
    found: dict[str, list[NDArray[np.int64]]] = {}
    for batch in _batches(folder / "frames.parquet", None, ["video_id", "frame"]):
        ids, frames = np.asarray(batch["video_id"].to_pylist(), dtype=object), _numbers(batch, "frame")
        for video_id in dict.fromkeys(ids.tolist()):
            found.setdefault(video_id, []).append(frames[ids == video_id])
    return {video_id: np.unique(np.concatenate(parts)) for video_id, parts in sorted(found.items())}


def detection_frames(
    folder: Path, video_id: str, looks: NDArray[np.int64], n_frames: int, keypoint_names: Sequence[str] = ()
) -> DetectionFrames:
    """Everything detected in one video in the frames ``looks`` (sorted)."""
    parts = [_rows(batch) for batch in _batches(folder / "detections.parquet", video_id, [*DETECTED, *BOX])]
    frame, instance, box, confidence, species = (np.concatenate(column) for column in zip(*(_NOTHING, *parts), strict=True))
    kept = np.isin(frame, looks)
    order = np.flatnonzero(kept)[np.lexsort((instance[kept], frame[kept]))]
    frame, instance = frame[order], instance[order]
    keypoints = _keypoints(folder, video_id, frame * MANY + instance, keypoint_names) if keypoint_names else None
    return DetectionFrames(
        frame=frame,
        box=box[order],
        confidence=confidence[order],
        species=species[order],
        instance=instance,
        n_frames=n_frames,
        keypoints=keypoints,
        looked_at=looks,
    )


_NOTHING = (np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 4)), np.zeros(0), np.zeros(0, dtype=object))


def _rows(batch: Any) -> tuple[NDArray[Any], ...]:
    box = np.stack([_numbers(batch, name) for name in BOX], axis=1)
    species = np.asarray(batch["species"].to_pylist(), dtype=object)
    return _numbers(batch, "frame"), _numbers(batch, "instance"), box, _numbers(batch, "confidence"), species


def _keypoints(folder: Path, video_id: str, wanted: NDArray[np.int64], names: Sequence[str]) -> NDArray[np.float64]:
    points = np.full((len(wanted), len(names), 3), np.nan)
    places = {name: place for place, name in enumerate(names)}
    for batch in _batches(folder / "keypoints.parquet", video_id, ["frame", "instance", "keypoint", "x", "y", "confidence"]):
        own = _numbers(batch, "frame") * MANY + _numbers(batch, "instance")
        column = np.array([places.get(name, -1) for name in batch["keypoint"].to_pylist()], dtype=np.int64)
        row = np.minimum(np.searchsorted(wanted, own), max(len(wanted) - 1, 0))
        known = (column >= 0) & (wanted[row] == own) if len(wanted) else np.zeros(len(own), dtype=bool)
        for number, name in enumerate(("x", "y", "confidence")):
            points[row[known], column[known], number] = _numbers(batch, name)[known]
    points[~np.isfinite(points[:, :, :2]).all(2)] = np.nan
    return points


def _numbers(batch: Any, name: str) -> NDArray[Any]:
    return batch[name].to_numpy(zero_copy_only=False)


def _batches(path: Path, video_id: str | None, columns: list[str]) -> Iterator[Any]:
    from pyarrow import dataset

    if not path.is_file():
        raise EthoLoopError(f"{path}: file not found. `etholoop repro` makes it.")
    only = None if video_id is None else dataset.field("video_id") == video_id
    # one batch at a time: reading ahead would hold much of the file
    yield from dataset.dataset(path).scanner(columns=columns, filter=only, batch_readahead=0, use_threads=False).to_batches()
