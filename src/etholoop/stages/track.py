"""track: detections → which one is which animal, from the first frame to the last, and where that is doubtful.

Each video is tracked by itself and kept in the memo, so a new video costs one video and a kill at most the one in hand. What people said
about tracks (label_studio/track_edits.csv) is laid over whatever the tracker found. Where boxes alone leave the animals in doubt, the
pixels of the video are looked at and it is tracked once more.
"""

import hashlib
import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from etholoop import registry
from etholoop.core.tracking import edits as editing
from etholoop.core.tracking.detections import DetectionFrames
from etholoop.core.tracking.identity_accuracy import estimated
from etholoop.core.tracking.risks import risks_of
from etholoop.errors import EthoLoopError
from etholoop.io import atomic, pose_tables, tables, track_edits
from etholoop.io.memo import Memo, digest
from etholoop.io.vocabulary import read_skeleton
from etholoop.modeling.trackers import settings_of
from etholoop.params import Section
from etholoop.project import Project
from etholoop.schema.skeleton import Skeleton
from etholoop.schema.tracks import SwapRisks, TrackNames, Tracks
from etholoop.schema.videos import Videos
from etholoop.stages import _track_pixels as looking
from etholoop.stages._map import Unit, map_memo
from etholoop.stages._sources import project_sources

VERSION = 5
"""To be changed with the meaning of the tables, so that old results in the memo are not used."""

TRACKERS = "etholoop.modeling.trackers"

SEES_PIXELS = ("etholoop",)
"""Trackers that use silhouettes."""

TRACK_S, LOOK_S = 2e-4, 0.008
"""Rough seconds to track one detection, and to look at the pixels of one frame."""

REGULAR = 0.5
"""Least share of neighbouring frames at one distance; below it frames were picked, not followed."""

TABLES = {"tracks": Tracks, "names": TrackNames, "swap_risks": SwapRisks}
EDITS = "label_studio/track_edits.csv"


class Params(Section):
    """Which tracker, and how far apart frames may lie."""

    tracker: str = Field("etholoop", description="a file name in src/etholoop/modeling/trackers/")
    settings: dict[str, Any] = Field({}, description="of the tracker")
    step: int | None = Field(None, ge=1, description="frames from one look to the next; null = what the predictions show")
    pixels: looking.Choice = Field(
        "auto", description="on: silhouettes tell who is who, every frame is read; auto: only in videos where an exchange is to be feared"
    )
    max_step_s: float = Field(0.5, gt=0, description="videos whose frames were looked at less often are not tracked, and named")


@dataclass(frozen=True)
class Job:
    """One video to be tracked, and how."""

    root: Path
    video_id: str
    n_frames: int
    fps: float
    width: int
    height: int
    step: int
    tracker: str
    settings: dict[str, Any]
    pixels: looking.Choice


def run(project: Project, params: Params) -> None:
    """Track every video that was looked at often enough, and write the tables; without predictions they are empty."""
    settings_of(params.tracker, params.settings, str(project.params))
    edits = track_edits.read(project / EDITS)
    jobs, told = jobs_of(project, params)
    for line in told:
        print(f"warning: {line}", file=sys.stderr)
    lost = {edit.id: f"{edit.video_id} is not tracked" for edit in edits if edit.video_id not in {job.video_id for job in jobs}}
    parts = tracked(project, jobs, edits)
    for part in parts:
        lost |= json.loads((part / "lost.json").read_text(encoding="utf-8"))
    for name, reason in sorted(lost.items()):
        print(f"warning: edit {name} of {EDITS} was not applied: {reason}", file=sys.stderr)
    with atomic.new_folder(project / "data/tracks") as folder:
        for name, schema in TABLES.items():
            rows = [tables.read(part / f"{name}.parquet", schema) for part in parts]
            table = pd.concat(rows, ignore_index=True) if rows else tables.empty(schema)
            tables.write(table, schema, folder / f"{name}.parquet")
        status = {
            "edits": len(edits),
            "edits_not_applied": dict(sorted(lost.items())),
            "identity_estimated": {
                job.video_id: json.loads((part / "identity.json").read_text("utf-8")) for job, part in zip(jobs, parts, strict=True)
            },
            "not_tracked": told,
        }
        (folder / "status.json").write_text(json.dumps(status, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


def jobs_of(project: Project, params: Params) -> tuple[list[Job], list[str]]:
    """Videos to be tracked, and a sentence about each one that cannot be."""
    videos = tables.read(project.manifest / "videos.parquet", Videos)
    known = {row["video_id"]: row for row in videos.to_dict("records")}
    jobs, told = [], []
    for video_id, looks in pose_tables.looked_at(project.pose_predictions).items():
        if video_id not in known:
            raise EthoLoopError(f"predictions of '{video_id}', which is not in the manifest. Run `etholoop repro`.")
        video = known[video_id]
        fps = float(video["fps_num"]) / float(video["fps_den"])
        step = params.step or step_of(looks)
        reason = _not_to_track(video["kind"], fps, step, params.max_step_s)
        if reason:
            told.append(f"{video_id} is not tracked: {reason}")
            continue
        size = (int(video["width"]), int(video["height"]))
        look = params.pixels if params.tracker in SEES_PIXELS else "off"
        jobs.append(Job(project.root, video_id, int(video["n_frames"]), fps, *size, step or 1, params.tracker, params.settings, look))
    return jobs, told


def step_of(looks: NDArray[np.int64]) -> int | None:
    """Frames from one look to the next, None where they have no common distance; looks between them were taken for other ends."""
    if len(looks) < 2:
        return None
    distance, count = np.unique(np.diff(looks), return_counts=True)
    step = int(distance[count.argmax()])
    grid = looks[on_grid(looks, step)]
    regular = (np.diff(grid) == step).mean() if len(grid) > 1 else 0.0
    return step if regular >= REGULAR else None


def on_grid(looks: NDArray[np.int64], step: int) -> NDArray[np.bool_]:
    """Looks at the phase that most of them have."""
    phase = looks % step
    return phase == np.bincount(phase).argmax()


def _not_to_track(kind: str, fps: float, step: int | None, max_step_s: float) -> str:
    if kind != "video" or fps <= 0:
        return "images have no rate"
    if step is None:
        return "its frames were looked at irregularly; set pose_predict.every: 1"
    if step / fps > max_step_s:
        often = f"every {step} frames ({step / fps:.1f} s)"
        return f"it was looked at {often}, at most {max_step_s} s let an animal be followed; set pose_predict.every"
    return ""


def tracked(project: Project, jobs: list[Job], edits: list[editing.Edit]) -> list[Path]:
    """Folders with the tables of each video, from the memo where nothing that matters has changed."""
    if not jobs:
        return []
    skeleton = read_skeleton(project.skeleton)
    sources = project_sources(project) if any(job.pixels != "off" for job in jobs) else {}
    units = []
    for job in jobs:
        frames = frames_of(job, skeleton)
        own = [edit for edit in edits if edit.video_id == job.video_id]
        key = digest(
            detections=_digest(frames),
            video=[job.video_id, job.n_frames, job.fps, job.width, job.height, job.step],
            tracker=[job.tracker, registry.load(TRACKERS, job.tracker).VERSION, job.settings],
            skeleton=[list(skeleton.sigmas), skeleton.n_animals],
            pixels=[job.pixels, *(looking.identity(sources[job.video_id]) if job.pixels != "off" else [])],
            edits=track_edits.dumps(own),
            version=VERSION,
        )
        cost = TRACK_S * frames.n + LOOK_S * job.n_frames * (job.pixels == "on")
        units.append(Unit(key, job.video_id, (job, skeleton, own), cost, job.video_id))
    memo = Memo(project.memo, "track")
    done = map_memo(memo, units, write_tracks, project, what="tracking")
    return [done[unit.key] for unit in units]


def frames_of(job: Job, skeleton: Skeleton) -> DetectionFrames:
    """What was detected in one video, in the frames that are a step apart."""
    project = Project(job.root)
    looks = pose_tables.looked_at(project.pose_predictions)[job.video_id]
    looks = looks[on_grid(looks, job.step)]
    frames = pose_tables.detection_frames(project.pose_predictions, job.video_id, looks, job.n_frames, skeleton.keypoint_names)
    sigmas = np.array(skeleton.sigmas) if skeleton.keypoints else None
    return replace(frames, sigmas=sigmas, n_animals=skeleton.n_animals)


def _digest(frames: DetectionFrames) -> str:
    total = hashlib.sha256()
    for values in (frames.frame, frames.instance, frames.box, frames.confidence, frames.keypoints, frames.looked_at):
        if values is not None:
            total.update(np.ascontiguousarray(values).tobytes())
    total.update("\0".join(frames.species.tolist()).encode())
    return total.hexdigest()


def write_tracks(folder: Path, job: Job, skeleton: Skeleton, edits: list[editing.Edit]) -> None:
    """In a worker: the tables of one video."""
    frames = frames_of(job, skeleton)
    settings = settings_of(job.tracker, job.settings, "params.yaml")
    tracker = registry.load(TRACKERS, job.tracker)
    found = tracker.track(frames, settings, fps=job.fps, width=job.width, height=job.height)
    looked = looking.wanted(job.pixels, frames, found)
    if looked:
        frames = looking.with_pixels(job.root, job.video_id, frames)
        found = tracker.track(frames, settings, fps=job.fps, width=job.width, height=job.height)
    applied = editing.apply(found, edits)
    risks = risks_of(frames, applied.tracks)
    content = {"tracks": applied.tracks, "names": names_of(applied), "swap_risks": risks}
    for name, schema in TABLES.items():
        table = content[name]
        table = table.assign(video_id=pd.Series([job.video_id] * len(table), dtype="str", index=table.index))
        tables.write(tables.typed(table, schema), schema, folder / f"{name}.parquet")
    (folder / "lost.json").write_text(json.dumps(applied.lost, sort_keys=True), encoding="utf-8")
    sure = estimated(applied.tracks, risks)
    figures = {"share_right": round(sure.accuracy, 4), "exchanges_expected": round(sure.n_switches, 2), "pixels": looked}
    (folder / "identity.json").write_text(json.dumps(figures, sort_keys=True), encoding="utf-8")


def names_of(applied: editing.Applied) -> pd.DataFrame:
    """One row for each track: its extent, how much of it was seen, the name people gave it."""
    rows = []
    for _, own in applied.tracks.groupby("track"):
        track = int(own["track"].iloc[0])
        rows.append(
            {
                "track": track,
                "name": applied.names.get(track),
                "species": own["species"].mode().iloc[0],
                "start_frame": int(own["frame"].min()),
                "stop_frame": int(own["frame"].max()) + 1,
                "n_detected": int((own["state"] == "detected").sum()),
                "n_interpolated": int((own["state"] == "interpolated").sum()),
            }
        )
    columns = [name for name in TrackNames.columns if name != "video_id"]
    return pd.DataFrame(rows, columns=columns)
