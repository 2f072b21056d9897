"""Family motion: shape and movement of the animal, measured in its pictures, and a classifier. For few labels and any CPU.

Nothing is learnt but the weights of the classifier and, from animals that walk, which end of an animal is its head. Everything is measured
along and across the animal's own axis, so that turns to the left and to the right differ and the direction it faces does not matter.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from etholoop.core.bouts import MULTICLASS
from etholoop.errors import EthoLoopError
from etholoop.modeling.behaviour._linear_model import Linear
from etholoop.modeling.behaviour._motion_classifier import Chosen, Classifier, Examples, candidates, choose
from etholoop.modeling.behaviour._motion_clips import Clips, learn_head, rows_of
from etholoop.modeling.behaviour._motion_examples import chosen_frames, clips_of_strip, groups_of_strips, targets_of
from etholoop.modeling.behaviour._motion_pairs import Look, of_clip
from etholoop.modeling.behaviour._pictures import shape
from etholoop.modeling.behaviour._shared import Init, Strip, Task, Trained, View, head_of
from etholoop.modeling.behaviour._training import FIGURES, clip_figures
from etholoop.modeling.behaviour._trees_model import Trees
from etholoop.modeling.behaviour.families._motion_settings import Params
from etholoop.modeling.records import Progress
from etholoop.modeling.refiners import _weights

__all__ = ["VERSION", "Params", "Predictor", "reach", "train", "view"]

VERSION = 1
"""Raise it when the same inputs would give other results; it is part of the memo key."""

FORMAT = "etholoop.behaviour.motion/1"

VAL_PER_BOUT, VAL_FRAMES = 20, 2000


def view(params: Params, init: Init | None) -> View:
    """The pictures of each animal."""
    return View(params.crop_px, params.fit)


def offsets_of(n_pictures: int, every: int) -> np.ndarray:
    """Frames of a clip counted from the one it is for, and one picture before: the first of the clip is compared with it."""
    return every * (np.arange(n_pictures + 1) - n_pictures // 2 - 1)


def reach(params: Params, init: Init | None) -> tuple[int, int]:
    """Frames before and after a labelled one that its clip needs."""
    offsets = offsets_of(params.n_pictures, params.every)
    return -int(offsets[0]), int(offsets[-1])


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
    """Learn from labelled clips and write the classifier to ``out``; ``seed`` is that of its trees, all else has no chance in it.

    Raises:
        EthoLoopError: nothing to learn from, or weights to start from: there is nothing that they could start.
    """
    if init is not None:
        raise EthoLoopError(f"behaviour_train.weights names {init.where} for motion, which always learns anew. Leave it out.")
    fitted = _fit(train_set, task, params, seed, progress)
    _weights.save(out, _content(fitted.chosen.classifier, fitted.axis, task, params))
    shutil.rmtree(scratch, ignore_errors=True)
    return _result(fitted, val_set, task)


@dataclass(frozen=True)
class Fitted:
    """The classifier and all that was found on the way to it."""

    chosen: Chosen
    axis: np.ndarray
    rule: Clips
    offsets: np.ndarray
    labels: np.ndarray


def _fit(train_set: Sequence[Strip], task: Task, params: Params, seed: int, progress: Progress | None) -> Fitted:
    head = head_of(params.head, task, [strip.labels for strip in train_set])
    offsets, rule = offsets_of(params.n_pictures, params.every), Clips(params.n_pictures, tuple(n // 2 for n in params.lengths))
    frames = chosen_frames(train_set, head, per_bout=params.per_bout, most=params.max_frames)
    if not sum(map(len, frames)):
        raise EthoLoopError("the motion family found no labelled frame to learn from. Label behaviours in videos of the train split first.")
    clips = []
    for number, (strip, own) in enumerate(zip(train_set, frames, strict=True)):
        clips.append(clips_of_strip(strip, own, offsets))
        if progress:
            progress(number + 1, len(train_set), {})
    values, labels = np.concatenate(clips), np.concatenate([strip.labels[own] for strip, own in zip(train_set, frames, strict=True)])
    axis = learn_head(values.reshape(-1, values.shape[-1])).astype(np.float32)
    none = head == MULTICLASS and bool((labels == 0).all(axis=1).any())
    examples = Examples(rows_of(values, axis, rule), targets_of(labels, len(task.behaviours) + none), groups_of_strips(frames))
    tried = candidates(head, params.strengths, params.trees, balance=params.balance, seed=seed)
    return Fitted(choose(examples, head, tried, n_folds=params.folds), axis, rule, offsets, labels)


def _content(classifier: Classifier, axis: np.ndarray, task: Task, params: Params) -> dict[str, Any]:
    """What the weights file holds: everything that use needs, and nothing else."""
    arrays = {**classifier.model.arrays(), "head_of_axis": axis}
    return {
        "format": FORMAT,
        "behaviours": list(task.behaviours),
        "head": classifier.head,
        "temperature": classifier.temperature,
        "classifier": "trees" if isinstance(classifier.model, Trees) else "linear",
        **{name: getattr(params, name) for name in ("every", "n_pictures", "crop_px", "fit")},
        "lengths": list(params.lengths),
        "arrays": {name: torch.from_numpy(np.array(array)) for name, array in sorted(arrays.items())},
    }


def _result(fitted: Fitted, val_set: Sequence[Strip], task: Task) -> Trained:
    chosen, labels = fitted.chosen, fitted.labels
    n_each = (labels == 1).sum(axis=0)
    never = [name for name, n in zip(task.behaviours, n_each, strict=True) if not n]
    notes = [f"Never seen in training, so never predicted: {', '.join(never)}."] if never else []
    if not fitted.axis.any():
        notes.append("Too few pictures show a walking animal: which end is the head follows from single clips, and errs where it stands.")
    tried = ", ".join(f"{name}: {loss:.3f}" for name, loss in chosen.losses.items())
    notes.append(f"{chosen.name.capitalize()} by cross-validated loss ({tried}), temperature {chosen.classifier.temperature:.2f}.")
    best = chosen.losses[chosen.name]
    metrics = {"n_train_frames": float(len(labels)), "cv_loss": best}
    curve = {"epoch": 1.0, "loss": best}
    frames = chosen_frames(val_set, chosen.classifier.head, per_bout=VAL_PER_BOUT, most=VAL_FRAMES) if val_set else []
    if not sum(map(len, frames)):
        return Trained(metrics, [curve], [*notes, "No validation frames: nothing is known about other videos."])
    clips = np.concatenate([clips_of_strip(strip, own, fitted.offsets) for strip, own in zip(val_set, frames, strict=True)])
    truth = np.concatenate([strip.labels[own] for strip, own in zip(val_set, frames, strict=True)])
    scores = chosen.classifier.probabilities(rows_of(clips, fitted.axis, fitted.rule))
    figures, confusion = clip_figures(scores, truth, task.behaviours, chosen.classifier.head)
    val = {f"val_{name}": round(figures[name], 6) for name in FIGURES}
    return Trained(metrics | val | {"n_val_clips": float(len(truth))}, [curve | val], notes, confusion)


class Predictor:
    """A trained classifier in use. Clips are rows of values (t, D), which :meth:`clip` makes of what :meth:`see` returns."""

    def __init__(self, content: dict[str, Any]):
        arrays = {name: tensor.numpy() for name, tensor in content["arrays"].items()}
        self.axis = arrays.pop("head_of_axis")
        self.head: str = content["head"]
        model = Trees.of_arrays(arrays, self.head) if content["classifier"] == "trees" else Linear(**arrays)
        self.classifier = Classifier(model, content["temperature"], self.head)
        self.behaviours: tuple[str, ...] = tuple(content["behaviours"])
        self.view = View(content["crop_px"], content["fit"])
        self.offsets = offsets_of(content["n_pictures"], content["every"])
        self.rule = Clips(content["n_pictures"], tuple(n // 2 for n in content["lengths"]))

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
            raise EthoLoopError(f"{path}: expected weights of the family 'motion', found something else. Train it again: `etholoop repro`.")
        return cls(content)

    def see(self, picture: np.ndarray, window: np.ndarray) -> Look:
        """What is kept of a picture (h, w, 3) that shows a window (4,)."""
        return Look(picture, shape(window, self.view))

    def clip(self, looks: Sequence[Look]) -> np.ndarray:
        """Values (t, D) of looks at the frames of ``offsets``."""
        return of_clip(looks)

    def predict(self, clips: np.ndarray) -> np.ndarray:
        """Probabilities (n, K) float32 of clips (n, t, D)."""
        # one after the other: what is said of a clip does not depend on its neighbours in the batch
        each = [self.classifier.probabilities(rows_of(clip[None], self.axis, self.rule)) for clip in clips]
        return np.concatenate(each)[:, : len(self.behaviours)]


def own_weights(path: Path) -> Init | None:
    """There is nothing to start from."""
    return None


def slowfast_config(values: dict[str, Any], where: str) -> dict[str, Any]:
    """A SlowFast checkpoint is of a network.

    Raises:
        EthoLoopError: always.
    """
    raise EthoLoopError(f"{where} is a checkpoint of a network; the family motion always learns anew. Leave behaviour_train.weights out.")
