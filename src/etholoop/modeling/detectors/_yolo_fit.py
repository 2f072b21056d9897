"""Training YOLO with Ultralytics' own loop, made silent, repeatable, and able to go on after a kill.

Every epoch draws its random numbers from its own seed and every state is kept in full precision, so a training that was
killed and resumed ends in the same bytes as one that ran through (for ``nbs`` not larger than the batch; with gradient
accumulation the epoch after the kill starts with fresh gradients).
"""

import io
import math
import random
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from ultralytics.data.augment import Mosaic
from ultralytics.models.yolo.detect import DetectionTrainer
from ultralytics.models.yolo.pose import PoseTrainer
from ultralytics.utils import LOGGER

from etholoop.errors import EthoLoopError
from etholoop.modeling.detectors import _yolo_checkpoint as checkpoint
from etholoop.modeling.detectors._yolo_recolour import Recolour
from etholoop.modeling.detectors._yolo_turn import QuarterTurn
from etholoop.modeling.precision import cast
from etholoop.modeling.records import Progress

if TYPE_CHECKING:
    from ultralytics.engine.trainer import BaseTrainer as _Trainer
else:
    _Trainer = object

NARROW_BELOW, NARROW_BY = 0.4, 0.8
"""Tried on rendered mice, 77 images from scratch."""

SAVE_EVERY_S = 20.0
"""A kill loses at most this much work and one epoch. Saving changes no result, so the clock may decide."""


@dataclass
class Plan:
    """What our training adds to Ultralytics' arguments, and what it leaves behind."""

    key: str
    """Digest of everything that decides the result; a saved state of another key is not resumed."""
    state_file: Path
    n_train: int
    n_val: int
    threads: int
    val_every: int
    seed: int
    tolerance: float
    """Least sigma of the keypoint loss; it falls as the network learns."""
    rot90: float = 0.0
    recolour: float = 0.0
    precision: str = "float32"
    """Of products on a CPU: float32 or bfloat16."""
    init_weights: Path | None = None
    progress: Progress | None = None
    curves: list[dict[str, float]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    best_fitness: float = -math.inf
    best_epoch: int = 0
    best_state: dict[str, torch.Tensor] = field(default_factory=dict)
    saved_at: float = 0.0


class Fit(_Trainer):
    """Our changes to a trainer of Ultralytics; mixed into the detect and the pose trainer."""

    def __init__(self, plan: Plan, overrides: dict[str, Any]):
        self.plan = plan
        # not empty: an empty dictionary would mean Ultralytics' default callbacks
        quiet: dict[str, list[Callable]] = defaultdict(list, {"on_train_epoch_start": [_start_epoch]})
        super().__init__(overrides=overrides, _callbacks=quiet)
        # the constructor has added Ultralytics' event reporting to what was given
        self.callbacks = quiet

    def get_model(self, cfg: Any = None, weights: Any = None, verbose: bool = True) -> torch.nn.Module:
        model = super().get_model(cfg, None, verbose=False)
        if self.plan.init_weights is not None:
            self.plan.notes += checkpoint.transfer(model, self.plan.init_weights)
        return model

    def resume_training(self, ckpt: Any) -> None:
        """Called by Ultralytics when everything is built and before the first epoch."""
        self._check_all_images_used()
        torch.set_num_threads(self.plan.threads)
        self._change_transforms()
        self._hasten()
        self.plan.saved_at = time.monotonic()
        state = load_state(self.plan)
        if state is not None:
            self._restore(state)

    def _hasten(self) -> None:
        """Channels last and a fused optimizer, which Ultralytics leaves out on a CPU: an eighth less time there."""
        for network in (self.model, self.ema.ema):
            network.to(memory_format=torch.channels_last)
        # the averaged weights were copied before and validate in float32
        self.model.predict = cast(self.model.predict, self.plan.precision)
        if isinstance(self.optimizer, torch.optim.Adam):  # AdamW is one
            for group in self.optimizer.param_groups:
                group["fused"] = True

    def preprocess_batch(self, batch: dict[str, Any]) -> dict[str, Any]:
        batch = super().preprocess_batch(batch)
        batch["img"] = batch["img"].contiguous(memory_format=torch.channels_last)
        return batch

    def _close_dataloader_mosaic(self) -> None:
        super()._close_dataloader_mosaic()
        self._change_transforms()

    def _change_transforms(self) -> None:
        """Our changes to the augmentations; needed again whenever Ultralytics has built them anew."""
        transforms = self.train_loader.dataset.transforms
        _draw_mosaics_from_all(transforms)
        # before the last one, which turns image and labels into tensors
        transforms.transforms.insert(-1, QuarterTurn(self.plan.rot90))
        transforms.transforms.insert(-1, Recolour(self.plan.recolour))

    def _restore(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.ema.ema.load_state_dict(state["ema"])
        self.ema.updates = state["updates"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.stopper.best_fitness, self.stopper.best_epoch = state["stopper"]
        self.best_fitness = state["stopper"][0] or None
        self.start_epoch = state["epoch"] + 1
        if hasattr(self.model, "init_criterion") and getattr(self.model.model[-1], "one2one_cv2", None) is not None:
            # the weights of YOLO26's two losses move with the epochs
            self.model.criterion = self.model.init_criterion()
            self.model.criterion.updates = self.start_epoch - 1
            self.model.criterion.update()

    def _check_all_images_used(self) -> None:
        """Ultralytics leaves out images with labels it does not like and says so only in its log."""
        used = {Path(name).stem for name in self.train_loader.dataset.im_files}
        given = {file.stem for file in Path(self.data["train"]).glob("*")}
        if used != given:
            lost = sorted(given - used)
            raise EthoLoopError(
                f"{len(lost)} of {len(given)} training images were refused by Ultralytics, first {lost[0]}: expected full-width "
                "label lines with values from 0 to 1. Correct the labels (`etholoop stage check_dataset` names the faults)."
            )

    def validate(self) -> tuple[Any, Any]:
        """Validate every ``val_every`` epochs and in the last one; never without validation images."""
        due = (self.epoch + 1) % self.plan.val_every == 0 or self.epoch + 1 >= self.epochs
        if not self.plan.n_val or not due:
            return self.metrics, None
        metrics, fitness = super().validate()
        return metrics, float(fitness)

    def _handle_nan_recovery(self, epoch: int) -> bool:
        if not torch.isfinite(self.loss).all():
            raise EthoLoopError(
                f"training diverged: the loss of epoch {epoch + 1} is not a number. Lower pose_train.settings.lr0 "
                f"(now {self.args.lr0}) or raise warmup_epochs; no model was written."
            )
        return False

    def save_metrics(self, metrics: dict[str, Any]) -> None:
        validated = self.fitness is not None
        row = {name: float(value) for name, value in metrics.items() if validated or not name.startswith(("metrics/", "val/"))}
        self.plan.curves.append({"epoch": float(self.epoch + 1), **row})

    def save_model(self) -> bool:
        """Keep the best weights, narrow the keypoint tolerance, keep the whole state if the last one is old."""
        plan = self.plan
        if plan.n_val == 0 or (self.fitness is not None and self.fitness >= plan.best_fitness):
            plan.best_state = {name: tensor.detach().cpu().clone() for name, tensor in self.ema.ema.state_dict().items()}
            plan.best_fitness = -math.inf if self.fitness is None else self.fitness
            plan.best_epoch = self.epoch + 1
        if "pose_loss" in self.tloss:
            plan.tolerance = next_tolerance(plan.tolerance, float(self.tloss["pose_loss"]) / self.args.pose)
        if self.stop or time.monotonic() - plan.saved_at >= SAVE_EVERY_S:
            save_state(self)
            plan.saved_at = time.monotonic()
        if plan.progress is not None:
            plan.progress(self.epoch + 1, self.epochs, plan.curves[-1])
        return True

    def final_eval(self) -> None:
        """Ultralytics would load and validate its best checkpoint once more; our evaluation is a stage of its own."""


class PoseFit(Fit, PoseTrainer):
    """Boxes and keypoints."""


class DetectFit(Fit, DetectionTrainer):
    """Boxes only."""


def _start_epoch(fit: Any) -> None:
    """Seed this epoch on its own, so that no earlier epoch is needed to repeat it."""
    seed = (fit.plan.seed * 1_000_003 + fit.epoch) % (1 << 31)
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    fit.train_loader.reset()
    fit.train_loader.generator.manual_seed(seed)
    _set_tolerance(fit)


def _set_tolerance(fit: Any) -> None:
    """Widen the sigmas of the keypoint loss for this epoch.

    The loss is ``1 - OKS``: with a mouse's small sigmas it is flat where an untrained network starts, half a body away, and
    nothing is learnt. Validation always uses the skeleton's own sigmas.
    """
    sigmas = getattr(fit.model, "kpt_oks_sigmas", None)
    if sigmas is None:
        return
    if getattr(fit.model, "criterion", None) is None:
        fit.model.criterion = fit.model.init_criterion()
    criterion = fit.model.criterion
    wide = torch.tensor(sigmas, dtype=torch.float32, device=fit.device).clamp(min=fit.plan.tolerance)
    for part in (criterion, getattr(criterion, "one2many", None), getattr(criterion, "one2one", None)):
        if part is not None and hasattr(part, "keypoint_loss"):
            part.keypoint_loss.sigmas = wide


def next_tolerance(tolerance: float, oks_loss: float) -> float:
    """Narrower when the mean ``1 - OKS`` of the epoch shows that most keypoints are inside the tolerance, else the same.

    Driven by the loss and not by the epoch: a narrowing that outruns the learning ends in the flat part of the loss.
    """
    return tolerance * NARROW_BY if oks_loss < NARROW_BELOW else tolerance


def _draw_mosaics_from_all(transform: Any) -> None:
    """Let mosaics take any image: by default they take recently loaded ones, which ties an epoch to those before it."""
    if isinstance(transform, Mosaic):
        transform.buffer_enabled = False
    for part in getattr(transform, "transforms", ()):
        _draw_mosaics_from_all(part)


def save_state(fit: Any) -> None:
    """Write everything that is needed to go on, atomically."""
    plan = fit.plan
    content = {
        "key": plan.key,
        "epoch": fit.epoch,
        "done": bool(fit.stop),
        "model": fit.model.state_dict(),
        "ema": fit.ema.ema.state_dict(),
        "updates": fit.ema.updates,
        "optimizer": fit.optimizer.state_dict(),
        "stopper": [float(fit.stopper.best_fitness), int(fit.stopper.best_epoch)],
        "curves": plan.curves,
        "tolerance": plan.tolerance,
        "best": [plan.best_fitness, plan.best_epoch, plan.best_state],
    }
    buffer = io.BytesIO()
    torch.save(content, buffer)
    plan.state_file.parent.mkdir(parents=True, exist_ok=True)
    temporary = plan.state_file.with_suffix(".new")
    temporary.write_bytes(buffer.getvalue())
    temporary.replace(plan.state_file)


def load_state(plan: Plan) -> dict[str, Any] | None:
    """State of an interrupted training of exactly this plan; its curves and best weights go into the plan."""
    if not plan.state_file.is_file():
        return None
    state = torch.load(plan.state_file, map_location="cpu", weights_only=True)
    if state["key"] != plan.key:
        return None
    plan.curves[:] = state["curves"]
    plan.tolerance = state["tolerance"]
    plan.best_fitness, plan.best_epoch, plan.best_state = state["best"]
    return state


def silence() -> None:
    """Ultralytics logs to the terminal; what people need to know comes back as notes."""
    LOGGER.setLevel("ERROR")
