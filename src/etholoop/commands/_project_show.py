"""What the player shows of a project: sources as they were recorded, tracks or else detections, keypoints, bouts, swap risks."""

from collections.abc import Iterator
from functools import lru_cache
from math import isnan
from typing import TYPE_CHECKING, Any

from etholoop.errors import EthoLoopError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import pandas as pd
    import pandera.pandas as pa

    from etholoop.io.show_pictures import Boxes, Footage
    from etholoop.io.track_drawing import Shown
    from etholoop.project import Project

WHOLE = -1
"""Track of what is said about the whole picture."""

LEAST_CONFIDENCE = 0.25
"""Detections below this are not shown where there are no tracks yet."""


class ProjectShow:
    """A :class:`etholoop.services.player.Show` over the tables of a project, read once.

    Raises:
        EthoLoopError: there are no recordings yet.
    """

    def __init__(self, project: "Project"):
        from etholoop.io.sources import open_sources
        from etholoop.io.vocabulary import read_ethogram, read_skeleton
        from etholoop.schema.videos import Images, Videos

        self.project = project
        videos = _table(project.manifest / "videos.parquet", Videos)
        if videos.empty:
            raise EthoLoopError(f"{project.manifest}: no recordings. `etholoop videos add PATH…`, then `etholoop repro`.")
        self.sources = open_sources(project.root, videos, _table(project.manifest / "images.parquet", Images))
        self.n_frames = dict(zip(videos["video_id"], videos["n_frames"].astype(int), strict=True))
        self.skeleton = read_skeleton(project.skeleton)
        self.ethogram = read_ethogram(project.ethogram).names if project.ethogram.is_file() else ()
        self._read_tables()

    def _read_tables(self) -> None:
        from etholoop.schema.annotations import Bouts
        from etholoop.schema.behaviour import Stretches
        from etholoop.schema.bouts import PredictedBouts
        from etholoop.schema.predictions import Detections, PredictedKeypoints
        from etholoop.schema.tracks import SwapRisks, TrackNames, Tracks

        place, poses = self.project / "data/tracks", self.project.pose_predictions
        self.tracks = _by_video(_table(place / "tracks.parquet", Tracks))
        self.names = _by_video(_table(place / "names.parquet", TrackNames))
        self.risks = _by_video(_table(place / "swap_risks.parquet", SwapRisks))
        detections = _table(poses / "detections.parquet", Detections)
        self.detections = _by_video(detections[detections["confidence"] >= LEAST_CONFIDENCE])
        self.keypoints = _by_video(_table(poses / "keypoints.parquet", PredictedKeypoints))
        self.predicted_bouts = _by_video(_table(self.project / "data/bouts/bouts.parquet", PredictedBouts))
        self.labelled_bouts = _by_video(_table(self.project.annotations / "bouts.parquet", Bouts))
        self.stretches = _by_video(_table(self.project / "data/datasets/behaviour/stretches.parquet", Stretches))

    def about(self) -> dict[str, Any]:
        videos = [
            {"id": video_id, "n_frames": n_frames, "fps": _rate(self.sources[video_id].fps)} for video_id, n_frames in self.n_frames.items()
        ]
        return {"title": self.project.root.name, "videos": videos}

    def video(self, video_id: str) -> dict[str, Any]:
        from etholoop.core.behaviour_looks import looks_of

        source = self.sources[video_id]
        names = self.names.get(video_id)
        tracks = [] if names is None else [_track(row) for row in names.itertuples(index=False)]
        bouts = self._bouts(video_id, {track["name"]: track["id"] for track in tracks if track["name"]})
        looks = looks_of(self.ethogram, {bout["behaviour"] for bout in bouts})
        risks = self.risks.get(video_id)
        index = self.skeleton.keypoint_names.index
        return {
            "id": video_id,
            "n_frames": self.n_frames[video_id],
            "fps": _rate(source.fps),
            "width": source.source_size[0],
            "height": source.source_size[1],
            "tracks": tracks,
            "bouts": bouts,
            "behaviours": list(looks),
            "looks": looks,
            "risks": [] if risks is None else [_risk(row) for row in risks.sort_values("risk", ascending=False).itertuples(index=False)],
            "keypoints": list(self.skeleton.keypoint_names),
            "edges": [[index(first), index(second)] for first, second in self.skeleton.edges],
        }

    def window(self, video_id: str, start: int, stop: int) -> dict[str, Any]:
        self.sources[video_id]
        tracks = self.tracks.get(video_id)
        rows = tracks if tracks is not None else self._untracked(video_id)
        return {"boxes": _boxes(_between(rows, start, stop)), "points": self._points(video_id, rows, start, stop)}

    def animals(self, video_id: str, start: int, stop: int) -> "dict[int, list[Shown]]":
        """Tracks of the frames ``[start, stop)`` by frame, as they are drawn into videos."""
        import numpy as np

        from etholoop.io.track_drawing import Shown

        facts = self.video(video_id)
        names = {track["id"]: track["name"] for track in facts["tracks"]}
        content = self.window(video_id, start, stop)
        found: dict[int, list[Shown]] = {}
        for frame, boxes in content["boxes"].items():
            number = int(frame)
            points = {track: np.array(places, dtype=float).reshape(-1, 2) for track, *places in content["points"].get(frame, [])}
            doing: dict[int, list[str]] = {}
            for bout in facts["bouts"]:
                if bout["start"] <= number < bout["stop"]:
                    own = doing.setdefault(bout["track"], [])
                    own += [] if bout["behaviour"] in own else [bout["behaviour"]]
            for track, *corners, sure in boxes:
                text = f"{names.get(track) or track}: {', '.join(doing[track])}" if track in doing else str(names.get(track) or track)
                found.setdefault(number, []).append(Shown(track, np.array(corners), text, bool(sure), points.get(track)))
        return found

    def pictures(self, video_id: str, frames: range, width: int, track: int | None) -> Iterator[tuple[int, bytes]]:
        from etholoop.io import show_pictures

        footage, usable = self._footage(video_id)
        if track is None:
            return show_pictures.whole(footage, frames, usable, width)
        return show_pictures.around(footage, frames, usable, self._boxes_of(video_id, frames, track))

    def _boxes_of(self, video_id: str, frames: range, track: int) -> "Boxes":
        rows = self.tracks.get(video_id)
        if rows is None:
            return {}
        rows = _between(rows, frames.start, frames.stop)
        rows = rows[rows["track"] == track]
        return dict(zip(rows["frame"].tolist(), rows[["x_min", "y_min", "x_max", "y_max"]].to_numpy(), strict=True))

    @lru_cache(maxsize=8)  # noqa: B019 - the show lives as long as the server
    def _footage(self, video_id: str) -> "tuple[Footage, np.ndarray]":
        import numpy as np

        from etholoop.io.video import VideoReader

        source = self.sources[video_id]
        usable = np.zeros(self.n_frames[video_id], bool)
        usable[source.frames] = True
        return (VideoReader(source.path, source.index()) if source.kind == "video" else source), usable

    def _untracked(self, video_id: str) -> "pd.DataFrame":
        import pandas as pd

        found = self.detections.get(video_id)
        if found is None:
            return pd.DataFrame(columns=["track", "frame", "instance", "x_min", "y_min", "x_max", "y_max", "state"])
        return found.assign(track=WHOLE, state="detected")

    def _points(self, video_id: str, rows: "pd.DataFrame", start: int, stop: int) -> dict[str, list[list[Any]]]:
        keypoints = self.keypoints.get(video_id)
        if keypoints is None or rows.empty:
            return {}
        shown = _between(rows, start, stop)[["frame", "instance", "track"]]
        wide = _between(keypoints, start, stop).pivot(index=["frame", "instance"], columns="keypoint", values=["x", "y"])
        wide = shown.merge(wide.reset_index(), on=["frame", "instance"]) if wide.columns.nlevels == 1 else _joined(shown, wide)
        found: dict[str, list[list[Any]]] = {}
        for row in wide.to_dict("records"):
            places = [row.get(f"{axis}_{name}") for name in self.skeleton.keypoint_names for axis in ("x", "y")]
            found.setdefault(str(int(row["frame"])), []).append([int(row["track"]), *map(_rounded, places)])
        return found

    def _bouts(self, video_id: str, named: dict[str, int]) -> list[dict[str, Any]]:
        """Bouts of people, then those of models."""
        bouts = []
        labelled = self.labelled_bouts.get(video_id)
        for row in [] if labelled is None else _rows(labelled):
            known = named.get(row.subject, int(row.subject) if row.subject.isdigit() else None)
            bouts += [_bout(known, row, str(row.source))] if known is not None else self._by_stretch(video_id, row)
        predicted = self.predicted_bouts.get(video_id)
        if predicted is not None:
            bouts += [_bout(row.track, row, row.family) for row in _rows(predicted)]
        return bouts

    def _by_stretch(self, video_id: str, row: Any) -> list[dict[str, Any]]:
        """A labelled bout on the tracks that `behaviour_dataset` found to be its subject; without one it is of the whole picture."""
        whole, found = _bout(WHOLE, row, str(row.source)), []
        stretches = self.stretches.get(video_id)
        for stretch in [] if stretches is None else _rows(stretches[stretches["subject"] == row.subject]):
            start, stop = max(whole["start"], int(stretch.start_frame)), min(whole["stop"], int(stretch.stop_frame))
            found += [{**whole, "track": int(stretch.track), "start": start, "stop": stop}] if start < stop else []
        return found or [whole]


def _table(path: "Path", schema: "pa.DataFrameSchema") -> "pd.DataFrame":
    """The table, or an empty one where no stage has written it yet."""
    from etholoop.io import tables

    return tables.read(path, schema) if path.is_file() else tables.empty(schema)


def _by_video(table: "pd.DataFrame") -> "dict[str, pd.DataFrame]":
    return {str(name): part.sort_values("frame") if "frame" in part else part for name, part in table.groupby("video_id")}


def _rows(table: "pd.DataFrame") -> Iterator[Any]:
    return table.itertuples(index=False)


def _between(rows: "pd.DataFrame", start: int, stop: int) -> "pd.DataFrame":
    """Rows of the frames ``[start, stop)`` of a table sorted by frame."""
    first, last = rows["frame"].searchsorted([start, stop])
    return rows.iloc[first:last]


def _joined(shown: "pd.DataFrame", wide: "pd.DataFrame") -> "pd.DataFrame":
    wide.columns = ["_".join(label) for label in wide.columns]
    return shown.merge(wide.reset_index(), on=["frame", "instance"])


def _boxes(rows: "pd.DataFrame") -> dict[str, list[list[Any]]]:
    found: dict[str, list[list[Any]]] = {}
    columns = ["frame", "track", "x_min", "y_min", "x_max", "y_max", "state"]
    for frame, track, *corners, state in rows[columns].itertuples(index=False, name=None):
        found.setdefault(str(int(frame)), []).append([int(track), *map(_rounded, corners), int(state != "interpolated")])
    return found


def _rounded(value: float | None) -> float | None:
    return None if value is None or isnan(value) else round(float(value), 2)


def _rate(fps: Any) -> list[int] | None:
    return None if fps is None else [fps.numerator, fps.denominator]


def _track(row: Any) -> dict[str, Any]:
    name = row.name if isinstance(row.name, str) else None
    return {"id": int(row.track), "name": name, "species": row.species, "start": int(row.start_frame), "stop": int(row.stop_frame)}


def _risk(row: Any) -> dict[str, Any]:
    ends = {"start": int(row.start_frame), "stop": int(row.stop_frame)}
    return {"frame": int(row.frame), "a": int(row.track_a), "b": int(row.track_b), "risk": float(row.risk), "reasons": row.reasons, **ends}


def _bout(track: int, row: Any, source: str) -> dict[str, Any]:
    return {
        "track": int(track),
        "behaviour": row.behaviour,
        "start": int(row.start_frame),
        "stop": int(row.stop_frame),
        "source": source,
    }
