"""The training loop of clip models: what is shown in which step follows from the seed and the number of the step alone."""

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from etholoop.core.bouts import MULTICLASS
from etholoop.core.metrics.behaviour import Judged, confusion_rows, figures_by_weight, gather
from etholoop.errors import EthoLoopError
from etholoop.modeling.behaviour import _losses, _sampling
from etholoop.modeling.behaviour._augment import Augment, changed, places
from etholoop.modeling.behaviour._quick_convs import quicken
from etholoop.modeling.behaviour._shared import Strip, Task
from etholoop.modeling.records import Progress
from etholoop.modeling.refiners import _weights

MAX_NORM = 5.0
"""Longer gradients are shortened to this length."""

MEAN, STD = 0.45, 0.225
"""SlowFast's normalisation of every channel (docs: 0.45 and 0.225)."""

FIGURES = ("accuracy_micro", "accuracy_macro", "f1_macro", "map")


@dataclass(frozen=True)
class Job:
    """All that decides the outcome of a training, and ``key``, its digest. ``settings`` is the section of the family."""

    train_set: Sequence[Strip]
    val_set: Sequence[Strip]
    task: Task
    head: str
    offsets: np.ndarray
    side: int
    settings: Any
    seed: int
    key: str
    n_outputs: int

    @property
    def n_steps(self) -> int:
        return int(self.settings.epochs * self.settings.epoch_steps)

    def augment(self) -> Augment:
        return Augment(**{name: getattr(self.settings, name) for name in Augment.__dataclass_fields__})


class Fit:
    """One training. ``averaged`` is a moving average over the steps; the one of the best epoch is kept."""

    def __init__(self, network: nn.Module, job: Job):
        self.job, self.s = job, job.settings
        self.network = network.to(self.s.device)
        if self.s.device == "cpu":
            quicken(self.network)
        self.averaged = copy.deepcopy(self.network).eval()
        self.pool = _sampling.pool_of(job.train_set, len(job.task.behaviours), self.s.balance)
        self.weights = self._loss_weights().to(self.s.device)
        self.augment = job.augment()
        self.optimizer = _optimizer(self.network, self.s)
        self.val_places = val_places(job)
        self.best: dict[str, Any] = {}

    def run(self, state_file: Path, progress: Progress | None) -> list[dict[str, float]]:
        """Train to the end, from the saved state if there is one; ``averaged`` then is the best epoch. Gives the figures of each epoch."""
        curves = self._resume(state_file)
        for epoch in range(len(curves), self.s.epochs):
            if self._is_over(curves):
                break
            curves.append(self._epoch(epoch))
            self._keep_best(curves[-1])
            self._save(state_file, curves)
            if progress:
                progress(epoch + 1, self.s.epochs, curves[-1])
        if self.best:
            self.averaged.load_state_dict(self.best["network"])
        return curves

    # --- one epoch ----------------------------------------------------------------------------------------------------------------

    def _epoch(self, epoch: int) -> dict[str, float]:
        self.network.train()
        n = self.s.epoch_steps
        losses = [self._step(step) for step in range(epoch * n, (epoch + 1) * n)]
        figures = {"epoch": epoch + 1.0, "loss": round(float(np.mean(losses)), 6), "lr": self._rate((epoch + 1) * n - 1)}
        return figures | (self.judge()[0] if self.val_places else {})

    def _step(self, step: int) -> float:
        clips, labels = self._batch(step)
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate(step)
        torch.manual_seed(self.job.seed * 1_000_003 + step)  # dropout, the same also after a kill
        loss = self._loss(self.network(clips), labels)
        if not torch.isfinite(loss):
            raise EthoLoopError(f"the loss is {loss.item()} in step {step + 1}. Lower the learning rate (lr) of this family.")
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), MAX_NORM)
        self.optimizer.step()
        self._average(step)
        return float(loss.item())

    def _batch(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        rng = np.random.default_rng([self.job.seed, 1, step])
        samples = [self._sample(rng) for _ in range(self.s.batch)]
        labels = torch.from_numpy(np.stack([label for _, label in samples])).to(self.s.device)
        return as_input(np.stack([clip for clip, _ in samples]), self.s.channel_order, self.s.device), labels

    def _sample(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        number, place = self.pool.draw(rng)
        strip, offsets = self.job.train_set[number], places(rng, self.job.offsets, self.augment)
        clip = changed(_sampling.clip_of(strip, place, offsets), rng, self.augment, self.job.side)
        return clip, _sampling.label_of(strip, place, offsets, self.s.clip_label == "union")

    def _loss(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        if self.job.head == MULTICLASS:
            return _losses.multiclass_loss(logits, labels, self.weights, self.s.label_smoothing)
        return _losses.multilabel_loss(logits, labels, self.weights, self.s.label_smoothing, self.s.focal_gamma)

    def _loss_weights(self) -> torch.Tensor:
        labels = np.concatenate([strip.labels for strip in self.job.train_set])
        positive, negative = torch.from_numpy((labels == 1).sum(axis=0)), torch.from_numpy((labels == 0).sum(axis=0))
        if self.job.head != MULTICLASS:
            return _losses.positive_weights(positive.float(), negative.float(), self.s.loss_balance)
        counts = torch.cat([positive, torch.tensor([int((labels == 0).all(axis=1).sum())])])
        return _losses.class_weights(counts[: self.job.n_outputs], self.s.loss_balance)

    def _rate(self, step: int) -> float:
        """Rises in a line, then falls along a cosine to a fiftieth."""
        rise = min(1.0, (step + 1) / max(1.0, self.s.warmup * self.job.n_steps))
        return float(self.s.lr * rise * (0.02 + 0.49 * (1 + math.cos(math.pi * step / self.job.n_steps))))

    @torch.no_grad()
    def _average(self, step: int) -> None:
        # quicker at first, so that the random start is forgotten
        decay = min(self.s.ema, (2 + step) / (11 + step))
        for kept, new in zip(self.averaged.state_dict().values(), self.network.state_dict().values(), strict=True):
            if kept.dtype.is_floating_point:
                kept.lerp_(new, 1 - decay)
            else:
                kept.copy_(new)

    # --- validation ---------------------------------------------------------------------------------------------------------------

    def judge(self) -> tuple[dict[str, float], list[dict[str, Any]]]:
        """Figures of the averaged network on the validation clips, and its confusions."""
        clips = [(self.job.val_set[number], place) for number, place in self.val_places]
        said, losses = [], []
        for start in range(0, len(clips), self.s.batch):
            part = clips[start : start + self.s.batch]
            labels = torch.from_numpy(np.stack([strip.labels[place] for strip, place in part])).to(self.s.device)
            pictures = [middle(_sampling.clip_of(strip, place, self.job.offsets), self.job.side) for strip, place in part]
            logits = self._logits(np.stack(pictures))
            losses.append(float(self._loss(logits, labels)) * len(part))
            said.append(probabilities(logits, self.job.head).cpu().numpy())
        scores = np.concatenate(said)
        truth = np.stack([strip.labels[place] for strip, place in clips])
        figures, rows = clip_figures(scores, truth, self.job.task.behaviours, self.job.head)
        return {"val_loss": round(sum(losses) / len(clips), 6)} | {f"val_{name}": round(figures[name], 6) for name in FIGURES}, rows

    @torch.no_grad()
    def _logits(self, clips: np.ndarray) -> torch.Tensor:
        self.averaged.eval()
        places_ = self.averaged.logits(as_input(clips, self.s.channel_order, self.s.device))  # type: ignore[operator]
        return places_.mean((1, 2, 3))

    def _keep_best(self, figures: dict[str, float]) -> None:
        if not self.val_places:
            return
        value = (figures["val_accuracy_macro"] + figures["val_map"]) / 2 if self.s.choose_by == "macro" else -figures["val_loss"]
        if not self.best or value > self.best["value"]:
            state = {name: tensor.detach().clone() for name, tensor in self.averaged.state_dict().items()}
            self.best = {"value": float(value), "epoch": int(figures["epoch"]), "network": state}

    def _is_over(self, curves: list[dict[str, float]]) -> bool:
        return bool(self.best) and self.s.patience is not None and len(curves) - self.best["epoch"] >= self.s.patience

    # --- states -------------------------------------------------------------------------------------------------------------------

    def _save(self, state_file: Path, curves: list[dict[str, float]]) -> None:
        parts = {"network": self.network.state_dict(), "averaged": self.averaged.state_dict(), "optimizer": self.optimizer.state_dict()}
        _weights.save(state_file, {"key": self.job.key, "curves": curves, "best": self.best, **parts})

    def _resume(self, state_file: Path) -> list[dict[str, float]]:
        saved = _weights.saved_state(state_file, self.job.key)
        if saved is None:
            return []
        self.network.load_state_dict(saved["network"])
        self.averaged.load_state_dict(saved["averaged"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.best = saved["best"]
        curves: list[dict[str, float]] = saved["curves"]
        return curves


def as_input(clips: np.ndarray, channel_order: str, device: str) -> torch.Tensor:
    """Clips (n, t, h, w, 3) uint8 RGB as the network wants them, (n, 3, t, h, w) float32."""
    tensor = torch.from_numpy(np.ascontiguousarray(clips)).to(device).permute(0, 4, 1, 2, 3).float()
    if channel_order == "bgr":
        tensor = tensor.flip(1)
    return ((tensor / 255 - MEAN) / STD).contiguous(memory_format=torch.channels_last_3d)


def middle(clip: np.ndarray, side: int) -> np.ndarray:
    """The middle square of a clip whose shorter side is ``side``."""
    height, width = clip.shape[1:3]
    y, x = (height - side) // 2, (width - side) // 2
    return clip[:, y : y + side, x : x + side]


def probabilities(logits: torch.Tensor, head: str) -> torch.Tensor:
    """Logits (n, C) → probabilities (n, C)."""
    return logits.softmax(-1) if head == MULTICLASS else logits.sigmoid()


def val_places(job: Job) -> list[_sampling.Place]:
    """Validation clips, evenly over behaviours."""
    pool = _sampling.pool_of(job.val_set, len(job.task.behaviours), 0.0) if job.val_set else None
    return _sampling.spread(pool, job.settings.val_clips) if pool and pool.classes else []


def clip_figures(
    scores: np.ndarray, truth: np.ndarray, behaviours: tuple[str, ...], head: str
) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """Figures of clips, each judged by the state that is most probable (multiclass) or by .5 (multilabel)."""
    n_behaviours = len(behaviours)
    if head == MULTICLASS:
        groups = [list(range(n_behaviours))]
        happens = scores.argmax(axis=1)[:, None] == np.arange(n_behaviours)[None]
    else:
        groups, happens = [[k] for k in range(n_behaviours)], scores[:, :n_behaviours] > 0.5
    animal = Judged("val", truth, scores[:, :n_behaviours], happens, np.zeros(len(truth), bool))
    sums = gather([animal], behaviours, groups)
    return figures_by_weight(sums)(np.ones(len(sums.videos))), confusion_rows(sums, groups)


def _optimizer(network: nn.Module, settings: Any) -> torch.optim.Optimizer:
    """Biases and normalisations are not decayed."""
    decayed = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}]
    if settings.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=settings.lr, momentum=0.9, nesterov=True)
    return torch.optim.AdamW(groups, lr=settings.lr)
