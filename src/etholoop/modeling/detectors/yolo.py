"""YOLOv8, YOLO11 and YOLO26 of Ultralytics as detector or pose model.

A skeleton without keypoints trains the detect variant of the architecture.
"""

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from etholoop.errors import EthoLoopError
from etholoop.modeling.detectors import _yolo_checkpoint as checkpoint
from etholoop.modeling.detectors import _yolo_data as data
from etholoop.modeling.detectors import _yolo_fit as fit
from etholoop.modeling.detectors._yolo_exported import VERSION
from etholoop.modeling.detectors._yolo_predict import Predictor
from etholoop.modeling.detectors._yolo_settings import Params, resolve
from etholoop.modeling.precision import resolved
from etholoop.modeling.records import Progress, TrainResult
from etholoop.schema.skeleton import Skeleton

__all__ = ["VERSION", "Params", "Predictor", "train"]


@dataclass(frozen=True)
class _Job:
    """One training, its settings resolved."""

    params: Params
    arch: str
    seed: int
    n_train: int
    n_val: int


def architecture(arch: str, skeleton: Skeleton) -> str:
    """The pose or the detect variant, as the skeleton has keypoints or not."""
    plain = arch.removesuffix("-pose")
    return f"{plain}-pose" if skeleton.keypoints else plain


def train(
    dataset: Path,
    out: Path,
    scratch: Path,
    skeleton: Skeleton,
    params: Params,
    *,
    init_weights: Path | None,
    seed: int,
    progress: Progress | None = None,
) -> TrainResult:
    """Train on ``dataset`` (images/, labels/, data.yaml) and write the checkpoint ``out``.

    The data set is never written to: the work happens in ``scratch``, from where a killed training goes on. Without
    validation images the last weights are kept, otherwise the best. The same inputs give the same bytes on one kind of CPU.

    Raises:
        EthoLoopError: weights that do not fit, images that cannot be used, a loss that is not a number.
    """
    fit.silence()
    n_train, n_val = len(data.images_of(dataset, "train")), len(data.images_of(dataset, "val"))
    if n_train == 0:
        raise EthoLoopError(f"{dataset}: no training images. Label frames of training sessions first.")
    job = _Job(resolve(params, n_train + n_val), architecture(params.arch, skeleton), seed, n_train, n_val)
    plan = _plan(job, dataset, scratch, init_weights, progress)
    trained = _run(job, plan, dataset, scratch, bool(skeleton.keypoints))
    facts = {
        "species": list(skeleton.species),
        "keypoints": list(skeleton.keypoint_names),
        "flip_index": list(skeleton.flip_index),
        "imgsz": job.params.imgsz,
    }
    state = {name: torch.nan_to_num(tensor.half()) if tensor.is_floating_point() else tensor for name, tensor in plan.best_state.items()}
    train_args = {"task": "pose" if skeleton.keypoints else "detect", "imgsz": job.params.imgsz, "seed": seed, "model": f"{job.arch}.yaml"}
    checkpoint.write(out, checkpoint.canonical(trained, state, job.arch, train_args, facts))
    shutil.rmtree(scratch)
    return _result(job, plan, checkpoint.state_digest(state))


def _plan(job: _Job, dataset: Path, scratch: Path, init_weights: Path | None, progress: Progress | None) -> fit.Plan:
    threads = job.params.threads or os.cpu_count() or 1
    precision = "float32" if torch.cuda.is_available() else resolved(job.params.precision)
    ingredients = {
        "settings": job.params.model_dump(),
        "arch": job.arch,
        "seed": job.seed,
        "data": data.digest(dataset),
        "init": hashlib.sha256(init_weights.read_bytes()).hexdigest() if init_weights and init_weights.is_file() else str(init_weights),
        "threads": threads,
        "precision": precision,
        "torch": torch.__version__,
        "version": VERSION,
    }
    key = hashlib.sha256(json.dumps(ingredients, sort_keys=True).encode()).hexdigest()
    return fit.Plan(
        key,
        scratch / "state.pt",
        job.n_train,
        job.n_val,
        threads,
        job.params.val_every,
        job.seed,
        job.params.keypoint_tolerance,
        job.params.rot90,
        job.params.recolour,
        precision,
        init_weights,
        progress,
    )


def _run(job: _Job, plan: fit.Plan, dataset: Path, scratch: Path, pose: bool) -> torch.nn.Module:
    """Train, or go on where a killed training stopped; gives a model of the trained structure."""
    shutil.rmtree(scratch / "data", ignore_errors=True)
    shutil.rmtree(scratch / "run", ignore_errors=True)
    content = data.prepare(dataset, scratch / "data", job.params.imgsz)
    threads = torch.get_num_threads()
    try:
        trainer = (fit.PoseFit if pose else fit.DetectFit)(plan, _overrides(job, content, scratch))
        trainer.train()
    finally:
        torch.set_num_threads(threads)
    return trainer.ema.ema


def _overrides(job: _Job, content: Path, scratch: Path) -> dict[str, Any]:
    """Arguments for Ultralytics."""
    renamed = {"pose_gain", "box_gain", "cls_gain", "nbs", "patience"}
    own = {"arch", "preset", "val_every", "threads", "precision", "keypoint_tolerance", "rot90", "recolour", *renamed}
    settings = {name: value for name, value in job.params.model_dump().items() if name not in own}
    return {
        **settings,
        "model": f"{job.arch}.yaml",
        "data": str(content.resolve()),
        "project": str(scratch.resolve()),
        "name": "run",
        "exist_ok": True,
        "pretrained": False,
        "nbs": job.params.nbs or job.params.batch,
        "patience": job.params.patience or job.params.epochs,
        "pose": job.params.pose_gain,
        "box": job.params.box_gain,
        "cls": job.params.cls_gain,
        "val": job.n_val > 0,
        "seed": job.seed,
        "deterministic": True,
        "plots": False,
        "cache": False,
        "verbose": False,
        "device": "0" if torch.cuda.is_available() else "cpu",
    }


def _result(job: _Job, plan: fit.Plan, digest: str) -> TrainResult:
    curves = [{plain_name(name): value for name, value in row.items()} for row in plan.curves]
    metrics = {name: value for name, value in curves[-1].items() if name.startswith("train_")}
    metrics |= {"epochs_run": float(len(curves)), "best_epoch": float(plan.best_epoch)}
    notes = list(plan.notes) or (["Started from scratch: all weights at random."] if plan.init_weights is None else [])
    if job.n_val == 0:
        notes.append("No validation images: trained without early stopping, the last weights are kept.")
    else:
        metrics |= {name: value for name, value in curves[plan.best_epoch - 1].items() if name.startswith("val_")}
        notes.append(f"Weights of epoch {plan.best_epoch} of {len(curves)}, the best on {job.n_val} validation images.")
    notes.append(f"State of the weights: {digest}.")
    return TrainResult(metrics, curves, notes)


def plain_name(name: str) -> str:
    """``metrics/mAP50(B)`` → ``val_box_mAP50``, ``train/pose_loss`` → ``train_pose_loss``, ``lr/pg0`` → ``lr_pg0``."""
    for letter, part in (("B", "box"), ("P", "pose")):
        if name.startswith("metrics/") and name.endswith(f"({letter})"):
            return f"val_{part}_{name[8:-3]}"
    return name.replace("/", "_")
