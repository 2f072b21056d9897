"""Probabilities of clips by X3D, on the CPU or a GPU, by torch or by OpenVINO.

A predictor takes the pictures of one unit of clips (``core/clips.py``): clip k sees pictures k · step … k · step + n_frames − 1. Pictures
that clips share go through the first layers once.
"""

import copy
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
    if backend not in BACKENDS:
        raise EthoLoopError(f"backend '{backend}': expected one of {', '.join(BACKENDS)}.")
    if backend == "openvino" and device != "cpu":
        raise EthoLoopError("backend openvino computes on the CPU; use --gpu_num 0, or --backend torch.")
    if backend == "openvino" or (backend == "auto" and device == "cpu" and _x3d_openvino.is_there()):
        return _x3d_openvino.Predictor(network, rule, n_clips=n_clips, step=step)
    return TorchPredictor(network, rule, n_clips=n_clips, step=step, device=device)


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

    def _unit(self, pictures: np.ndarray) -> np.ndarray:
        frames = normalised(torch.from_numpy(pictures).to(self.device), self.rule).permute(0, 3, 1, 2).contiguous()
        conv_xy = self.network.s1["pathway0_stem"].conv_xy
        looks = conv_xy(frames.transpose(0, 1)[None])[0]  # (channels, pictures, h, w)
        clips = [self._clips(looks[:, places].transpose(0, 1).contiguous()) for places in self.places.split(self.at_once)]
        return torch.cat(clips).cpu().numpy()

    def _clips(self, looks: torch.Tensor) -> torch.Tensor:
        stem = self.network.s1["pathway0_stem"]
        x = stem.bn(stem.conv(looks)).relu_()
        for name, blocks in self.network.parts():
            for block in blocks if name != "s1" else []:
                x = block(x)
        return probabilities(self.network.head(x)[0], self.network.config.head_act)
