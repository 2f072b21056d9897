"""Family posture: behaviour from keypoints and boxes of the tracked animals, and boosted trees. It looks at no pictures, so it is quick.

For projects with a pose model and tracks. What an animal does with others, such as following, it sees best: it knows where they all are.
"""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from etholoop.core.bouts import MULTICLASS, MULTILABEL
from etholoop.errors import EthoLoopError
from etholoop.modeling.behaviour._bodies import mirrored, present, spoiled
from etholoop.modeling.behaviour._body_words import Axis, learn_axis, words_of
from etholoop.modeling.behaviour._boosted_model import Boosting, fit_boosted
from etholoop.modeling.behaviour._grouped_classifier import Grouped, arrays_of, fit_grouped, from_arrays
from etholoop.modeling.behaviour._linear_model import NEVER
from etholoop.modeling.behaviour._motion_classifier import Make
from etholoop.modeling.behaviour._motion_examples import chosen_frames, groups_of_strips
from etholoop.modeling.behaviour._shared import BODIES, Init, Strip, Task, Trained, View
from etholoop.modeling.behaviour._training import FIGURES, clip_figures
from etholoop.modeling.behaviour.families._posture_settings import Params
from etholoop.modeling.records import Progress
from etholoop.modeling.refiners import _weights

__all__ = ["SEES", "VERSION", "Params", "Predictor", "reach", "train", "view"]

VERSION = 1
"""Raise it when the same inputs would give other results; it is part of the memo key."""

SEES = BODIES
FORMAT = "etholoop.behaviour.posture/1"
VAL_PER_BOUT, VAL_FRAMES = 20, 2000
TOGETHER = 256
"""Clips that are worked out together: memory stays small."""

SMALL = 0.02


def view(params: Params, init: Init | None) -> View:
    """It looks at no pictures."""
    return View(0)


def offsets_of(n_frames: int, every: int) -> np.ndarray:
    """Frames of a clip counted from the one it is for."""
    return every * (np.arange(n_frames) - n_frames // 2)


def reach(params: Params, init: Init | None) -> tuple[int, int]:
    """Frames before and after a labelled one that its clip needs."""
    offsets = offsets_of(params.n_frames, params.every)
    return -int(offsets[0]), int(offsets[-1])


@dataclass(frozen=True)
class Rule:
    """How rows are made of clips."""

    axis: Axis
    lengths: tuple[int, ...]

    def rows(self, clips: np.ndarray) -> np.ndarray:
        """Rows (n, F) float32 of bodies (n, t, 1 + M, 5 + 3 K): the moment itself, and over each length mean, spread and trend."""
        words = words_of(clips, self.axis)
        middle = words.shape[1] // 2
        columns = [words[:, middle]]
        for length in self.lengths:
            half = length // 2
            own = words[:, middle - half : middle + half + 1]
            columns.append(own.mean(axis=1))
            if half:
                columns += [np.log(own.std(axis=1) + SMALL), own[:, half + 1 :].mean(axis=1) - own[:, :half].mean(axis=1)]
        return np.concatenate(columns, axis=1).astype(np.float32)


def train(
    train_set: Sequence[Strip],
    val_set: Sequence[Strip],
    task: Task,
    params: Params,
    *,
    seed: int,
    out: Path,
    scratch: Path,
    init: Init | None = None,
    progress: Progress | None = None,
) -> Trained:
    """Learn from labelled clips and write the trees to ``out``; ``seed`` is that of the trees, all else has no chance in it.

    Raises:
        EthoLoopError: nothing to learn from, or weights to start from: there is nothing that they could start.
    """
    if init is not None:
        raise EthoLoopError(f"behaviour_train.weights names {init.where} for posture, which always learns anew. Leave it out.")
    offsets = offsets_of(params.n_frames, params.every)
    frames = chosen_frames(train_set, MULTILABEL, per_bout=params.per_bout, most=params.max_frames)
    if not sum(map(len, frames)):
        raise EthoLoopError(
            "the posture family found no labelled frame to learn from. Label behaviours in videos of the train split first."
        )
    labels = np.concatenate([strip.labels[own] for strip, own in zip(train_set, frames, strict=True)])
    rule = Rule(_axis(train_set, frames, offsets), params.lengths)
    if progress:
        progress(1, 3, {})
    rows, groups = _rows(train_set, frames, offsets, rule), _groups(train_set, frames)
    if params.twins:
        twin = Twin(task.mirror, params.twins, np.random.default_rng(seed))
        rows = np.concatenate([rows, _rows(train_set, frames, offsets, rule, twin)])
        labels, groups = np.tile(labels, (2, 1)), np.tile(groups, 2)
    if progress:
        progress(2, 3, {})
    boosting = Boosting(params.rounds, params.rate, params.leaves, params.smallest)
    make = partial(_candidates, boosting=boosting, seed=seed)
    grouped, losses = fit_grouped(rows, labels, groups, task, make, n_folds=params.folds)
    if progress:
        progress(3, 3, {})
    _weights.save(out, _content(grouped, rule, task, params))
    shutil.rmtree(scratch, ignore_errors=True)
    return _result(Fitted(grouped, rule, losses, labels, offsets), task, val_set)


def _candidates(head: str, *, boosting: Boosting, seed: int) -> dict[str, Make]:
    return {"boosted": partial(fit_boosted, head=head, boosting=boosting, seed=seed, never=NEVER)}


def _axis(strips: Sequence[Strip], frames: Sequence[np.ndarray], offsets: np.ndarray) -> Axis:
    """From some clips of every strip; a strip has as many others as its video, so only the animal itself is looked at."""
    some = [own[:: max(1, len(own) // 50)] for own in frames]
    clips = [clip[:, :, :1] for strip, own in zip(strips, some, strict=True) for clip in _clips(strip, own, offsets)]
    return learn_axis(np.concatenate(clips))


def _groups(strips: Sequence[Strip], frames: Sequence[np.ndarray]) -> np.ndarray:
    """What is held out together: recordings, for animals of one share what they do with each other; of few recordings strips."""
    names = sorted({strip.group for strip, own in zip(strips, frames, strict=True) if len(own)})
    if len(names) < 3:
        return groups_of_strips(frames)
    return np.concatenate([np.full(len(own), names.index(strip.group)) for strip, own in zip(strips, frames, strict=True) if len(own)])


def _clips(strip: Strip, frames: np.ndarray, offsets: np.ndarray) -> Iterator[np.ndarray]:
    """Clips (n, t, 1 + M, 5 + 3 K) around frames of a strip, some at a time."""
    for start in range(0, len(frames), TOGETHER):
        places = np.clip(frames[start : start + TOGETHER, None] + offsets, 0, len(strip.images) - 1)
        yield np.asarray(strip.images[places])


@dataclass(frozen=True)
class Twin:
    """How a second example is made of each: in a mirror, and seen by a worse pose model (:func:`spoiled`)."""

    mirror: tuple[int, ...]
    share: float
    rng: np.random.Generator

    def of(self, clips: np.ndarray, axis: Axis) -> np.ndarray:
        return spoiled(mirrored(clips, self.mirror), self.rng, (axis.front, axis.rear), self.share)


def _rows(strips: Sequence[Strip], frames: Sequence[np.ndarray], offsets: np.ndarray, rule: Rule, twin: Twin | None = None) -> np.ndarray:
    every = (clips for strip, own in zip(strips, frames, strict=True) for clips in _clips(strip, own, offsets))
    return np.concatenate([rule.rows(clips if twin is None else twin.of(clips, rule.axis)) for clips in every])


def _content(grouped: Grouped, rule: Rule, task: Task, params: Params) -> dict[str, Any]:
    """What the weights file holds: everything that use needs, and nothing else."""
    parts, arrays = arrays_of(grouped)
    return {
        "format": FORMAT,
        "behaviours": list(task.behaviours),
        "keypoints": list(task.keypoints),
        "every": params.every,
        "n_frames": params.n_frames,
        "lengths": list(params.lengths),
        "axis": [rule.axis.rear, rule.axis.front],
        "parts": parts,
        "arrays": {name: torch.from_numpy(np.array(array)) for name, array in sorted(arrays.items())},
    }


@dataclass(frozen=True)
class Fitted:
    """What training found, and what it learnt from."""

    grouped: Grouped
    rule: Rule
    losses: dict[str, float]
    labels: np.ndarray
    offsets: np.ndarray


def _result(fitted: Fitted, task: Task, val_set: Sequence[Strip]) -> Trained:
    grouped, rule, losses, labels, offsets = fitted.grouped, fitted.rule, fitted.losses, fitted.labels, fitted.offsets
    never = [name for name, n in zip(task.behaviours, (labels == 1).sum(axis=0), strict=True) if not n]
    notes = [f"Never seen in training, so never predicted: {', '.join(never)}."] if never else []
    if rule.axis.front >= 0 and task.keypoints:
        front, rear = task.keypoints[rule.axis.front], task.keypoints[rule.axis.rear]
        notes.append(f"The animal's axis runs from {rear} to {front}, as its walking shows.")
    notes += [f"Cross-validated loss of {name}: {loss:.3f}." for name, loss in losses.items()]
    loss = float(np.nanmean(list(losses.values()))) if losses else float("nan")
    metrics, curve = {"n_train_frames": float(len(labels)), "cv_loss": loss}, {"epoch": 1.0, "loss": loss}
    frames = chosen_frames(val_set, MULTILABEL, per_bout=VAL_PER_BOUT, most=VAL_FRAMES) if val_set else []
    if not sum(map(len, frames)):
        return Trained(metrics, [curve], [*notes, "No validation frames: nothing is known about other videos."])
    truth = np.concatenate([strip.labels[own] for strip, own in zip(val_set, frames, strict=True)])
    scores = grouped.probabilities(_rows(val_set, frames, offsets, rule))
    figures, confusion = clip_figures(_with_none(scores) if grouped.head == MULTICLASS else scores, truth, task.behaviours, grouped.head)
    val = {f"val_{name}": round(figures[name], 6) for name in FIGURES}
    return Trained(metrics | val | {"n_val_clips": float(len(truth))}, [curve | val], notes, confusion)


def _with_none(scores: np.ndarray) -> np.ndarray:
    """A last column with what is left, where there is anything left."""
    rest = 1 - scores.sum(axis=1, keepdims=True)
    return np.concatenate([scores, np.maximum(rest, 0)], axis=1) if (rest > 1e-4).any() else scores


class Predictor:
    """Trained trees in use. Clips are bodies (t, 1 + M, 5 + 3 K)."""

    sees = SEES

    def __init__(self, content: dict[str, Any]):
        self.grouped = from_arrays(content["parts"], {name: tensor.numpy() for name, tensor in content["arrays"].items()})
        self.head = self.grouped.head
        self.behaviours: tuple[str, ...] = tuple(content["behaviours"])
        self.keypoints: tuple[str, ...] = tuple(content["keypoints"])
        self.view = View(0)
        self.offsets = offsets_of(content["n_frames"], content["every"])
        self.rule = Rule(Axis(*content["axis"]), tuple(content["lengths"]))

    @classmethod
    def load(cls, path: Path, device: str = "cpu", backend: str = "torch") -> "Predictor":
        """Read what :func:`train` wrote; it is computed on the CPU, whatever ``device`` and ``backend`` say.

        Raises:
            EthoLoopError: no such file, a damaged one, or weights of something else.
        """
        if not path.is_file():
            raise EthoLoopError(f"{path}: behaviour weights not found. `etholoop repro` trains them.")
        content = _weights._plain(path, "cpu")
        if content is None or content.get("format") != FORMAT:
            raise EthoLoopError(
                f"{path}: expected weights of the family 'posture', found something else. Train it again: `etholoop repro`."
            )
        return cls(content)

    def clip(self, bodies: Sequence[np.ndarray]) -> np.ndarray:
        """A clip (t, 1 + M, 5 + 3 K) of bodies at the frames of ``offsets``."""
        return present(np.stack(bodies))

    def predict(self, clips: np.ndarray) -> np.ndarray:
        """Probabilities (n, K) float32 of clips (n, t, 1 + M, 5 + 3 K)."""
        return self.grouped.probabilities(self.rule.rows(clips))


def own_weights(path: Path) -> Init | None:
    """There is nothing to start from."""
    return None


def slowfast_config(values: dict[str, Any], where: str) -> dict[str, Any]:
    """A SlowFast checkpoint is of a network.

    Raises:
        EthoLoopError: always.
    """
    raise EthoLoopError(f"{where} is a checkpoint of a network; the family posture always learns anew. Leave behaviour_train.weights out.")
