"""Probabilities of clips by X3D, on the CPU or a GPU, by torch or by OpenVINO.

A predictor takes the pictures of one unit of clips (``core/clips.py``): clip k sees pictures k · step … k · step + n_frames − 1. Pictures
that clips share go through the first layers once.
"""

import copy
from collections.abc import Iterable
from itertools import islice
from typing import Protocol

import numpy as np
import torch

from etholoop.errors import EthoLoopError
from etholoop.modeling.behaviour import _x3d_openvino
from etholoop.modeling.behaviour._clip_pixels import PixelRule, normalised
from etholoop.modeling.behaviour.x3d import X3D, check_size, probabilities

BACKENDS = ("auto", "torch", "openvino")


class Predictor(Protocol):
    """Pictures (p, h, w, 3) uint8, scaled and in the network's order of colours → probabilities (clips, classes) float32."""

    def __call__(self, pictures: np.ndarray) -> np.ndarray: ...


def predictor(network: X3D, rule: PixelRule, *, n_clips: int, step: int, backend: str = "auto", device: str = "cpu") -> Predictor:
    """A predictor for units of ``n_clips`` clips that begin ``step`` pictures apart.

    Args:
        backend: auto takes OpenVINO on the CPU where it is installed, and torch otherwise.
        device: cpu, cuda, cuda:1, …

    Raises:
        EthoLoopError: an unknown backend, or OpenVINO for a GPU.
    """
    if _by_openvino(backend, device):
        return _x3d_openvino.Predictor(network, rule, n_clips=n_clips, step=step)
    return TorchPredictor(network, rule, n_clips=n_clips, step=step, device=device)


class SinglePredictor(Protocol):
    """Any clips: ``look`` at pictures (p, h, w, 3) uint8 → (p, …) float32, once each, then ``judge`` clips of such looks (n_frames, …)
    → probabilities (clips, classes) float32."""

    def look(self, pictures: np.ndarray) -> np.ndarray: ...

    def judge(self, clips: Iterable[np.ndarray]) -> np.ndarray: ...


def single_predictor(network: X3D, rule: PixelRule, *, batch: int, backend: str = "auto", device: str = "cpu") -> SinglePredictor:
    """A predictor for clips that share no pattern.

    Args:
        batch: clips that a GPU takes together.

    Raises:
        EthoLoopError: an unknown backend, or OpenVINO for a GPU.
    """
    if _by_openvino(backend, device):
        return _x3d_openvino.SinglePredictor(network, rule)
    return TorchSinglePredictor(network, rule, batch=batch, device=device)


def look_bytes(network: X3D, height: int, width: int) -> int:
    """Memory that the look at one picture takes."""
    return 4 * network.config.stem_width * ((height + 1) // 2) * ((width + 1) // 2)


def _by_openvino(backend: str, device: str) -> bool:
    if backend not in BACKENDS:
        raise EthoLoopError(f"backend '{backend}': expected one of {', '.join(BACKENDS)}.")
    if backend == "openvino" and device != "cpu":
        raise EthoLoopError("backend openvino computes on the CPU; use --gpu_num 0, or --backend torch.")
    return backend == "openvino" or (backend == "auto" and device == "cpu" and _x3d_openvino.is_there())


class TorchPredictor:
    """By torch. The look at single pictures (``conv_xy``) is taken once for each picture of a unit.

    A GPU takes all clips of a unit together. The CPU takes one after the other, because larger intermediate results leave its caches.
    """

    def __init__(self, network: X3D, rule: PixelRule, *, n_clips: int, step: int, device: str = "cpu"):
        self.network = network.eval() if device == "cpu" else copy.deepcopy(network).eval().to(device)
        self.rule, self.device, self.at_once = rule, device, 1 if device == "cpu" else n_clips
        self.places = step * torch.arange(n_clips)[:, None] + torch.arange(network.config.n_frames)

    @torch.inference_mode()
    def __call__(self, pictures: np.ndarray) -> np.ndarray:
        check_size(self.network.config, (self.network.config.n_frames, *pictures.shape[1:3]))
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
            return self._unit(pictures)

    def _looks(self, pictures: np.ndarray) -> torch.Tensor:
        """(channels, pictures, h, w)."""
        frames = normalised(torch.from_numpy(pictures).to(self.device), self.rule).permute(0, 3, 1, 2).contiguous()
        looks: torch.Tensor = self.network.s1["pathway0_stem"].conv_xy(frames.transpose(0, 1)[None])[0]
        return looks

    def _unit(self, pictures: np.ndarray) -> np.ndarray:
        looks = self._looks(pictures)
        clips = [self._clips(looks[:, places].transpose(0, 1).contiguous()) for places in self.places.split(self.at_once)]
        return torch.cat(clips).cpu().numpy()

    def _clips(self, looks: torch.Tensor) -> torch.Tensor:
        stem = self.network.s1["pathway0_stem"]
        x = stem.bn(stem.conv(looks)).relu_()
        for name, blocks in self.network.parts():
            for block in blocks if name != "s1" else []:
                x = block(x)
        return probabilities(self.network.head(x)[0], self.network.config.head_act)


class TorchSinglePredictor(TorchPredictor):
    """By torch, clips that share no pattern."""

    def __init__(self, network: X3D, rule: PixelRule, *, batch: int, device: str = "cpu"):
        super().__init__(network, rule, n_clips=batch, step=1, device=device)

    @torch.inference_mode()
    def look(self, pictures: np.ndarray) -> np.ndarray:
        """Pictures (p, h, w, 3) uint8 → looks (p, channels, h', w') float32."""
        check_size(self.network.config, (self.network.config.n_frames, *pictures.shape[1:3]))
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
            return self._looks(pictures).transpose(0, 1).contiguous().cpu().numpy()

    @torch.inference_mode()
    def judge(self, clips: Iterable[np.ndarray]) -> np.ndarray:
        """Looks of clips (n_frames, …) → probabilities (clips, classes)."""
        found, left = [], iter(clips)
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
            while batch := list(islice(left, self.at_once)):
                looks = torch.from_numpy(np.stack(batch)).to(self.device)
                found.append(self._clips(looks.transpose(1, 2).contiguous()).cpu().numpy())
        return np.concatenate(found)
