"""The training loop of the heatmap refiner: what is shown in which step follows from the seed and the number of the step alone."""

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from etholoop.errors import EthoLoopError
from etholoop.modeling.precision import cast, resolved
from etholoop.modeling.recolour import recoloured
from etholoop.modeling.records import Progress
from etholoop.modeling.refiners import _crops, _readout, _weights
from etholoop.modeling.refiners._heatmap_settings import Params
from etholoop.modeling.refiners._instances import Instance, Patches

MAX_NORM = 5.0
"""Longer gradients are shortened to this length."""

CHUNK = 16
"""Animals that are judged together."""

MAX_LOOKED_AT = 64
"""So many validation animals, evenly spread, are looked at after each epoch."""


@dataclass(frozen=True)
class Job:
    """All that decides the outcome of a training, and ``key``, its digest."""

    train_set: Sequence[Instance]
    val_set: Sequence[Instance]
    flip_index: tuple[int, ...]
    params: Params
    seed: int
    key: str

    @property
    def n_epochs(self) -> int:
        """Whole epochs: those of the settings, or fewer (but ``least_epochs``) once each animal has been shown ``passes`` times."""
        p = self.params
        enough = math.inf if p.passes is None else math.ceil(p.passes * len(self.train_set) / (p.batch * p.epoch_steps))
        return int(min(p.epochs, max(p.least_epochs, enough)))

    @property
    def n_steps(self) -> int:
        return self.n_epochs * self.params.epoch_steps

    def reading(self, views: _readout.Views = _readout.VIEWS[:1]) -> _readout.Reading:
        return _readout.Reading(self.flip_index, self.params.sigma_px, views, self.params.device)


class Fit:
    """One training. ``averaged`` is the network that is kept: a moving average over the steps."""

    def __init__(self, network: nn.Module, job: Job):
        self.job, self.params, self.patches = job, job.params, Patches()
        self.network = network.to(self.params.device)
        # channels last and one fused step: a quarter less time on a CPU
        self.network.to(memory_format=torch.channels_last)
        self.averaged = copy.deepcopy(self.network).eval()
        pairs = list(zip(self.averaged.state_dict().values(), self.network.state_dict().values(), strict=True))
        # of the averaged network and of the one that learns; loading a state fills these same tensors
        self.numbers = _apart([pair for pair in pairs if pair[0].dtype.is_floating_point])
        self.counts = _apart([pair for pair in pairs if not pair[0].dtype.is_floating_point])
        self.precision = resolved(self.params.precision, self.params.device)
        self.forward = cast(self.network, self.precision, self.params.device)
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=self.params.lr, weight_decay=self.params.weight_decay, fused=True)

    def run(self, state_file: Path, progress: Progress | None) -> list[dict[str, float]]:
        """Train to the end, from the saved state if there is one; gives the figures of each epoch."""
        curves = self._resume(state_file)
        for epoch in range(len(curves), self.job.n_epochs):
            curves.append(self._epoch(epoch))
            self._keep(state_file, curves)
            if progress:
                progress(epoch + 1, self.job.n_epochs, curves[-1])
        return curves

    def _epoch(self, epoch: int) -> dict[str, float]:
        self.network.train()
        n_steps = self.params.epoch_steps
        losses = [self._step(step) for step in range(epoch * n_steps, (epoch + 1) * n_steps)]
        figures = {"epoch": epoch + 1.0, "loss": round(float(np.mean(losses)), 6), "lr": self._rate((epoch + 1) * n_steps - 1)}
        val_set = self.job.val_set
        if val_set:
            figures |= judge(self.averaged, val_set[:: math.ceil(len(val_set) / MAX_LOOKED_AT)], self.params, self.job.reading())
        return figures

    def _step(self, step: int) -> float:
        crops, points = self._batch(step)
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate(step)
        loss = _readout.loss(self.forward(crops), points, self.params.sigma_px)
        if not torch.isfinite(loss):
            raise EthoLoopError(f"the refiner's loss is {loss.item()} in step {step + 1}. Lower refine_train.settings.lr.")
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), MAX_NORM)
        self.optimizer.step()
        self._average(step)
        return loss.item()

    def _batch(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        rng = np.random.default_rng([self.job.seed, 1, step])
        samples = [self._sample(self.job.train_set[number], rng) for number in self._numbers(step)]
        crops = _readout.as_input(np.stack([crop for crop, _ in samples]), self.params.device)
        return crops, torch.from_numpy(np.stack([points for _, points in samples])).float().to(self.params.device)

    def _numbers(self, step: int) -> list[int]:
        """Animals of a batch: all of them are dealt once, in random order, before any comes again."""
        n, batch = len(self.job.train_set), self.params.batch
        places = range(step * batch, (step + 1) * batch)
        decks = {deck: np.random.default_rng([self.job.seed, 0, deck]).permutation(n) for deck in {place // n for place in places}}
        return [int(decks[place // n][place % n]) for place in places]

    def _sample(self, instance: Instance, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        p = self.params
        view = _crops.random_view(rng, degrees=p.degrees, zoom=p.zoom, shift=p.shift, flip=p.flip)
        matrix = _crops.view_matrix(instance.window, p.crop_px, view)
        crop = _crops.look(self.patches.of(instance), matrix, p.crop_px)
        if p.recolour and rng.random() < p.recolour:
            crop = recoloured(crop, rng)
        crop = _crops.relight(crop, rng, p.light)
        points = _crops.transform(instance.points, matrix)
        return crop, points[list(self.job.flip_index)] if view.mirror else points

    def _rate(self, step: int) -> float:
        """Rises in a line, then falls along a cosine to a fiftieth."""
        rise = min(1.0, (step + 1) / max(1.0, self.params.warmup * self.job.n_steps))
        return self.params.lr * rise * (0.02 + 0.49 * (1 + math.cos(math.pi * step / self.job.n_steps)))

    @torch.no_grad()
    def _average(self, step: int) -> None:
        # quicker at first, so that the random start is forgotten
        decay = min(self.params.ema, (2 + step) / (11 + step))
        torch._foreach_lerp_(*self.numbers, 1 - decay)
        for kept, new in zip(*self.counts, strict=True):
            kept.copy_(new)

    def _keep(self, state_file: Path, curves: list[dict[str, float]]) -> None:
        parts = {"network": self.network.state_dict(), "averaged": self.averaged.state_dict(), "optimizer": self.optimizer.state_dict()}
        _weights.save(state_file, {"key": self.job.key, "curves": curves, **parts})

    def _resume(self, state_file: Path) -> list[dict[str, float]]:
        saved = _weights.saved_state(state_file, self.job.key)
        if saved is None:
            return []
        self.network.load_state_dict(saved["network"])
        self.averaged.load_state_dict(saved["averaged"])
        self.optimizer.load_state_dict(saved["optimizer"])
        return saved["curves"]


def _apart(pairs: list[tuple[torch.Tensor, torch.Tensor]]) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    return [kept for kept, _ in pairs], [new for _, new in pairs]


def judge(network: nn.Module, instances: Sequence[Instance], params: Params, reading: _readout.Reading) -> dict[str, float]:
    """Errors inside the labelled boxes, in source pixels."""
    chunks = [instances[start : start + CHUNK] for start in range(0, len(instances), CHUNK)]
    errors = np.concatenate([_errors(network, chunk, params, reading) for chunk in chunks])
    errors = errors[np.isfinite(errors)]
    figures = {"rmse_px": np.sqrt(np.mean(errors**2)), "median_px": np.median(errors), "p95_px": np.percentile(errors, 95)}
    return {f"val_{name}": round(float(value), 4) for name, value in figures.items()}


def _errors(network: nn.Module, instances: Sequence[Instance], params: Params, reading: _readout.Reading) -> np.ndarray:
    """Distances (n, K) from the labels in source pixels; NaN where a keypoint is missing."""
    matrices = [_crops.view_matrix(instance.window, params.crop_px) for instance in instances]
    pairs = list(zip(instances, matrices, strict=True))
    crops = np.stack([_crops.look(instance.patch(), matrix, params.crop_px) for instance, matrix in pairs])
    places = _readout.places(network, crops, reading)
    found = [_crops.transform(place[:, :2], np.linalg.inv(matrix)) for place, matrix in zip(places, matrices, strict=True)]
    return np.linalg.norm(np.stack(found) - np.stack([instance.points for instance in instances]), axis=2)
