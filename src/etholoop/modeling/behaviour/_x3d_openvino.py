"""X3D by OpenVINO on the CPU: the graph of `_x3d_graph`, compiled for the size of the pictures that come."""

import importlib.util
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch

from etholoop.modeling.behaviour._clip_pixels import PixelRule
from etholoop.modeling.behaviour._x3d_graph import clip_graph, graph, look_graph
from etholoop.modeling.behaviour.x3d import X3D, check_size

LOOKS = 16
"""Pictures that are looked at together; a graph for a fixed number is several times quicker than one for any."""


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
        check_size(self.network.config, (self.network.config.n_frames, shape[1], shape[2]))
        model = graph(self.network, self.rule, shape[1], shape[2], n_clips=self.n_clips, step=self.step)
        self._request = _request(model, self.threads)
        self._size = shape


class SinglePredictor:
    """Any clips, one by one; each picture is looked at once, whatever the number of clips that show it."""

    def __init__(self, network: X3D, rule: PixelRule, *, threads: int | None = None):
        self.network, self.rule, self.threads = network, rule, threads
        self._look: Any = None
        self._judge: Any = None
        self._size: tuple[int, ...] = ()

    def look(self, pictures: np.ndarray) -> np.ndarray:
        """Pictures (p, h, w, 3) uint8 → looks (p, …) float32."""
        if pictures.shape[1:] != self._size:
            self._compile(pictures.shape[1:])
        found = []
        for start in range(0, len(pictures), LOOKS):
            own = pictures[start : start + LOOKS]
            n_own = len(own)
            if n_own < LOOKS:
                own = np.concatenate([own, np.zeros((LOOKS - n_own, *self._size), np.uint8)])
            found.append(self._look.infer([own], share_inputs=True)[0][:n_own].copy())
        return np.concatenate(found) if len(found) > 1 else found[0]

    def judge(self, clips: Iterable[np.ndarray]) -> np.ndarray:
        """Looks of clips (n_frames, …) → probabilities (clips, classes). As many clips as there are threads are asked for ahead.

        Each clip has a thread of its own: threads that share one small clip mostly wait for each other.
        """
        found: dict[int, np.ndarray] = {}
        held: dict[int, np.ndarray] = {}  # in use until the answer is there

        def answered(request: Any, number: int) -> None:
            found[number] = request.get_output_tensor(0).data.copy()
            del held[number]

        self._judge.set_callback(answered)
        for number, clip in enumerate(clips):
            held[number] = clip
            self._judge.start_async([clip], number, share_inputs=True)
        self._judge.wait_all()
        return np.concatenate([found[number] for number in range(len(found))])

    def _compile(self, size: tuple[int, ...]) -> None:
        check_size(self.network.config, (self.network.config.n_frames, *size[:2]))
        model = look_graph(self.network, self.rule, size[0], size[1], LOOKS)
        shape = tuple(model.output(0).get_shape())[1:]
        with ThreadPoolExecutor(1) as pool:  # the one is compiled while the other is put together
            look = pool.submit(_request, model, self.threads)
            self._judge = _queue(clip_graph(self.network, shape), self.threads)
            self._look = look.result()
        self._size = size


def _request(model: Any, threads: int | None) -> Any:
    """One question at a time, on all threads."""
    return _compiled(model, threads, PERFORMANCE_HINT="LATENCY").create_infer_request()


def _queue(model: Any, threads: int | None) -> Any:
    """As many questions at a time as there are threads, one thread each."""
    import openvino

    n_threads = threads or torch.get_num_threads()
    return openvino.AsyncInferQueue(_compiled(model, n_threads, NUM_STREAMS=n_threads), n_threads)


def _compiled(model: Any, threads: int | None, **settings: Any) -> Any:
    import openvino

    # by itself OpenVINO would compute in bfloat16 where the processor has it
    exact = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads or torch.get_num_threads()}
    return openvino.Core().compile_model(model, "CPU", exact | settings)
