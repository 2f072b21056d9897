"""A small project on disk: tables a gate or the evaluation reads, written by hand."""

import json

import numpy as np
import pandas as pd

from etholoop.io import tables
from etholoop.project import Project
from etholoop.schema.annotations import Bouts, Boxes, Keypoints, LabelledFrames
from etholoop.schema.predictions import Detections, Embeddings, PredictedFrames, PredictedKeypoints
from etholoop.schema.splits import Splits
from etholoop.schema.videos import Gaps, Images, Quarantine, Videos

SKELETON = """
name: test
species: [mouse]
keypoints: [{name: nose, sigma: 0.05}, {name: tail, sigma: 0.1}]
edges: [[nose, tail]]
animals: 1
"""
ETHOGRAM = """
name: test
behaviours:
  - {name: groom, definition: licks or scratches itself, kind: state}
"""


def new_project(root, videos=("cage1", "cage2", "cage3"), splits=("train", "val", "test"), mode="group"):
    """Sources of 100 frames, 200 x 100 pixels, 25 frames a second, one split each; no labels, no predictions."""
    project = Project(root)
    project.skeleton.parent.mkdir(parents=True)
    project.skeleton.write_text(SKELETON)
    project.ethogram.write_text(ETHOGRAM)
    write_videos(project, [video(video_id) for video_id in videos])
    rows = [_split(video_id, 0, 100, split, mode) for video_id, split in zip(videos, splits, strict=True)]
    tables.write(tables.from_rows(rows, Splits), Splits, project.splits)
    write_labels(project)
    write_predictions(project)
    return project


def video(video_id, **changes):
    row = {
        "video_id": video_id,
        "kind": "video",
        "path": f"videos/{video_id}.mp4",
        "sha256": "0" * 64,
        "n_frames": 100,
        "n_frames_header": 100,
    }
    row |= {
        "fps_num": 25,
        "fps_den": 1,
        "duration_s": 4.0,
        "width": 200,
        "height": 100,
        "codec": "h264",
        "pix_fmt": "yuv420p",
        "rotation": 0,
    }
    row |= {"variable_rate": False, "session": video_id, "subject": None, "camera": None, "start_time": None}
    return row | changes


def write_videos(project, rows, quarantine=(), images=(), gaps=()):
    tables.write(tables.from_rows(rows, Videos), Videos, project.manifest / "videos.parquet")
    tables.write(tables.from_rows(quarantine, Quarantine), Quarantine, project.manifest / "quarantine.parquet")
    tables.write(tables.from_rows(images, Images), Images, project.manifest / "images.parquet")
    tables.write(tables.from_rows(gaps, Gaps), Gaps, project.manifest / "gaps.parquet")


def _split(video_id, start, stop, split, mode):
    return {"video_id": video_id, "group": video_id, "start_frame": start, "stop_frame": stop, "split": split, "mode": mode}


def box(video_id, frame, instance=0, corners=(10, 20, 50, 40), **changes):
    row = dict(zip(("x_min", "y_min", "x_max", "y_max"), map(float, corners), strict=True))
    row = {"video_id": video_id, "frame": frame, "instance": instance, "species": "mouse", **row}
    return row | {"identity": None, "confidence": np.nan, "source": "anna"} | changes


def keypoints(video_id, frame, instance=0, nose=(15, 25), tail=(45, 35)):
    rows = [{"keypoint": "nose", "x": nose[0], "y": nose[1]}, {"keypoint": "tail", "x": tail[0], "y": tail[1]}]
    common = {"video_id": video_id, "frame": frame, "instance": instance, "confidence": np.nan}
    return [{**common, **row, "visibility": 0 if np.isnan(row["x"]) else 2} for row in rows]


def write_labels(project, boxes=(), points=(), frames=None, *, bouts=(), empty=()):
    """Labelled frames are those with boxes, with status animals, and ``empty`` ones (video_id, frame), unless ``frames`` are given."""
    boxes, points = list(boxes), list(points)
    if frames is None:
        counts = pd.DataFrame(boxes, columns=["video_id", "frame"]).value_counts().sort_index()
        frames = [labelled(video_id, frame, n) for (video_id, frame), n in counts.items()]
        frames += [labelled(video_id, frame, 0, "no_animal") for video_id, frame in empty]
    folder = project.annotations
    tables.write(tables.from_rows(frames, LabelledFrames), LabelledFrames, folder / "labelled_frames.parquet")
    tables.write(tables.from_rows(boxes, Boxes), Boxes, folder / "boxes.parquet")
    tables.write(tables.from_rows(points, Keypoints), Keypoints, folder / "keypoints.parquet")
    tables.write(tables.from_rows(bouts, Bouts), Bouts, folder / "bouts.parquet")


def labelled(video_id, frame, n_animals=1, status="animals"):
    return {"video_id": video_id, "frame": frame, "status": status, "n_animals": n_animals, "source": "anna", "note": None}


def detection(video_id, frame, instance=0, corners=(10, 20, 50, 40), confidence=0.9, **changes):
    row = box(video_id, frame, instance, corners, confidence=confidence, source="weights")
    del row["identity"]
    return row | {"p_mouse": confidence} | changes


def predicted_keypoints(video_id, frame, instance=0, nose=(15, 25), tail=(45, 35)):
    rows = keypoints(video_id, frame, instance, nose, tail)
    return [{key: value for key, value in row.items() if key != "visibility"} | {"confidence": 0.8} for row in rows]


def write_predictions(project, detections=(), points=(), frames=None):
    detections = list(detections)
    if frames is None:
        counts = pd.DataFrame(detections, columns=["video_id", "frame"]).value_counts().sort_index()
        frames = [{"video_id": video_id, "frame": frame, "n_detections": n} for (video_id, frame), n in counts.items()]
    folder = project.pose_predictions
    table = tables.from_rows(detections, Detections)
    table = table.astype({"p_mouse": "float32"}) if len(table) else table
    embeddings = [{"video_id": row["video_id"], "frame": row["frame"]} for row in frames]
    tables.write(tables.from_rows(frames, PredictedFrames), PredictedFrames, folder / "frames.parquet")
    tables.write(table, Detections, folder / "detections.parquet")
    tables.write(tables.from_rows(points, PredictedKeypoints), PredictedKeypoints, folder / "keypoints.parquet")
    tables.write(tables.from_rows(embeddings, Embeddings), Embeddings, folder / "embeddings.parquet")
    backend = {"backend": "torch", "reason": "a test", "weights": "weights", "differences": {}, "tolerances": {}}
    (folder / "backend.json").write_text(json.dumps(backend))
