"""SLEAP projects (``.slp``): tracks of one video in and out, by the library sleap-io.

Frames count from 0. In SLEAP whole numbers are pixel centres, with us pixel corners are, so half a pixel is added or taken away
(sleap-io itself moves the points of files older than format 1.1).
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np

from etholoop.core.naming import source_id
from etholoop.errors import EthoLoopError
from etholoop.io import atomic
from etholoop.io.pose_tracks import PoseTracks

SHIFT_PX = 0.5


def read(path: Path, video_id: str = "") -> PoseTracks:
    """Tracks of one video of a project: what people placed where they did, else what was predicted.

    Args:
        video_id: chooses among several videos of the project by the name of the file.

    Raises:
        EthoLoopError: not such a file, no such video in it, or no tracks.
    """
    labels = _load(path)
    frames = _frames_of(labels, path, video_id)
    if not labels.tracks:
        raise EthoLoopError(f"{path}: instances have no tracks. Track them in SLEAP, or import them as labels.")
    skeleton = labels.skeletons[0]
    place_of = {id(track): place for place, track in enumerate(labels.tracks)}
    points = np.full((len(frames), len(labels.tracks), len(skeleton.nodes), 3), np.nan)
    untracked = 0
    for row, frame in enumerate(frames):
        for instance in sorted(frame.instances, key=_is_placed):  # what people placed is written last and stays
            place = place_of.get(id(instance.track))
            if place is None:
                untracked += 1
                continue
            points[row, place] = _points_of(instance)
    if untracked:
        print(f"{path}: {untracked} instances belong to no track and are left out.", file=sys.stderr)
    numbers = np.array([int(frame.frame_idx) for frame in frames], dtype=np.int64)
    return PoseTracks(numbers, points, tuple(track.name for track in labels.tracks), tuple(skeleton.node_names))


def write(path: Path, pose: PoseTracks, video: str, edges: tuple[tuple[int, int], ...] = ()) -> None:
    """Write a project that SLEAP opens: predicted instances with their tracks; ``video`` is the file's path as the project names it."""
    import sleap_io as sio

    skeleton = sio.Skeleton([sio.Node(name) for name in pose.keypoints], name="animal")
    skeleton.edges = [sio.Edge(skeleton.nodes[first], skeleton.nodes[second]) for first, second in edges]
    tracks = [sio.Track(name) for name in pose.names]
    movie = sio.Video(filename=video, open_backend=False)
    labelled = []
    for frame, animals in zip(pose.frames.tolist(), pose.points, strict=True):
        found = [_instance(own, skeleton, track) for own, track in zip(animals, tracks, strict=True) if np.isfinite(own[:, :2]).any()]
        if found:
            labelled.append(sio.LabeledFrame(movie, frame, found))
    labels = sio.Labels(labelled, videos=[movie], skeletons=[skeleton], tracks=tracks)
    with atomic.new_file(path) as new:
        sio.save_slp(labels, str(new), embed=False, verbose=False)


def _instance(points: np.ndarray, skeleton: Any, track: Any) -> Any:
    import sleap_io as sio

    scores = np.nan_to_num(points[:, 2])  # the format has no missing score; a missing point is missing by its place
    known = points[np.isfinite(points[:, 2]), 2]
    mean = float(known.mean()) if len(known) else 0.0
    return sio.PredictedInstance.from_numpy(points[:, :2] - SHIFT_PX, skeleton, point_scores=scores, score=mean, track=track)


def _points_of(instance: Any) -> np.ndarray:
    """(keypoints, 3); the score is NaN where a person placed the point."""
    places = np.asarray(instance.numpy(), dtype=float) + SHIFT_PX
    scores = np.asarray(instance.points["score"], dtype=float) if "score" in instance.points.dtype.names else np.full(len(places), np.nan)
    scores = np.where(np.isfinite(places).all(axis=1), scores, np.nan)
    return np.column_stack([places, scores])


def _is_placed(instance: Any) -> bool:
    return type(instance).__name__ != "PredictedInstance"


def _load(path: Path) -> Any:
    if not path.is_file():
        raise EthoLoopError(f"{path}: file not found.")
    import sleap_io as sio

    try:
        return sio.load_slp(str(path), open_videos=False)
    except Exception as error:  # the library raises whatever HDF5 and JSON raise
        raise EthoLoopError(f"{path}: not readable as a SLEAP project ({error}).") from error


def _frames_of(labels: Any, path: Path, video_id: str) -> list[Any]:
    """Labelled frames of the one video, ascending."""
    movies = {id(movie): _name(movie) for movie in labels.videos}
    chosen = [key for key, name in movies.items() if len(movies) == 1 or _is_called(video_id, source_id(Path(name).name))]
    if len(chosen) != 1:
        raise EthoLoopError(
            f"{path}: holds {len(movies)} videos ({', '.join(movies.values())}), and {len(chosen)} of them are '{video_id}'. "
            "Export the one you mean as a project of its own."
        )
    return sorted((frame for frame in labels if id(frame.video) == chosen[0]), key=lambda frame: frame.frame_idx)


def _is_called(video_id: str, name: str) -> bool:
    return video_id == name or video_id.endswith(f"-{name}")


def _name(movie: Any) -> str:
    return str(movie.filename if isinstance(movie.filename, str) else movie.filename[0])
