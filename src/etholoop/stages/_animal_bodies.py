"""Bodies of tracked animals as numbers, for models that look at no pictures: tracks joined with the keypoints of their detections.

The words are those of ``modeling/behaviour/_bodies.py``. A row of a track without a detection (a filled gap, a box drawn by a person)
has no keypoints, and another animal is not there in a frame in which its track has no row.
"""

import hashlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from etholoop.errors import FaultsError
from etholoop.project import Project
from etholoop.schema.tracks import NO_INSTANCE
from etholoop.stages._animal_pictures import CORNERS, Wanted, by_track, nearest

if TYPE_CHECKING:
    from etholoop.stages._animal_pictures import Animals

TRACKS = "data/tracks/tracks.parquet"


class VideoBodies:
    """The tracked animals of one video.

    Args:
        tracks: its rows of table ``Tracks``.
        keypoints: its rows of table ``PredictedKeypoints``.
        names: the keypoints wanted, in this order.
    """

    def __init__(self, tracks: pd.DataFrame, keypoints: pd.DataFrame, names: Sequence[str]):
        found = _by_detection(keypoints, names)
        self.n_values = 5 + 3 * len(names)
        self._tracks = {track: self._values(rows.sort_values("frame"), found) for track, rows in by_track(tracks).items()}

    @staticmethod
    def _values(rows: pd.DataFrame, found: tuple[pd.MultiIndex, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Frames (n,) of a track and its values (n, 5 + 3 K)."""
        box = rows[CORNERS].to_numpy(np.float32)
        # of the whole track: an animal that curls up is small for its size
        size = np.median(np.sqrt(np.maximum(np.prod(box[:, 2:] - box[:, :2], axis=1), 1)))
        index, points = found
        place = index.get_indexer(pd.MultiIndex.from_arrays([rows["frame"], rows["instance"]]))
        known = (place >= 0) & (rows["instance"].to_numpy() != NO_INSTANCE)
        own = np.full((len(rows), points.shape[1]), np.nan, np.float32)
        own[known] = points[place[known]]
        return rows["frame"].to_numpy(np.int64), np.column_stack([box, np.full(len(box), size, np.float32), own])

    def of(self, track: int, frames: np.ndarray) -> np.ndarray:
        """Bodies (n, 1 + M, 5 + 3 K): the animal in frames (n,), then all others of the video by their number, NaN where not there.

        Frames in which the animal itself has no row have its nearest one; the others are those of that frame too.
        """
        own_frames, _ = self._tracks[track]
        at = own_frames[np.searchsorted(own_frames, nearest(own_frames, frames))]
        order = [track, *(other for other in sorted(self._tracks) if other != track)]
        found = np.full((len(at), len(order), self.n_values), np.nan, np.float32)
        for number, other in enumerate(order):
            its_frames, values = self._tracks[other]
            place = np.clip(np.searchsorted(its_frames, at), 0, len(its_frames) - 1)
            there = its_frames[place] == at
            found[there, number] = values[place[there]]
        return found

    def __contains__(self, track: int) -> bool:
        return track in self._tracks


def _by_detection(keypoints: pd.DataFrame, names: Sequence[str]) -> tuple[pd.MultiIndex, np.ndarray]:
    """(frame, instance) of each detection, and x, y, confidence of its keypoints (n, 3 K)."""
    place = pd.Index(list(names)).get_indexer(pd.Index(keypoints["keypoint"])) if len(names) else np.full(len(keypoints), -1)
    own = keypoints[place >= 0]
    pairs = pd.MultiIndex.from_arrays([own["frame"], own["instance"]])
    number, index = pairs.factorize()
    points = np.full((len(index), len(names), 3), np.nan, np.float32)
    points[number, place[place >= 0]] = own[["x", "y", "confidence"]].to_numpy(np.float32)
    return pd.MultiIndex.from_tuples(list(index), names=["frame", "instance"]), points.reshape(len(index), 3 * len(names))


def bodies_of_video(project: Project, video_id: str, names: Sequence[str], frames: tuple[int, int] | None = None) -> VideoBodies:
    """The animals of one video; keypoints only of ``frames`` [start, stop), so that long videos need little memory."""
    tracks = pd.read_parquet(project / TRACKS, filters=[("video_id", "==", video_id)])
    wanted: list[tuple[str, str, object]] = [("video_id", "==", video_id)]
    if frames is not None:
        wanted += [("frame", ">=", frames[0]), ("frame", "<", frames[1])]
    return VideoBodies(tracks, pd.read_parquet(project.pose_predictions / "keypoints.parquet", filters=wanted), names)


def body_reels(
    project: Project, animals: "dict[str, Animals]", wanted: Sequence[Wanted], names: Sequence[str]
) -> Iterator[tuple[str, np.ndarray]]:
    """Bodies (n, 1 + M, 5 + 3 K) for each wish, with a digest of them.

    Raises:
        FaultsError: an animal without a track in the frames wanted.
    """
    videos: dict[str, VideoBodies] = {}
    faults = []
    for wish in wanted:
        if wish.video_id not in videos:
            videos[wish.video_id] = bodies_of_video(project, wish.video_id, names)
        if wish.track not in videos[wish.video_id] or not len(animals[wish.video_id].of(wish.track).frames):
            faults.append(f"{wish.video_id}, track {wish.track}: no track in frames {wish.start} to {wish.stop - 1}")
    if faults:
        raise FaultsError("bodies of animals", faults, "Run `etholoop repro`: tracks and behaviour labels are not of one state.")
    for wish in wanted:
        shown = animals[wish.video_id].of(wish.track).frames
        found = videos[wish.video_id].of(wish.track, nearest(shown, np.arange(wish.start, wish.stop)))
        yield digest_of(found), found


def digest_of(bodies: np.ndarray) -> str:
    """Names bodies by what they are."""
    return hashlib.sha256(repr(bodies.shape).encode() + np.ascontiguousarray(bodies).tobytes()).hexdigest()
