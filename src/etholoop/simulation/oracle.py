"""An annotator who knows the truth of synthetic videos, with or without the slips of a human hand.

Answers are records of the label snapshot. All noise is drawn from a stream named by the frame, so the order of questions changes nothing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from etholoop.schema.columns import frame_uid
from etholoop.simulation import body, randomness, truth
from etholoop.simulation.scene import Scene
from etholoop.simulation.words import ethogram_yaml, skeleton_yaml

__all__ = ["HUMAN", "Noise", "answer", "behaviours", "ethogram_yaml", "skeleton_yaml"]

NOTE = "synthetic"
Record = dict[str, Any]


@dataclass(frozen=True)
class Noise:
    """How far a human hand strays.

    Args:
        keypoint_px: standard deviation of each coordinate of a visible keypoint; hidden ones are guessed twice as badly.
        box_px: standard deviation of each side of a box.
        miss_rate: share of animals overlooked; at least one is marked where one is in view.
        swap_rate: share of animals whose left and right are exchanged.
    """

    keypoint_px: float = 0.0
    box_px: float = 0.0
    miss_rate: float = 0.0
    swap_rate: float = 0.0

    def __post_init__(self) -> None:
        if self.keypoint_px < 0 or self.box_px < 0:
            raise ValueError(f"pixels of noise cannot be negative: {self}")
        if not (0 <= self.miss_rate <= 1 and 0 <= self.swap_rate <= 1):
            raise ValueError(f"rates lie between 0 and 1: {self}")


HUMAN = Noise(keypoint_px=0.5, box_px=0.5, miss_rate=0.005, swap_rate=0.005)
"""For animals of about 50 pixels: an annotator with a magnified picture clicks to within 1 percent of the body length and rarely slips."""


def answer(
    requests: Iterable[tuple[str, int]],
    scenes: Mapping[str, Scene],
    *,
    annotator: str = "oracle",
    noise: Noise | None = None,
    seed: int = 0,
) -> list[Record]:
    """Label the frames asked for, one record each, in the order asked.

    Args:
        requests: video id and frame number.
        scenes: the scene behind each video.
        noise: slips of the hand; None = the truth.
        seed: another seed is another hand.

    Raises:
        KeyError: a video that no scene is known for.
        IndexError: a frame that the video does not have.
    """
    records = []
    for video_id, number in requests:
        frame, scene = int(number), scenes[video_id]
        scene.check_frame(frame)
        uid = frame_uid(video_id, frame)
        instances = [_instance(scene, frame, animal, corners) for animal, corners in truth.visible_animals(scene, frame).items()]
        if noise is not None:
            instances = _with_slips(instances, noise, randomness.stream(seed, annotator, uid), scene)
        status = "animals" if instances else "no_animal"
        records.append({"uid": uid, "annotator": annotator, "status": status, "note": NOTE, "instances": instances})
    return records


def behaviours(video_id: str, scene: Scene, *, annotator: str = "oracle") -> list[Record]:
    """All bouts of a video as behaviour records, one per animal; the whole time in the arena was looked at."""
    table = truth.bouts(scene, video_id)
    records = []
    for number, subject in enumerate(scene.identities):
        present = np.flatnonzero(scene.motion.present[:, number])
        if not len(present):
            continue
        own = table.loc[table["subject"] == subject, ["behaviour", "start_frame", "stop_frame"]]
        marked = [{"behaviour": row[0], "start": int(row[1]), "stop": int(row[2])} for row in own.itertuples(index=False)]
        looked_at = [[int(present[0]), int(present[-1]) + 1]]
        records.append({"video": video_id, "subject": subject, "annotator": annotator, "looked_at": looked_at, "bouts": marked})
    return records


def _instance(scene: Scene, frame: int, animal: int, corners: tuple[float, ...]) -> Record:
    points, visibility = truth.keypoints_of(scene, frame, animal)
    marked = {
        name: [float(x), float(y), int(seen)] for name, (x, y), seen in zip(body.KEYPOINTS, points, visibility, strict=True) if seen > 0
    }
    return {"class": truth.SPECIES, "box": [float(side) for side in corners], "identity": scene.identities[animal], "keypoints": marked}


def _with_slips(instances: list[Record], noise: Noise, rng: np.random.Generator, scene: Scene) -> list[Record]:
    missed = rng.random(len(instances)) < noise.miss_rate
    if len(instances) and missed.all():
        missed[int(rng.integers(len(instances)))] = False
    slipped = [_slip(instance, noise, rng, scene) for instance in instances]
    return [instance for instance, gone in zip(slipped, missed, strict=True) if not gone]


def _slip(instance: Record, noise: Noise, rng: np.random.Generator, scene: Scene) -> Record:
    limit = np.array([scene.width, scene.height])
    box = np.array(instance["box"]) + noise.box_px * rng.normal(size=4)
    box = np.clip(box, 0, np.tile(limit, 2))
    if (box[2:] - box[:2] < 1).any():  # nobody draws a box without area
        box = np.array(instance["box"])
    points = {}
    for name, (x, y, seen) in instance["keypoints"].items():
        place = np.array([x, y]) + noise.keypoint_px * (1 if seen == truth.VISIBLE else 2) * rng.normal(size=2)
        place = np.clip(place, 0, limit - 1e-3)
        points[name] = [float(place[0]), float(place[1]), seen]
    if rng.random() < noise.swap_rate:
        points = {body.MIRROR.get(name, name): point for name, point in points.items()}
    return {**instance, "box": [float(side) for side in box], "keypoints": points}
