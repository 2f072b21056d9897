"""A small project with behaviour: a square that jumps, shakes or rests, in tiny videos, followed by tracks that are known exactly."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
from untouched import write_untouched

from etholoop.core.miniscene import windows
from etholoop.io import tables
from etholoop.io.video import write_video
from etholoop.project import Project
from etholoop.schema.annotations import Bouts, Boxes, LookedAt
from etholoop.schema.miniscenes import MiniScenes
from etholoop.schema.predictions import PredictedKeypoints
from etholoop.schema.splits import Splits
from etholoop.schema.tracks import TrackNames, Tracks
from etholoop.stages import manifest
from etholoop.stages.manifest import Params

ETHOGRAM = """
name: squares
behaviours:
  - {name: rest, definition: it stays where it is, exclusive_group: activity}
  - {name: shake, definition: it trembles, exclusive_group: activity}
  - {name: walk, definition: it goes steadily, exclusive_group: activity}
"""
BEHAVIOURS = ("rest", "shake", "walk")
WIDTH, HEIGHT, N_FRAMES, SIDE, SCENE = 96, 72, 120, 12, (40, 30)
SPLIT_OF = {"a": "train", "b": "train", "c": "val", "d": "test"}


def script(video_id: str, animal: int) -> np.ndarray:
    """Behaviour number of each frame: bouts of 15 frames."""
    rng = np.random.default_rng([ord(video_id), animal])
    order = [k for _ in range(4) for k in rng.permutation(3)][: N_FRAMES // 15]
    return np.repeat(order, 15)


def places(video_id: str, animal: int) -> np.ndarray:
    """Centre of an animal (n, 2) in each frame."""
    rng = np.random.default_rng([ord(video_id), animal, 1])
    doing, place, going, found = script(video_id, animal), np.array([24.0 + 48 * animal, 36.0]), 1.0, []
    for frame in range(N_FRAMES):
        if doing[frame] == 2:
            place = place + np.array([0, 1.5 * going])
            going = -going if not 16 < place[1] < HEIGHT - 16 else going
        shake = rng.choice([-4.0, 4.0], 2) if doing[frame] == 1 else 0.0
        found.append(place + shake)
    return np.array(found)


def picture(video_id: str, frame: int, centres: list[np.ndarray]) -> np.ndarray:
    image = np.full((HEIGHT, WIDTH, 3), 90 + 8 * (ord(video_id) % 5), np.uint8)
    image[::6] = 150
    image[:, ::6] = 150
    for animal, path in enumerate(centres):
        x, y = np.round(path[frame] - SIDE / 2).astype(int)
        image[max(y, 0) : y + SIDE, max(x, 0) : x + SIDE] = (220, 180 - 60 * animal, 40)
    return image


def new_project(root: Path, n_animals: int = 2, splits: dict[str, str] = SPLIT_OF, tracked: bool = True) -> Project:
    """Videos of 120 frames at 30 frames a second, everything looked at and named."""
    project = Project(root)
    for video_id in splits:
        centres = [places(video_id, animal) for animal in range(n_animals)]
        project.raw_videos.mkdir(parents=True, exist_ok=True)
        write_video(project.raw_videos / f"{video_id}.mp4", (picture(video_id, k, centres) for k in range(N_FRAMES)), Fraction(30))
    project.raw_images.mkdir(parents=True)
    project.metadata.write_text("path,session,subject,camera,start_time\n")
    manifest.run(project, Params())
    write_untouched(project)
    project.ethogram.parent.mkdir(parents=True)
    project.ethogram.write_text(ETHOGRAM)
    project.init_weights.mkdir(parents=True)
    write_splits(project, splits)
    write_tracks(project, list(splits) if tracked else [], n_animals)
    write_behaviour(project, list(splits), n_animals)
    return project


def write_splits(project: Project, splits: dict[str, str]) -> None:
    rows = [
        {"video_id": v, "group": v, "start_frame": 0, "stop_frame": N_FRAMES, "split": split, "mode": "group"}
        for v, split in splits.items()
    ]
    tables.write(tables.from_rows(rows, Splits), Splits, project.splits)


def write_tracks(project: Project, video_ids: list[str], n_animals: int, lost: range = range(0)) -> None:
    """Exact boxes; in the frames of ``lost`` the animals have none."""
    rows, names = [], []
    for video_id in video_ids:
        for animal in range(n_animals):
            for frame, centre in enumerate(places(video_id, animal)):
                if frame not in lost:
                    box = dict(zip(("x_min", "y_min", "x_max", "y_max"), [*(centre - SIDE / 2), *(centre + SIDE / 2)], strict=True))
                    place = {"video_id": video_id, "track": animal, "frame": frame, **box, "species": "square"}
                    rows.append({**place, "confidence": 0.9, "state": "detected", "instance": animal})
            own = {"video_id": video_id, "track": animal, "name": f"m{animal + 1}", "species": "square", "start_frame": 0}
            names.append({**own, "stop_frame": N_FRAMES, "n_detected": N_FRAMES, "n_interpolated": 0})
    table = tables.from_rows(rows, Tracks)
    tables.write(table, Tracks, project / "data/tracks/tracks.parquet")
    tables.write(tables.from_rows(names, TrackNames), TrackNames, project / "data/tracks/names.parquet")
    corners = ["x_min", "y_min", "x_max", "y_max"]
    scenes = table[["video_id", "track", "frame", *corners]].copy()
    scenes[corners] = windows(table[corners].to_numpy(), SCENE, 5) if len(table) else np.zeros((0, 4))
    tables.write(tables.typed(scenes, MiniScenes), MiniScenes, project / "data/miniscenes/miniscenes.parquet")


SKELETON = """
name: squares
species: [square]
keypoints:
  - {name: left}
  - {name: right}
edges: [[left, right]]
left_right: [[left, right]]
"""


def write_keypoints(project: Project, video_ids: list[str], n_animals: int) -> None:
    """Two keypoints of each square, at the ends of its middle line, seen in every frame."""
    project.skeleton.write_text(SKELETON)
    rows = []
    for video_id in video_ids:
        for animal in range(n_animals):
            for frame, (x, y) in enumerate(places(video_id, animal)):
                place = {"video_id": video_id, "frame": frame, "instance": animal}
                rows += [
                    {**place, "keypoint": name, "x": x + dx, "y": y, "confidence": 0.9} for name, dx in (("left", -6.0), ("right", 6.0))
                ]
    tables.write(tables.from_rows(rows, PredictedKeypoints), PredictedKeypoints, project.pose_predictions / "keypoints.parquet")


def write_behaviour(project: Project, video_ids: list[str], n_animals: int, looked_at: tuple[int, int] = (0, N_FRAMES)) -> None:
    """True bouts of every animal and the time that was looked at."""
    bouts, seen = [], []
    for video_id in video_ids:
        for animal in range(n_animals):
            subject = f"m{animal + 1}" if n_animals > 1 else ""
            for start in range(0, N_FRAMES, 15):
                behaviour = BEHAVIOURS[script(video_id, animal)[start]]
                row = {"video_id": video_id, "subject": subject, "behaviour": behaviour, "start_frame": start, "stop_frame": start + 15}
                bouts.append({**row, "confidence": np.nan, "source": "anna"})
            place = {"video_id": video_id, "subject": subject, "source": "anna"}
            seen.append({**place, "start_frame": looked_at[0], "stop_frame": looked_at[1]})
    tables.write(tables.from_rows(bouts, Bouts), Bouts, project.annotations / "bouts.parquet")
    tables.write(tables.from_rows(seen, LookedAt), LookedAt, project.annotations / "looked_at.parquet")
    tables.write(tables.empty(Boxes), Boxes, project.annotations / "boxes.parquet")


def read(project: Project, path: str) -> pd.DataFrame:
    return pd.read_parquet(project / path)
