"""ONNX Runtime on a CPU."""

from pathlib import Path

import numpy as np
import onnxruntime

from etholoop.modeling.backends import BackendError

QUIET = 3
"""Only errors are logged."""


class OnnxNetwork:
    """A network in an ``.onnx`` file; images of any size that it was made for."""

    def __init__(self, path: Path):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = QUIET
        try:
            self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the library's errors have no class in common
            raise BackendError(f"{path}: ONNX Runtime cannot read this network ({error}). Set pose_predict.backend: torch.") from error
        self.input = self.session.get_inputs()[0].name

    def __call__(self, batch: np.ndarray) -> list[np.ndarray]:
        return self.session.run(None, {self.input: np.ascontiguousarray(batch)})
