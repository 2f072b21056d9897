"""The steps of EthoLoop's tracker, from detections to a track number for each of them."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from etholoop.core.tracking.chains import chain_numbers, links_of
from etholoop.core.tracking.cost import Judge, Scene, judge_of, scene_of
from etholoop.core.tracking.detections import DetectionFrames
from etholoop.core.tracking.linking import World, joined, pieces_of, rates
from etholoop.core.tracking.looks import looks_of
from etholoop.core.tracking.swaps import Encounters, encounters, given_back, repaired, taken, together
from etholoop.core.tracking.tracklets import tracklets

Index = NDArray[np.int64]
Floats = NDArray[np.float64]

SURE = 3.0
"""Nats at most for or against one detection: no detector knows better."""


ROUNDS = 6
"""The share of false detections is estimated at most so often; without false ones it settles in one round, else in three to five."""

ENOUGH = 1.2
"""An estimate that changes by less than this factor changes no decision worth the time."""


@dataclass(frozen=True)
class Options:
    """What is known beforehand.

    ``n_animals`` None = open world. ``confidence``: of it a detection is as likely an animal as not. ``least_keypoint``: keypoints of less
    confidence are missing. ``span_s``: open world, an animal lost for longer is a new one.
    """

    n_animals: int | None
    confidence: float
    least_keypoint: float
    span_s: float
    fps: float


def told_by(frames: DetectionFrames, options: Options) -> Floats:
    """Nats by which its confidence speaks for each detection being an animal, more than a usual one's does; no confidence = sure."""
    sure = np.clip(np.nan_to_num(frames.confidence, nan=1.0), 1e-4, 1 - 1e-4)
    told = np.clip(np.log(sure / (1 - sure)) - np.log(options.confidence / (1 - options.confidence)), -SURE, SURE)
    return told - np.median(told)


def surplus(frames: DetectionFrames, options: Options) -> float:
    """Share of detections that are false for sure: where more is detected than there are animals."""
    count = np.unique(frames.frame, return_counts=True)[1]
    most = np.quantile(count, 0.9) if options.n_animals is None else options.n_animals
    return float((np.maximum(count - most, 0).sum() + 1) / max(frames.n, 1))


def numbered(frames: DetectionFrames, options: Options) -> Index:
    """Track number of each detection by first appearance; -1 = no animal."""
    if not frames.n:
        return np.zeros(0, dtype=np.int64)
    track, judge = associated(frames, options)
    track = given_back(judge, track)
    track, _ = repaired(track, judge.scene, encounters(judge, track, looks_of(frames)))
    return track


def doubts(frames: DetectionFrames, track: Index, n_animals: int | None) -> Encounters:
    """Encounters in the tracks of any tracker, each with its probability that the two are exchanged there."""
    scene = scene_of(frames)
    _, model, miss = tracklets(scene, n_animals)
    judge = judge_of(model, scene, miss, links_of(track, scene.look))
    return together(encounters(judge, track, looks_of(frames)), taken(judge, track))


def associated(frames: DetectionFrames, options: Options) -> tuple[Index, Judge]:
    """Tracks before exchanges are put right, and what was learnt."""
    scene = scene_of(frames, options.least_keypoint)
    before, model, miss = tracklets(scene, options.n_animals)
    number = chain_numbers(before)
    judge = judge_of(model, scene, miss, before)
    told, world = told_by(frames, options), world_of(frames, scene, options)
    least = false = surplus(frames, options)
    for _ in range(ROUNDS):
        pieces = pieces_of(number, told - np.log(false))
        found = joined(judge, pieces, world)
        share, jump = rates(judge, pieces, world, found)
        share = max(least, share)
        if 1 / ENOUGH <= share / false <= ENOUGH:
            break
        # half way on a logarithmic scale: what one estimate throws out, the next one would take back
        false, world = float(np.sqrt(false * share)), replace(world, jump=float(np.sqrt(world.jump * jump)))
    return found.track[number], judge


def world_of(frames: DetectionFrames, scene: Scene, options: Options) -> World:
    """How large the place is, from the detections, and how many live there."""
    low, high = (np.quantile(scene.centre, q, axis=0) for q in (0.01, 0.99)) if frames.n else (np.zeros(2), np.ones(2))
    area = float(np.prod(np.maximum(high - low, scene.size_px)))
    span = np.inf if options.n_animals is not None else options.span_s * options.fps / frames.step
    return World(options.n_animals, area, span)
