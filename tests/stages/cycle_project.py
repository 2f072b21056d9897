"""A small project with pictures: two mouse-like ovals walking through an arena, sampled frames, and later labels and predictions."""

import json

import cv2
import numpy as np
import pandas as pd
from untouched import write_untouched

from etholoop.io import history, tables
from etholoop.io.images import write_rgb
from etholoop.project import Project
from etholoop.schema.annotations import Bouts, Boxes, Keypoints, LabelledFrames
from etholoop.schema.dataset import PoseDataset
from etholoop.schema.frames import Frames
from etholoop.schema.predictions import Detections, Embeddings, PredictedFrames, PredictedKeypoints
from etholoop.schema.splits import Splits
from etholoop.schema.videos import Images, Quarantine, Videos

SKELETON = """
name: two_mice
species: [mouse]
keypoints: [nose, left_ear, right_ear, tail_base]
edges: [[nose, left_ear], [nose, right_ear], [left_ear, tail_base], [right_ear, tail_base]]
left_right: [[left_ear, right_ear]]
animals: 2
"""
KEYPOINTS = ("nose", "left_ear", "right_ear", "tail_base")
WIDTH, HEIGHT, N_FRAMES, STEP = 160, 120, 300, 15
SPLIT_OF = {"cage1": "train", "cage2": "train", "cage3": "val", "cage4": "test"}


def new_project(root, splits=SPLIT_OF, mode="group", scale=1):
    """Four recordings of 300 frames at 30 frames a second, every 15th sampled; no labels, no model."""
    project = Project(root)
    project.skeleton.parent.mkdir(parents=True)
    project.skeleton.write_text(SKELETON)
    project.params.write_text("cycle: {id: c001, batch_size: 8}\n")
    videos = [_video(video_id, scale) for video_id in splits]
    tables.write(tables.from_rows(videos, Videos), Videos, project.manifest / "videos.parquet")
    quarantine = [{"path": "videos/broken.mp4", "reason": "truncated", "detail": "the file ends in the middle of a frame"}]
    tables.write(tables.from_rows(quarantine, Quarantine), Quarantine, project.manifest / "quarantine.parquet")
    tables.write(tables.empty(Images), Images, project.manifest / "images.parquet")
    write_untouched(project)
    rows = [_split(video_id, split, mode) for video_id, split in splits.items()]
    tables.write(tables.from_rows(rows, Splits), Splits, project.splits)
    frames = [_frame(project, video_id, frame, scale) for video_id in splits for frame in range(0, N_FRAMES, STEP)]
    tables.write(tables.from_rows(frames, Frames), Frames, project.frames / "frames.parquet")
    write_labels(project, [])
    write_no_predictions(project)
    write_gates(project)
    history.write(project.metrics / "history.csv", [])
    return project


def _video(video_id, scale):
    size = {"width": WIDTH * scale, "height": HEIGHT * scale, "n_frames": N_FRAMES, "n_frames_header": N_FRAMES, "rotation": 0}
    time = {"fps_num": 30, "fps_den": 1, "duration_s": 10.0, "variable_rate": False, "start_time": None}
    source = {"kind": "video", "path": f"videos/{video_id}.mp4", "sha256": "0" * 64, "codec": "h264", "pix_fmt": "yuv420p"}
    return {"video_id": video_id, "session": f"day {video_id[-1]}", "subject": None, "camera": None, **source, **size, **time}


def _split(video_id, split, mode):
    return {"video_id": video_id, "group": video_id, "start_frame": 0, "stop_frame": N_FRAMES, "split": split, "mode": mode}


def _frame(project, video_id, frame, scale):
    path = f"{video_id}/{frame:08d}.png"
    write_rgb(project.frames / path, picture(video_id, frame, scale))
    row = {"video_id": video_id, "frame": frame, "path": path, "width": WIDTH * scale, "height": HEIGHT * scale}
    return row | {"strategy": "uniform", "reason": "every 15th", "cluster": None, "score": None}


def animals(video_id, frame, scale=1):
    """Where the two animals are: list of (centre, direction in radians)."""
    cage = int(video_id[-1])
    result = []
    for animal in range(2):
        turn = frame / 40 * (1 if animal else -1) + cage + animal * 2.2
        radius = np.array([0.30 - 0.06 * animal, 0.28 - 0.1 * animal])
        centre = (0.5 + radius * [np.cos(turn), np.sin(turn * 1.3)]) * [WIDTH * scale, HEIGHT * scale]
        result.append((centre, turn + np.pi / 2 * (1 if animal else -1)))
    return result


def points(centre, direction, scale=1):
    forward, side = np.array([np.cos(direction), np.sin(direction)]), np.array([-np.sin(direction), np.cos(direction)])
    offsets = np.array([[16, 0], [10, -5], [10, 5], [-15, 0]]) * scale
    return centre + offsets[:, :1] * forward + offsets[:, 1:] * side


def corners(keypoints, scale=1):
    return np.concatenate([keypoints.min(axis=0) - 5 * scale, keypoints.max(axis=0) + 5 * scale])


def picture(video_id, frame, scale=1):
    cage = int(video_id[-1])
    rng = np.random.default_rng([cage, frame])
    image = np.full((HEIGHT * scale, WIDTH * scale, 3), 150 + 15 * cage, np.uint8)
    cv2.rectangle(image, (6 * scale, 6 * scale), ((WIDTH - 6) * scale, (HEIGHT - 6) * scale), (195, 190, 180), -1)
    for animal, (centre, direction) in enumerate(animals(video_id, frame, scale)):
        colour = (60 + 40 * animal, 50 + 30 * animal, 45)
        body = tuple(int(v) for v in centre)
        cv2.ellipse(image, body, (15 * scale, 7 * scale), np.degrees(direction), 0, 360, colour, -1, cv2.LINE_AA)
        for x, y in points(centre, direction, scale)[1:3]:
            cv2.circle(image, (int(x), int(y)), 3 * scale, (120, 90, 85), -1, cv2.LINE_AA)
    return np.clip(image + rng.normal(0, 2, image.shape), 0, 255).astype(np.uint8)


def write_labels(project, uids, scale=1):
    """Perfect labels of both animals in the given (video_id, frame)."""
    frames, boxes, keypoints = [], [], []
    for video_id, frame in uids:
        frames.append({"video_id": video_id, "frame": frame, "status": "animals", "n_animals": 2, "source": "anna", "note": None})
        for instance, (centre, direction) in enumerate(animals(video_id, frame, scale)):
            marks = points(centre, direction, scale)
            boxes.append(
                {**_box(video_id, frame, instance, corners(marks, scale)), "identity": None, "confidence": np.nan, "source": "anna"}
            )
            keypoints += _marks(video_id, frame, instance, marks, {"confidence": np.nan, "visibility": 2})
    folder = project.annotations
    tables.write(tables.from_rows(frames, LabelledFrames), LabelledFrames, folder / "labelled_frames.parquet")
    tables.write(tables.from_rows(boxes, Boxes), Boxes, folder / "boxes.parquet")
    tables.write(
        tables.typed(pd.DataFrame(keypoints), Keypoints) if keypoints else tables.empty(Keypoints), Keypoints, folder / "keypoints.parquet"
    )
    tables.write(tables.empty(Bouts), Bouts, folder / "bouts.parquet")


def _box(video_id, frame, instance, xyxy):
    row = {"video_id": video_id, "frame": frame, "instance": instance, "species": "mouse"}
    return row | dict(zip(("x_min", "y_min", "x_max", "y_max"), map(float, xyxy), strict=True))


def _marks(video_id, frame, instance, marks, more):
    common = {"video_id": video_id, "frame": frame, "instance": instance}
    return [{**common, "keypoint": name, "x": x, "y": y, **more} for name, (x, y) in zip(KEYPOINTS, marks, strict=True)]


def write_no_predictions(project):
    for name, schema in (
        ("frames", PredictedFrames),
        ("detections", Detections),
        ("keypoints", PredictedKeypoints),
        ("embeddings", Embeddings),
    ):
        tables.write(tables.empty(schema), schema, project.pose_predictions / f"{name}.parquet")
    write_backend(project, None)


def write_backend(project, weights):
    content = {"backend": "torch", "reason": "a test", "weights": weights, "differences": {}, "tolerances": {}}
    (project.pose_predictions / "backend.json").write_text(json.dumps(content))


def write_predictions(project, scale=1, seed=0):
    """A model that is nearly right: small errors, some missed and some false animals."""
    rng = np.random.default_rng(seed)
    frames, detections, keypoints, embeddings = [], [], [], []
    sampled = tables.read(project.frames / "frames.parquet", Frames)
    for video_id, frame in sampled[["video_id", "frame"]].itertuples(index=False):
        found = [
            (points(*animal, scale), float(rng.uniform(0.45, 0.99))) for animal in animals(video_id, frame, scale) if rng.random() > 0.06
        ]
        if rng.random() < 0.08:
            found.append((points(rng.uniform(30, 100, 2) * scale, 1.0, scale), float(rng.uniform(0.2, 0.5))))
        found.sort(key=lambda item: -item[1])
        for instance, (exact, confidence) in enumerate(found):
            marks = exact + rng.normal(0, 1.2 * scale, exact.shape)
            if rng.random() < 0.05:
                marks[3] += 18 * scale
            row = _box(video_id, frame, instance, corners(marks, scale))
            detections.append({**row, "confidence": confidence, "source": "weights", "p_mouse": confidence})
            keypoints += _marks(video_id, frame, instance, marks, {"confidence": confidence * 0.9})
        frames.append({"video_id": video_id, "frame": frame, "n_detections": len(found)})
        embeddings.append({"video_id": video_id, "frame": frame} | {f"e_{i}": value for i, value in enumerate(rng.normal(size=8))})
    folder = project.pose_predictions
    tables.write(tables.from_rows(frames, PredictedFrames), PredictedFrames, folder / "frames.parquet")
    tables.write(tables.from_rows(detections, Detections).astype({"p_mouse": "float32"}), Detections, folder / "detections.parquet")
    tables.write(tables.typed(pd.DataFrame(keypoints), PredictedKeypoints), PredictedKeypoints, folder / "keypoints.parquet")
    vectors = tables.from_rows(embeddings, Embeddings)
    columns = [name for name in vectors.columns if name.startswith("e_")]
    tables.write(vectors.astype(dict.fromkeys(columns, "float32")), Embeddings, folder / "embeddings.parquet")
    write_backend(project, "weights")


def write_gates(project):
    project.gates.mkdir(parents=True, exist_ok=True)
    for name in ("videos", "labels", "dataset", "predictions"):
        content = {"gate": name, "success": True, "counts": {"n_rows": 4}, "tables": {}, "warnings": {}, "notes": [], "overrides": {}}
        (project.gates / f"{name}.json").write_text(json.dumps(content))


def write_dataset(project):
    tables.write(tables.empty(PoseDataset), PoseDataset, project.pose_dataset / "index.parquet")
