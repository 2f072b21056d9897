"""behaviour_dataset: labelled bouts + tracks + splits → for every frame that people looked at, which behaviours each animal shows.

No pictures are copied: models cut what they need from the sources, with the same windows in training and in use. Time that nobody
looked at has no rows, so it can never be learnt or judged as 'none of the behaviours'.
"""

import json
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from etholoop.core.behaviour_labels import Interval, Stretch, marks, stretches
from etholoop.core.bouts.intervals import intervals_of
from etholoop.core.subjects import match
from etholoop.errors import EthoLoopError
from etholoop.io import atomic, tables
from etholoop.io.vocabulary import read_ethogram
from etholoop.params import Section
from etholoop.project import Project
from etholoop.schema.annotations import Bouts, Boxes, LookedAt
from etholoop.schema.behaviour import FrameLabels, Stretches
from etholoop.schema.scores import WHOLE_VIDEO
from etholoop.schema.splits import Splits
from etholoop.schema.tracks import TrackNames, Tracks
from etholoop.stages._animal_pictures import frames_of_whole
from etholoop.stages._sources import project_sources

if TYPE_CHECKING:
    from etholoop.io.sources import Source

FOLDER = "data/datasets/behaviour"


class Params(Section):
    """``whole_video``: the whole picture stands for the animal. auto = in videos with one labelled subject and no tracks."""

    whole_video: Literal["auto", "always", "never"] = "auto"


@dataclass
class Found:
    """Stretches with their labels, and what could not be used."""

    stretches: list[Stretch] = field(default_factory=list)
    labels: list[np.ndarray] = field(default_factory=list)
    dropped: list[dict[str, Any]] = field(default_factory=list)
    n_looked_at: int = 0


def run(project: Project, params: Params) -> None:
    """Write the index of stretches, the labels of their frames and counts."""
    behaviours = read_ethogram(project.ethogram).names
    found = find(project, params, behaviours)
    for row in found.dropped:
        print(f"warning: behaviour labels of {row['video_id']}, subject '{row['subject']}', are not used: {row['reason']}", file=sys.stderr)
    with atomic.new_folder(project / FOLDER) as folder:
        tables.write(index_of(found), Stretches, folder / "stretches.parquet")
        tables.write(labels_of(found, behaviours), FrameLabels, folder / "labels.parquet")
        text = json.dumps(counts_of(found, behaviours), indent=2, sort_keys=True, ensure_ascii=False)
        atomic.write_text(folder / "counts.json", text + "\n")


def find(project: Project, params: Params, behaviours: tuple[str, ...]) -> Found:
    """All stretches by video, subject, track and time.

    Raises:
        EthoLoopError: labels of a video that is not in the manifest or has no split.
    """
    looked_at = tables.read(project.annotations / "looked_at.parquet", LookedAt)
    bouts = tables.read(project.annotations / "bouts.parquet", Bouts)
    splits = tables.read(project.splits, Splits)
    finder = Finder(project, params)
    found = Found()
    for video_id, rows in looked_at.groupby("video_id", sort=True):
        own = splits[splits["video_id"] == video_id]
        if own.empty or video_id not in finder.sources:
            raise EthoLoopError(f"behaviour labels of {video_id}, which is not in the manifest and the splits. Run `etholoop repro`.")
        subjects = {str(subject): _intervals(part) for subject, part in rows.groupby("subject", sort=True)}
        for subject, frames_of in finder.tracks_of(str(video_id), subjects, found).items():
            mine = bouts[(bouts["video_id"] == video_id) & (bouts["subject"] == subject)]
            whole = finder.whole(str(video_id), frames_of)
            for stretch in stretches(str(video_id), subject, frames_of, subjects[subject], own, whole=whole):
                found.stretches.append(stretch)
                found.labels.append(marks(stretch, mine, behaviours))
    return found


class Finder:
    """Knows the tracks of every video."""

    def __init__(self, project: Project, params: Params):
        self.params = params
        self.sources: dict[str, Source] = project_sources(project)
        self.tracks = dict(iter(tables.read(project / "data/tracks/tracks.parquet", Tracks).groupby("video_id")))
        self.names = tables.read(project / "data/tracks/names.parquet", TrackNames)
        self.boxes = tables.read(project.annotations / "boxes.parquet", Boxes)

    def tracks_of(self, video_id: str, subjects: dict[str, list[Interval]], found: Found) -> dict[str, dict[int, np.ndarray]]:
        """Frames of each track of each subject; subjects without a track go to ``found.dropped``."""
        found.n_looked_at += sum(stop - start for intervals in subjects.values() for start, stop in intervals)
        rows = self.tracks.get(video_id)
        if self._is_whole(len(subjects), rows is None):
            return {subject: {WHOLE_VIDEO: frames_of_whole(self.sources[video_id])} for subject in subjects}
        if rows is None:
            reason = f"there are no tracks, and {len(subjects)} subjects cannot all be the whole picture"
            if len(subjects) == 1:
                reason = "there are no tracks, and behaviour_dataset.whole_video is never"
            found.dropped += [{"video_id": video_id, "subject": subject, "reason": reason} for subject in subjects]
            return {}
        names, boxes = (table[table["video_id"] == video_id] for table in (self.names, self.boxes))
        matched = match(subjects, rows, names, boxes)
        found.dropped += [{"video_id": video_id, "subject": subject, "reason": why} for subject, why in matched.reasons.items()]
        return matched.tracks

    def whole(self, video_id: str, frames_of: dict[int, np.ndarray]) -> dict[int, np.ndarray]:
        """All frames of some tracks."""
        rows = self.tracks.get(video_id)
        if rows is None or WHOLE_VIDEO in frames_of:
            return frames_of
        return {track: np.sort(rows.loc[rows["track"] == track, "frame"].to_numpy(np.int64)) for track in frames_of}

    def _is_whole(self, n_subjects: int, no_tracks: bool) -> bool:
        wanted = self.params.whole_video
        return n_subjects == 1 and (wanted == "always" or (wanted == "auto" and no_tracks))


def _intervals(rows: pd.DataFrame) -> list[Interval]:
    return [(int(start), int(stop)) for start, stop in zip(rows["start_frame"], rows["stop_frame"], strict=True)]


def index_of(found: Found) -> pd.DataFrame:
    """Table ``Stretches``."""
    rows = [
        {
            "stretch": number,
            **{name: getattr(stretch, name) for name in ("video_id", "track", "subject", "split", "group")},
            **dict(zip(("start_frame", "stop_frame"), stretch.frames, strict=True)),
            **dict(zip(("context_start_frame", "context_stop_frame"), stretch.context, strict=True)),
        }
        for number, stretch in enumerate(found.stretches)
    ]
    return tables.from_rows(rows, Stretches)


def labels_of(found: Found, behaviours: tuple[str, ...]) -> pd.DataFrame:
    """Table ``FrameLabels``."""
    if not found.stretches:
        table = tables.empty(FrameLabels)
        return table.assign(**{f"y_{name}": pd.Series(dtype="int8") for name in behaviours})
    sizes = [len(labels) for labels in found.labels]
    fixed = {
        "stretch": np.repeat(np.arange(len(sizes)), sizes),
        "video_id": np.repeat([stretch.video_id for stretch in found.stretches], sizes),
        "track": np.repeat([stretch.track for stretch in found.stretches], sizes),
        "frame": np.concatenate([np.arange(*stretch.frames) for stretch in found.stretches]),
        "split": np.repeat([stretch.split for stretch in found.stretches], sizes),
    }
    marked = np.concatenate(found.labels)
    table = pd.DataFrame(fixed | {f"y_{name}": marked[:, k] for k, name in enumerate(behaviours)})
    return tables.typed(table, FrameLabels)


def counts_of(found: Found, behaviours: tuple[str, ...]) -> dict[str, Any]:
    """Frames and bouts of each behaviour by split, and what was not used."""
    by_split: dict[str, Any] = {}
    for split in sorted({stretch.split for stretch in found.stretches}):
        own = [labels for stretch, labels in zip(found.stretches, found.labels, strict=True) if stretch.split == split]
        by_split[split] = {
            "n_stretches": len(own),
            "n_frames": sum(map(len, own)),
            "n_frames_with_none": sum(int((labels == 0).all(axis=1).sum()) for labels in own),
            "frames": {name: sum(int(labels[:, k].sum()) for labels in own) for k, name in enumerate(behaviours)},
            "bouts": {name: sum(len(intervals_of(labels[:, k] == 1)) for labels in own) for k, name in enumerate(behaviours)},
        }
    n_used = sum(map(len, found.labels))
    return {
        "behaviours": list(behaviours),
        "splits": by_split,
        "dropped": found.dropped,
        "n_frames_looked_at": found.n_looked_at,
        "n_frames_not_used": found.n_looked_at - n_used,
    }
