"""X3D by OpenVINO on the CPU: the graph of `_x3d_graph`, compiled for the size of the pictures that come."""

import importlib.util
from typing import Any

import numpy as np
import torch

from etholoop.modeling.behaviour._clip_pixels import PixelRule
from etholoop.modeling.behaviour._x3d_graph import graph
from etholoop.modeling.behaviour.x3d import X3D, check_size


def is_there() -> bool:
    """Whether OpenVINO is installed."""
    return importlib.util.find_spec("openvino") is not None


class Predictor:
    """Pictures of a unit (p, h, w, 3) uint8 → probabilities (n_clips, classes)."""

    def __init__(self, network: X3D, rule: PixelRule, *, n_clips: int, step: int, threads: int | None = None):
        self.network, self.rule, self.n_clips, self.step, self.threads = network, rule, n_clips, step, threads
        self._request: Any = None
        self._size: tuple[int, ...] = ()

    def __call__(self, pictures: np.ndarray) -> np.ndarray:
        if pictures.shape != self._size:
            self._compile(pictures.shape)
        return self._request.infer([pictures])[0].copy()

    def _compile(self, shape: tuple[int, ...]) -> None:
        import openvino

        check_size(self.network.config, (self.network.config.n_frames, shape[1], shape[2]))
        model = graph(self.network, self.rule, shape[1], shape[2], n_clips=self.n_clips, step=self.step)
        # by itself OpenVINO would compute in bfloat16 where the processor has it
        settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
        settings["INFERENCE_NUM_THREADS"] = self.threads or torch.get_num_threads()
        self._request = openvino.Core().compile_model(model, "CPU", settings).create_infer_request()
        self._size = shape
