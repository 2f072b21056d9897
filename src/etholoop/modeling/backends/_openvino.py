"""OpenVINO on a CPU, for networks as they are and for those in 8 bits.

What is not quantised is worked out in 32 bits (``INFERENCE_PRECISION_HINT: f32``); by itself the library would take 16 where it can.
"""

from pathlib import Path

import numpy as np
import openvino

from etholoop.modeling.backends import BackendError

PROPERTIES = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "ENABLE_CPU_PINNING": False}
"""One thread, free to run where there is room: pinned, the workers of one computer would all ask for the same core."""

KEPT_SHAPES = 4
"""Compiled networks that are kept, one per size of images."""


class OpenVinoNetwork:
    """A network in an ``.onnx`` or ``.xml`` file, compiled anew for each size of images: fixed sizes run fastest."""

    def __init__(self, path: Path):
        self.path = path
        self.core = openvino.Core()
        try:
            self.model = self.core.read_model(path)
        except RuntimeError as error:
            raise BackendError(f"{path}: OpenVINO cannot read this network ({error}). Set pose_predict.backend: torch.") from error
        self._requests: dict[tuple[int, ...], openvino.InferRequest] = {}

    def __call__(self, batch: np.ndarray) -> list[np.ndarray]:
        # image by image: with one thread this takes no longer, and no answer depends on its neighbours
        answers = [self._one(batch[number : number + 1]) for number in range(len(batch))]
        return [np.concatenate(parts) for parts in zip(*answers, strict=True)]

    def _one(self, image: np.ndarray) -> list[np.ndarray]:
        request = self._request(image.shape)
        found = request.infer({0: np.ascontiguousarray(image)}, share_inputs=True)
        return [np.array(found[number]) for number in range(len(found))]

    def _request(self, shape: tuple[int, ...]) -> openvino.InferRequest:
        if shape not in self._requests:
            while len(self._requests) >= KEPT_SHAPES:
                del self._requests[next(iter(self._requests))]
            self._requests[shape] = self._compiled(shape).create_infer_request()
        return self._requests[shape]

    def _compiled(self, shape: tuple[int, ...]) -> openvino.CompiledModel:
        model = self.model.clone()
        try:
            model.reshape(list(shape))
            return self.core.compile_model(model, "CPU", PROPERTIES)
        except RuntimeError as error:
            raise BackendError(f"{self.path}: OpenVINO cannot run this network ({error}). Set pose_predict.backend: torch.") from error
