"""Family x3d: clips of one animal through an X3D network, from scratch or from Kinetics, KABR or earlier weights."""

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from etholoop.core.bouts import MULTICLASS
from etholoop.core.clips import ClipRule
from etholoop.errors import EthoLoopError
from etholoop.modeling.behaviour import _training
from etholoop.modeling.behaviour._clip_pixels import PixelRule
from etholoop.modeling.behaviour._shared import Init, Strip, Task, Trained, View, head_of
from etholoop.modeling.behaviour._training import Fit, Job
from etholoop.modeling.behaviour._x3d_predict import predictor
from etholoop.modeling.behaviour.families._x3d_settings import Params
from etholoop.modeling.behaviour.x3d import X3D, X3DConfig, config_from_slowfast, config_of_size, load_weights, new_network
from etholoop.modeling.records import Progress
from etholoop.modeling.refiners import _weights

__all__ = ["VERSION", "Params", "Predictor", "reach", "train", "view"]

VERSION = 1
"""Raise it when the same inputs would give other results; it is part of the memo key."""

FORMAT = "etholoop.behaviour.x3d/1"


def config_of(params: Params, init: Init | None, n_outputs: int, head: str) -> X3DConfig:
    """The network: what is set wins, then what the weights say, then the published size."""
    names = ("n_frames", "crop_px", "width_factor", "depth_factor", "dim_c1", "dim_c5")
    given = {name: getattr(params, name) for name in names if getattr(params, name) is not None}
    act = "softmax" if head == MULTICLASS else "sigmoid"
    fixed = {"dropout": params.dropout, "head_act": act}
    if init is not None and init.config is not None:
        return X3DConfig(**{**init.config, **given, **fixed, "n_classes": n_outputs})
    return config_of_size(params.size, n_outputs, **given, **fixed)


def view(params: Params, init: Init | None) -> View:
    """The pictures of each animal."""
    return View(config_of(params, init, 1, MULTICLASS).crop_px, params.fit)


def reach(params: Params, init: Init | None) -> tuple[int, int]:
    """Frames before and after a labelled one that clips may need, faster ones too."""
    offsets = offsets_of(config_of(params, init, 1, MULTICLASS).n_frames, params.every)
    fastest = float(np.exp(params.speed))
    return int(np.ceil(-offsets[0] * fastest)) + params.jitter, int(np.ceil(offsets[-1] * fastest)) + params.jitter


def offsets_of(n_frames: int, every: int) -> np.ndarray:
    """Frames of a clip counted from the one it is for; 16 frames 5 apart are -40 … 35, as miniscene2behavior takes them."""
    return ClipRule(n_frames, every).first + every * np.arange(n_frames)


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
    """Learn from labelled clips and write the weights of the best epoch to ``out``.

    A killed training goes on from ``scratch`` and comes to the same end. The same inputs, seed and number of threads give the same bytes
    on one kind of CPU.

    Raises:
        EthoLoopError: nothing to learn from, weights that do not fit, a loss that is not a number.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(params.threads or os.cpu_count() or 1)
    try:
        job, config, notes = _job(train_set, val_set, task, params, seed=seed, init=init)
        network = new_network(config, seed)
        notes += transfer(network, init, task.behaviours) if init else ["Started from scratch: all weights at random."]
        with torch.random.fork_rng(devices=[]):
            fit = Fit(network, job)
            curves = fit.run(scratch / "state.pt", progress)
        _weights.save(out, _content(fit.averaged, config, job))
        trained = _result(fit, curves, notes)
    finally:
        torch.set_num_threads(threads)
    shutil.rmtree(scratch, ignore_errors=True)
    return trained


def _job(
    train_set: Sequence[Strip], val_set: Sequence[Strip], task: Task, params: Params, *, seed: int, init: Init | None
) -> tuple[Job, X3DConfig, list[str]]:
    labels = [strip.labels for strip in train_set]
    if not any((part >= 0).any() for part in labels):
        raise EthoLoopError("the x3d family found no labelled frame to learn from. Label behaviours in videos of the train split first.")
    head = head_of(params.head, task, labels)
    none = any((part == 0).all(axis=1).any() for part in labels)
    n_outputs = len(task.behaviours) + (head == MULTICLASS and none)
    config = config_of(params, init, n_outputs, head)
    never = [name for k, name in enumerate(task.behaviours) if not any((part[:, k] == 1).any() for part in labels)]
    notes = [f"Never seen in training, so never predicted with reason: {', '.join(never)}."] if never else []
    offsets = offsets_of(config.n_frames, params.every)
    ingredients = {
        "settings": params.model_dump(),
        "config": asdict(config),
        "task": [list(task.behaviours), list(task.exclusive)],
        "seed": seed,
        "init": init.sha256 if init else None,
    }
    key = _key(train_set, val_set, ingredients)
    return Job(train_set, val_set, task, head, offsets, config.crop_px, params, seed, key, n_outputs), config, notes


def transfer(network: X3D, init: Init, behaviours: tuple[str, ...]) -> list[str]:
    """Start from weights: all of them but the last layer, which is kept only where it is known to be of the same behaviours in order.

    A checkpoint of SlowFast does not say which class is which, and lists of names that travel with one may be in another order.

    Raises:
        EthoLoopError: the weights are of another network.
    """
    own = network.state_dict()
    fits = init.behaviours == behaviours
    state = {name.removeprefix("module."): tensor for name, tensor in init.state.items()}
    last = [name for name in own if name.startswith("head.projection.")]
    other = [name for name in last if name in state and (not fits or state[name].shape != own[name].shape)]
    notes = load_weights(network, {**state, **{name: own[name] for name in other}}, init.where)
    new = f"; the last layer is new ({own[last[0]].shape[0]} classes)" if other else ""
    return [*notes, f"Started from {init.where}{new}."]


def _key(train_set: Sequence[Strip], val_set: Sequence[Strip], ingredients: dict[str, Any]) -> str:
    """Digest of all that decides the outcome; a state saved under another key is not gone on from."""
    data = hashlib.sha256()
    for strip in (*train_set, *val_set):
        data.update(json.dumps([strip.name, list(strip.images.shape)]).encode())
        data.update(np.ascontiguousarray(strip.labels).tobytes())
    fixed = {"version": VERSION, "torch": torch.__version__, "threads": torch.get_num_threads(), "n_val": len(val_set)}
    text = json.dumps({**fixed, **ingredients, "data": data.hexdigest()}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _content(network: torch.nn.Module, config: X3DConfig, job: Job) -> dict[str, Any]:
    """What the weights file holds: everything that use needs, and nothing else."""
    return {
        "format": FORMAT,
        "config": asdict(config),
        "behaviours": list(job.task.behaviours),
        "head": job.head,
        "every": job.settings.every,
        "fit": job.settings.fit,
        "channel_order": job.settings.channel_order,
        "weights": _weights.canonical(network),
    }


def _result(fit: Fit, curves: list[dict[str, float]], notes: list[str]) -> Trained:
    job = fit.job
    n_clips = sum(int((strip.labels >= 0).any(axis=1).sum()) for strip in job.train_set)
    metrics = {"n_train_frames": float(n_clips), "n_val_clips": float(len(fit.val_places)), "epochs": float(len(curves))}
    metrics |= {"loss": curves[-1]["loss"], "kept_epoch": float(fit.best.get("epoch", len(curves)))}
    if not fit.val_places:
        return Trained(metrics, curves, [*notes, "No validation clips: the last epoch was kept, nothing is known about other videos."])
    figures, confusion = fit.judge()
    return Trained(metrics | figures, curves, notes, confusion)


class Predictor:
    """A trained network in use."""

    def __init__(self, network: X3D, content: dict[str, Any], device: str, backend: str):
        self.network = network.to(device).eval()
        self.device = device
        self.behaviours: tuple[str, ...] = tuple(content["behaviours"])
        self.head: str = content["head"]
        self.view = View(network.config.crop_px, content["fit"])
        self.offsets = offsets_of(network.config.n_frames, int(content["every"]))
        self.channel_order: str = content["channel_order"]
        rule = PixelRule(network.config.crop_px)
        self._one = predictor(network, rule, n_clips=1, step=1, backend=backend) if device == "cpu" else None

    @classmethod
    def load(cls, path: Path, device: str = "cpu", backend: str = "torch") -> "Predictor":
        """Read weights that :func:`train` wrote.

        Args:
            backend: torch, openvino, or auto = OpenVINO on a CPU where it is installed; a GPU is always torch's.

        Raises:
            EthoLoopError: no such file, a damaged one, or weights of something else.
        """
        content = _read(path, device)
        network = X3D(X3DConfig(**content["config"]))
        network.load_state_dict(content["weights"])
        return cls(network, content, device, backend)

    @torch.no_grad()
    def predict(self, clips: np.ndarray) -> np.ndarray:
        """Probabilities (n, K) float32 of clips (n, t, h, w, 3) uint8 RGB.

        A CPU takes one clip after the other: no slower, and what is said of a clip does not depend on its neighbours in the batch.
        """
        if self._one is not None:
            ordered = clips[..., ::-1] if self.channel_order == "bgr" else clips
            each = [self._one(np.ascontiguousarray(clip)) for clip in ordered]
            return np.concatenate(each)[:, : len(self.behaviours)]
        tensor = _training.as_input(clips, self.channel_order, self.device)
        with torch.autocast("cuda", torch.float16, enabled=self.device.startswith("cuda")):
            found = self.network(tensor)
        return np.asarray(found.float().cpu().numpy()[:, : len(self.behaviours)])


def own_weights(path: Path) -> Init | None:
    """Weights that :func:`train` wrote, to start from; None for a file of something else."""
    content = _weights._plain(path, "cpu")
    if content is None or content.get("format") != FORMAT:
        return None
    return Init(content["weights"], path.name, str(_weights.file_digest(path)), content["config"], tuple(content["behaviours"]))


def slowfast_config(values: dict[str, Any], where: str) -> dict[str, Any]:
    """The network of a SlowFast configuration with dotted keys, as an :class:`Init` holds it."""
    return asdict(config_from_slowfast(values, where))


def _read(path: Path, device: str) -> dict[str, Any]:
    if not path.is_file():
        raise EthoLoopError(f"{path}: behaviour weights not found. `etholoop repro` trains them.")
    content = _weights._plain(path, device)
    if content is None or content.get("format") != FORMAT:
        raise EthoLoopError(f"{path}: expected weights of the family 'x3d', found something else. Train it again: `etholoop repro`.")
    return content
